//! A live set of jobs: what a watch of many jobs says, held so that a view can draw it at any moment.
//!
//! Owns: which jobs match now ([`Jobs`]), what changed ([`Change`]), what ended and how often ([`Tally`]), how a job
//! looks on one row ([`Row`]).
//! Does not own: the stream (`client::FollowMany`), the screen.
//! Invariants: pure, neither clock nor terminal; a reset forgets no job before the new snapshot is complete, so nothing
//! flickers; neither a revision nor, within it, progress goes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::client::Seen;
use super::format;
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobState, JobStatus};

mod row;

#[cfg(test)]
mod tests;

pub use row::{Row, Style, amount, bar, short_id};

/// Endings that are kept to be shown.
const ENDINGS_MAX: usize = 200;
/// Endings that a pace is taken from. Beyond, the pace is told too low.
const PACE_MAX: usize = 100_000;
/// A pace is that of the last minute.
const PACE_OF: Duration = Duration::from_secs(60);

/// What became of a job.
#[derive(Debug, Clone)]
pub struct Change {
    /// The job as it is now, or was last.
    pub job: Arc<Job>,
    /// What happened to it.
    pub what: What,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was not seen before.
    New,
    /// It is in another state, or in another attempt.
    Moved,
    /// It is as far as it says.
    Progressed,
    /// It does not match any more although it is not over.
    Left,
    /// It was deleted.
    Deleted,
}

/// How many jobs ended while they were watched, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They succeeded.
    pub succeeded: u64,
    /// They failed for good.
    pub failed: u64,
    /// They were cancelled.
    pub cancelled: u64,
    /// They were skipped.
    pub skipped: u64,
    /// Attempts that failed and were, or will be, followed by another.
    pub retried: u64,
}

struct Held {
    job: Arc<Job>,
    /// From before a reset, and not seen again since.
    stale: bool,
}

/// The jobs that match now.
#[derive(Default)]
pub struct Jobs {
    held: BTreeMap<String, Held>,
    complete: bool,
    lost: Option<String>,
    endings: VecDeque<Arc<Job>>,
    paces: VecDeque<Timestamp>,
    tally: Tally,
}

impl Jobs {
    /// Takes what the watch saw, and says what that changed, in the order it came.
    pub fn take(&mut self, seen: Seen, now: Timestamp) -> Vec<Change> {
        if !matches!(seen, Seen::Lost { .. } | Seen::Reset) {
            self.lost = None;
        }
        match seen {
            Seen::Upsert(jobs) => {
                jobs.into_iter().filter_map(|job| self.upsert(Arc::new(job), now)).collect()
            }
            Seen::Removed { job_id, deleted, job } => {
                self.remove(&job_id, deleted, job.map(|job| Arc::new(*job)), now)
            }
            Seen::Complete => {
                self.complete = true;
                self.sweep()
            }
            Seen::Reset => {
                self.complete = false;
                self.held.values_mut().for_each(|held| held.stale = true);
                Vec::new()
            }
            Seen::Lost { cause, .. } => {
                self.lost = Some(cause);
                Vec::new()
            }
            Seen::Bookmark | Seen::Heartbeat => Vec::new(),
        }
    }

    fn upsert(&mut self, job: Arc<Job>, now: Timestamp) -> Option<Change> {
        let before = self.held.get(&job.id);
        let fresh = before.filter(|held| !held.stale).map(|held| mark(&held.job));
        if fresh.is_some_and(|fresh| fresh > mark(&job)) {
            return None;
        }
        let before = before.map(|held| held.job.clone());
        let what = self.compare(before.as_deref(), &job, now);
        self.held.insert(job.id.clone(), Held { job: job.clone(), stale: false });
        Some(Change { job, what })
    }

    fn remove(
        &mut self,
        id: &str,
        deleted: bool,
        job: Option<Arc<Job>>,
        now: Timestamp,
    ) -> Vec<Change> {
        let before = self.held.remove(id).map(|held| held.job);
        let changed = match (job, before) {
            (_, before) if deleted => before.map(|job| Change { job, what: What::Deleted }),
            (Some(job), before) => {
                let what = self.compare(before.as_deref(), &job, now);
                let what = if is_over(state(&job)) { what } else { What::Left };
                // Of a job that was never shown only its end is news.
                (before.is_some() || is_over(state(&job))).then_some(Change { job, what })
            }
            (None, before) => before.map(|job| Change { job, what: What::Left }),
        };
        changed.into_iter().collect()
    }

