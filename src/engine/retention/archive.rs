//! What is taken away, written down before: a line of JSON for each job, as zstd frames one after the other.
//!
//! Each run has a file of its own, so that what a crash cuts off is the end of a file. A batch is on the disk
//! before it is deleted: a crash in between leaves its jobs both here and in the store, and the next run writes
//! them once more. A line is never missing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use uuid::Uuid;

use crate::domain::limits::{ARCHIVE_FRAME_BYTES, ARCHIVE_READS_MAX, PAGE_SIZE_MAX};
use crate::domain::{Attempt, Job, JobId, LogLevel, Timestamp};
use crate::engine::error::{Error, Result};
use crate::engine::{Engine, ListLogs, LogGap, LogLine};

use super::Seen;

/// A job with all that is kept of it.
#[derive(Debug, Clone)]
pub struct Whole {
    /// The job.
    pub job: Job,
    /// Its executions, oldest first.
    pub attempts: Vec<Attempt>,
    /// The lines of its log.
    pub lines: Vec<LogLine>,
    /// Where lines of it were let go.
    pub gaps: Vec<LogGap>,
}

/// Writes a job as a line of JSON, without its end.
pub type Scribe = fn(&Whole, Timestamp) -> Result<String, String>;

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
    /// The file of the run that began at `now` on this server.
    pub(super) fn of_run(folder: PathBuf, now: Timestamp, server: Uuid, scribe: Scribe) -> Self {
        let moment = stamp(now);
        let server = server.as_simple().to_string();
        let name = format!("jobs-{moment}-{}.jsonl.zst", &server[..8]);
        Self { folder, name, scribe, file: None }
    }

    /// Writes these jobs to the disk; answers those that stand as they were seen, for only they may go now.
    pub(super) async fn write(&mut self, engine: &Engine, some: Seen) -> Result<Seen> {
        let ids: Vec<JobId> = some.iter().map(|(id, _)| *id).collect();
        let jobs = engine.loop_db.read(|store| async move { store.load(&ids).await }).await?;
        let stands = |job: &Job| {
            job.status.kind().is_terminal() && some.contains(&(job.id, job.status.revision))
        };
        let jobs: Vec<Job> = jobs.into_iter().filter(stands).collect();
        if jobs.is_empty() {
            return Ok(Seen::new());
        }
        let kept = jobs.iter().map(|job| (job.id, job.status.revision)).collect();
        let now = engine.clock.now();
        let mut wholes =
            stream::iter(jobs).map(|job| whole(engine, job)).buffered(ARCHIVE_READS_MAX);
        let mut text = String::new();
        while let Some(whole) = wholes.try_next().await? {
            text.push_str(&(self.scribe)(&whole, now).map_err(Error::Archive)?);
            text.push('\n');
            if text.len() >= ARCHIVE_FRAME_BYTES {
                self.append(std::mem::take(&mut text), false).await?;
            }
        }
        self.append(text, true).await?;
        Ok(kept)
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
    let file = OpenOptions::new().create(true).append(true).open(folder.join(name))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// A moment as names of files have it: `20261122T020000Z`, in UTC.
fn stamp(moment: Timestamp) -> String {
    let moment = crate::domain::zone::Zone::named("").ok().and_then(|utc| utc.local(moment));
    moment.map_or_else(|| "unknown".to_owned(), |at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// The job with all that is kept of it.
async fn whole(engine: &Engine, job: Job) -> Result<Whole> {
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
    let (mut lines, mut gaps, mut after_sequence) = (Vec::new(), Vec::new(), 0);
    loop {
        let list = ListLogs {
            job_id: id,
            lease_epoch: None,
            min_level: LogLevel::Debug,
            after_sequence,
            page_size: PAGE_SIZE_MAX,
        };
        let page = engine.log_page(&list).await?;
        after_sequence = page.next_sequence;
        lines.extend(page.lines);
        gaps.extend(page.gaps);
        if !page.more {
            return Ok(Whole { job, attempts, lines, gaps });
        }
    }
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
