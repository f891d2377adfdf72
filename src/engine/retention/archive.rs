//! What is taken away, written down before: a line of JSON for each job, as zstd frames one after the other.
//!
//! Each run has a file of its own, so that what a crash cuts off is the end of a file. A batch is on the disk
//! before it is deleted: a crash in between leaves its jobs both here and in the store, and the next run writes
//! them once more. A line is never missing. Jobs are read one after the other and their logs page by page, so that a
//! run needs the memory of one of them and of a frame. What cannot be read to its end, or will not go after all, is
//! cut off again: no run that fails leaves lines of jobs that it did not try to delete.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::limits::{ARCHIVE_FRAME_BYTES, PAGE_SIZE_MAX};
use crate::domain::{Attempt, Job, JobId, LogLevel, Timestamp};
use crate::engine::error::{Error, Result};
use crate::engine::{Engine, ListLogs, LogGap, LogLine};

use super::Seen;
use super::left::Left;
use super::walk::Leave;

/// A piece of what is kept of a job, as its line in the archive is put together.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// The job, and its executions, oldest first: members of an object.
    Job(&'a Job, &'a [Attempt]),
    /// Some lines of its log: elements of an array.
    Lines(&'a [LogLine]),
    /// Where lines of it were let go: elements of an array.
    Gaps(&'a [LogGap]),
}

/// Writes a piece as JSON, without what encloses it.
pub type Scribe = fn(Piece<'_>, Timestamp) -> Result<String, String>;

/// The archive of one run.
pub(super) struct Archive {
    folder: PathBuf,
    name: String,
    scribe: Scribe,
    /// Opened with the first batch: a run that finds nothing leaves no file.
    file: Option<File>,
    /// Bytes that are in it.
    length: u64,
}

/// How hard the frames are pressed: the level that zstd itself takes.
const LEVEL: i32 = 3;

impl Archive {
    /// The file of a run that began at `now`.
    pub(super) fn of_run(folder: PathBuf, now: Timestamp, scribe: Scribe) -> Self {
        let moment = stamp(now);
        // Two servers, or a run by hand beside the other one, may begin in the same second.
        let own = Uuid::new_v4().as_simple().to_string();
        let name = format!("jobs-{moment}-{}.jsonl.zst", &own[..8]);
        Self { folder, name, scribe, file: None, length: 0 }
    }

    /// Writes these jobs to the disk, one after the other; answers those that stand as they were seen and could be
    /// read, for only they may go now. Nothing if it was left before its end.
    pub(super) async fn write(
        &mut self,
        engine: &Engine,
        some: Seen,
        leave: &mut impl Leave,
        left: &mut Left,
    ) -> Result<Option<Seen>> {
        let begin = self.length;
        let mut text = String::new();
        let kept = match self.collect(engine, some, leave, left, &mut text).await {
            Ok(Some(kept)) if kept.is_empty() => return Ok(Some(kept)),
            Ok(Some(kept)) => self.append(text, true).await.map(|()| Some(kept)),
            kept => kept,
        };
        if !matches!(kept, Ok(Some(_)))
            && let Err(error) = self.cut(begin).await
        {
            // Its jobs are in the store, too.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(task.name = super::LOOP, error, "a batch that stays is in the archive");
        }
        kept
    }

    async fn collect(
        &mut self,
        engine: &Engine,
        some: Seen,
        leave: &mut impl Leave,
        left: &mut Left,
        text: &mut String,
    ) -> Result<Option<Seen>> {
        let mut kept = Seen::new();
        for seen in some {
            if !leave.leave().await? {
                return Ok(None);
            }
            match self.read(engine, seen, text).await {
                Ok(is_kept) => kept.extend(is_kept.then_some(seen)),
                Err(error @ Error::Archive(_)) => return Err(error),
                Err(error) => left.leave(seen.0, error)?,
            }
        }
        Ok(Some(kept))
    }

    /// Reads a job and writes its line after `text`; `false` if it stands otherwise than it was seen. What cannot be
    /// read to its end leaves nothing behind.
    async fn read(
        &mut self,
        engine: &Engine,
        (id, revision): (JobId, i64),
        text: &mut String,
    ) -> Result<bool> {
        let found = engine.loop_db.read(move |store| async move { store.load(&[id]).await });
        let is_meant =
            |job: &Job| job.status.kind().is_terminal() && job.status.revision == revision;
        let Some(job) = found.await?.pop().filter(is_meant) else { return Ok(false) };
        let mut begin = None;
        let written = self.write_job(engine, &job, text, &mut begin).await;
        if let (Err(_), Some(begin)) = (&written, begin) {
            self.cut(begin).await?;
        }
        written.map(|()| true)
    }

    /// Writes the line of a job, its log page by page, after `text`; both go to the disk whenever they are a frame.
    /// Then `begin` is where the line begins.
    async fn write_job(
        &mut self,
        engine: &Engine,
        job: &Job,
        text: &mut String,
        begin: &mut Option<u64>,
    ) -> Result<()> {
        let now = engine.clock.now();
        let scribe = self.scribe;
        let said = |piece: Piece<'_>| scribe(piece, now).map_err(Error::Archive);
        let mut line = String::from("{");
        line.push_str(&said(Piece::Job(job, &attempts(engine, job).await?))?);
        line.push_str(r#","logs":["#);
        let (mut gaps, mut first) = (Vec::new(), true);
        let mut list = ListLogs {
            job_id: job.id,
            lease_epoch: None,
            min_level: LogLevel::Debug,
            after_sequence: 0,
            page_size: PAGE_SIZE_MAX,
        };
        loop {
            let page = engine.log_page(&engine.loop_db, &list).await?;
            list.after_sequence = page.next_sequence;
            gaps.extend(page.gaps);
            if !page.lines.is_empty() {
                if !std::mem::take(&mut first) {
                    line.push(',');
                }
                line.push_str(&said(Piece::Lines(&page.lines))?);
            }
            if text.len() + line.len() >= ARCHIVE_FRAME_BYTES {
                self.append(std::mem::take(text), false).await?;
                begin.get_or_insert(self.length);
                self.append(std::mem::take(&mut line), false).await?;
            }
            if !page.more {
                break;
            }
        }
        line.push_str(r#"],"gaps":["#);
        line.push_str(&said(Piece::Gaps(&gaps))?);
        line.push_str("]}\n");
        text.push_str(&line);
        Ok(())
    }

    /// Appends a frame; with `sync` all that was written is on the disk then.
    async fn append(&mut self, text: String, sync: bool) -> Result<()> {
        let (folder, name) = (self.folder.clone(), self.name.clone());
        let append = move |file: &mut Option<File>| -> io::Result<u64> {
            let file = match file {
                Some(file) => file,
                None => file.insert(open(&folder, &name)?),
            };
            let mut length = 0;
            if !text.is_empty() {
                let frame = zstd::encode_all(text.as_bytes(), LEVEL)?;
                file.write_all(&frame)?;
                length = frame.len() as u64;
            }
            if sync {
                file.sync_all()?;
            }
            Ok(length)
        };
        self.length += self.with_file(append).await?;
        Ok(())
    }

    /// Cuts off what was written from `length` on; nothing is left of a file that was begun with it.
    async fn cut(&mut self, length: u64) -> Result<()> {
        let path = self.path();
        let cut = move |file: &mut Option<File>| match file.take() {
            None => Ok(()),
            Some(_) if length == 0 => std::fs::remove_file(path),
            Some(longer) => file.insert(longer).set_len(length),
        };
        self.with_file(cut).await?;
        self.length = length;
        Ok(())
    }

    /// Does something with the file where it may block; none is open before the first frame.
    async fn with_file<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Option<File>) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let path = self.path();
        let told = |error: String| Error::Archive(format!("{}: {error}", path.display()));
        let mut file = self.file.take();
        let work = move || {
            let done = work(&mut file);
            (file, done)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((file, done)) => {
                self.file = file;
                done.map_err(|error| told(error.to_string()))
            }
            Err(error) => Err(told(error.to_string())),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }
}

/// Makes the file, and makes sure that it is still there after a loss of power.
fn open(folder: &Path, name: &str) -> io::Result<File> {
    let file = OpenOptions::new().create_new(true).append(true).open(folder.join(name))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// A moment as names of files have it: `20261122T020000Z`, in UTC.
fn stamp(moment: Timestamp) -> String {
    let moment = crate::domain::zone::Zone::named("").ok().and_then(|utc| utc.local(moment));
    moment.map_or_else(|| "unknown".to_owned(), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// Its executions, oldest first.
async fn attempts(engine: &Engine, job: &Job) -> Result<Vec<Attempt>> {
    let id = job.id;
    let mut attempts = Vec::new();
    // A first execution stands in the status.
    if job.status.lease_epoch > 1 || job.status.last_attempt().is_none() {
        let read = engine.loop_db.read(move |store| async move { store.attempts(id).await });
        attempts = read.await?;
    }
    if let Some(last) = job.status.last_attempt() {
        attempts.retain(|attempt| attempt.lease_epoch != last.lease_epoch);
        attempts.push(last);
    }
    attempts.sort_by_key(|attempt| attempt.lease_epoch);
    Ok(attempts)
}

impl Engine {
    /// Whether the archive can be written, before anything depends on it.
    ///
    /// # Errors
    /// What keeps it from being written.
    pub fn check_archive(folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let probe = tempfile::NamedTempFile::new_in(folder)?;
        probe.close()
    }
}