    /// After a reset, what did not come again is gone.
    fn sweep(&mut self) -> Vec<Change> {
        let gone: Vec<String> =
            (self.held.iter()).filter(|(_, held)| held.stale).map(|(id, _)| id.clone()).collect();
        let gone = gone.into_iter().filter_map(|id| self.held.remove(&id));
        gone.map(|held| Change { job: held.job, what: What::Left }).collect()
    }

    /// What is new of a job, counted.
    fn compare(&mut self, before: Option<&Job>, job: &Arc<Job>, now: Timestamp) -> What {
        let now_state = state(job);
        let was = before.map(state);
        let (first, then) = (before.map_or(0, attempt), attempt(job));
        let over = is_over(now_state);
        // What was over before it was seen did not end under these eyes.
        if over && was.map_or(self.complete, |was| !is_over(was)) {
            self.ended(job, now);
        }
        let failed_once = was == Some(JobState::Running)
            && (then > first
                || (now_state == JobState::Pending && then == first && has_error(job)));
        if failed_once {
            self.tally.retried += 1;
        }
        match was {
            None if over => What::Moved,
            None => What::New,
            Some(was) if was != now_state || then != first => What::Moved,
            Some(_) => What::Progressed,
        }
    }

    fn ended(&mut self, job: &Arc<Job>, now: Timestamp) {
        match state(job) {
            JobState::Succeeded => self.tally.succeeded += 1,
            JobState::Failed => self.tally.failed += 1,
            JobState::Cancelled => self.tally.cancelled += 1,
            JobState::Skipped => self.tally.skipped += 1,
            JobState::Unspecified | JobState::Pending | JobState::Running => return,
        }
        self.endings.push_front(job.clone());
        self.endings.truncate(ENDINGS_MAX);
        self.paces.push_back(now);
        if self.paces.len() > PACE_MAX {
            self.paces.pop_front();
        }
    }

    /// True once all that match are here.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Why the server is not heard, if it is not.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// The job with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Job>> {
        self.held.get(id).map(|held| &held.job)
    }

    /// All jobs, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.held.values().map(|held| &held.job)
    }

    /// The jobs in this state, the oldest first; running ones by their start, so that rows keep their places.
    #[must_use]
    pub fn in_state(&self, wanted: JobState) -> Vec<&Arc<Job>> {
        let mut jobs: Vec<_> = self.all().filter(|job| state(job) == wanted).collect();
        if wanted == JobState::Running {
            jobs.sort_by_key(|job| started(job));
        }
        jobs
    }

    /// How many jobs are in this state.
    #[must_use]
    pub fn count(&self, wanted: JobState) -> usize {
        self.all().filter(|job| state(job) == wanted).count()
    }

    /// Jobs that ended, the last one first.
    pub fn endings(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.endings.iter()
    }

    /// How many ended, and how.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many jobs ended in the last minute.
    #[must_use]
    pub fn ended_last_minute(&self, now: Timestamp) -> usize {
        let from = now.minus(PACE_OF);
        self.paces.iter().rev().take_while(|moment| **moment >= from).count()
    }

    /// Items per second of all running jobs together.
    #[must_use]
    pub fn items_per_second(&self) -> f64 {
        let progress = |job: &Arc<Job>| {
            let status = job.status.as_ref().filter(|_| state(job) == JobState::Running)?;
            Some(status.progress.as_ref()?.rate_per_second)
        };
        self.all().filter_map(progress).sum()
    }
}

/// Whether a job in this state is over.
#[must_use]
pub fn is_over(state: JobState) -> bool {
    match state {
        JobState::Unspecified | JobState::Pending | JobState::Running => false,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Skipped => true,
    }
}

/// The state of a job.
#[must_use]
pub fn state(job: &Job) -> JobState {
    job.status.as_ref().map_or(JobState::Unspecified, JobStatus::state)
}

fn attempt(job: &Job) -> i32 {
    job.status.as_ref().map_or(0, |status| status.attempt)
}

/// What of a job never goes back. Progress that a server shows before it is on disk may come once more as
/// it was, from another server: that changes nothing here.
fn mark(job: &Job) -> (i64, i64, i64) {
    let sequence = |status: &JobStatus| status.progress.as_ref().map_or(0, |it| it.sequence);
    let mark = |status: &JobStatus| (status.revision, status.lease_epoch, sequence(status));
    job.status.as_ref().map(mark).unwrap_or_default()
}

fn has_error(job: &Job) -> bool {
    job.status.as_ref().is_some_and(|status| status.error.is_some())
}

fn started(job: &Job) -> Option<Timestamp> {
    job.status.as_ref()?.start_time.as_ref().map(format::timestamp)
}
