//! What is taken away, written down before: a line of JSON for each job, as zstd frames one after the other.
//!
//! Each run has a file of its own, so that what a crash cuts off is the end of a file. A batch is on the disk
//! before it is deleted: a crash in between leaves its jobs both here and in the store, and the next run writes
//! them once more. A line is never missing. Jobs are read one after the other and their logs page by page, so that a
//! run needs the memory of one of them and of a frame.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::domain::limits::{ARCHIVE_FRAME_BYTES, PAGE_SIZE_MAX};
use crate::domain::{Attempt, Job, LogLevel, Timestamp};
use crate::engine::error::{Error, Result};
use crate::engine::{Engine, ListLogs, LogGap, LogLine};

use super::Seen;
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
        Self { folder, name, scribe, file: None }
    }

    /// Writes these jobs to the disk, one after the other; answers those that stand as they were seen, for only they
    /// may go now. Nothing if it was left before its end.
    pub(super) async fn write(
        &mut self,
        engine: &Engine,
        some: Seen,
        leave: &mut impl Leave,
    ) -> Result<Option<Seen>> {
        let mut text = String::new();
        let kept = self.collect(engine, some, leave, &mut text).await;
        if !text.is_empty() {
            // Whatever came in between: the line that was begun is ended, and what is kept is on the disk.
            let synced = matches!(&kept, Ok(Some(_)));
            self.append(text, synced).await?;
        }
        kept
    }

    async fn collect(
        &mut self,
        engine: &Engine,
        some: Seen,
        leave: &mut impl Leave,
        text: &mut String,
    ) -> Result<Option<Seen>> {
        let mut kept = Seen::new();
        for (id, revision) in some {
            if !leave.leave().await? {
                return Ok(None);
            }
            let found = engine.loop_db.read(move |store| async move { store.load(&[id]).await });
            let Some(job) = found.await?.pop() else { continue };
            if job.status.kind().is_terminal() && job.status.revision == revision {
                self.write_job(engine, &job, text).await?;
                kept.push((id, revision));
            }
        }
        Ok(Some(kept))
    }

    /// Writes the line of a job, its log page by page, after `text`, which goes to the disk whenever it is a frame.
    async fn write_job(&mut self, engine: &Engine, job: &Job, text: &mut String) -> Result<()> {
        let now = engine.clock.now();
        let scribe = self.scribe;
        let said = |piece: Piece<'_>| scribe(piece, now).map_err(Error::Archive);
        text.push('{');
        text.push_str(&said(Piece::Job(job, &attempts(engine, job).await?))?);
        text.push_str(r#","logs":["#);
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
                    text.push(',');
                }
                text.push_str(&said(Piece::Lines(&page.lines))?);
            }
            if text.len() >= ARCHIVE_FRAME_BYTES {
                self.append(std::mem::take(text), false).await?;
            }
            if !page.more {
                break;
            }
        }
        text.push_str(r#"],"gaps":["#);
        text.push_str(&said(Piece::Gaps(&gaps))?);
        text.push_str("]}\n");
        Ok(())
    }

    /// Appends a frame; with `sync` all that was written is on the disk then.
    async fn append(&mut self, text: String, sync: bool) -> Result<()> {
        let (folder, name) = (self.folder.clone(), self.name.clone());
        let file = self.file.take();
        let path = folder.join(&name);
        let work = move || -> io::Result<File> {
            let mut file = match file {
                Some(file) => file,
                None => open(&folder, &name)?,
            };
            if !text.is_empty() {
                file.write_all(&zstd::encode_all(text.as_bytes(), LEVEL)?)?;
            }
            if sync {
                file.sync_all()?;
            }
            Ok(file)
        };
        let told = |error: String| Error::Archive(format!("{}: {error}", path.display()));
        let written = tokio::task::spawn_blocking(work).await;
        let file = written.map_err(|error| told(error.to_string()))?;
        self.file = Some(file.map_err(|error| told(error.to_string()))?);
        Ok(())
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
