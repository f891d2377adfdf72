//! What is asked of a store, and what it answers besides jobs.

use std::collections::BTreeMap;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::session::EndReason;
use crate::domain::stats::StatKey;
use crate::domain::status::StateKind;
use crate::domain::{JobId, JobType, Position, QueueName, SessionId, Timestamp};

use super::rules::RuleKey;

/// Where a dispatch round looks for waiting jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The queue.
    pub queue: QueueName,
    /// The type.
    pub job_type: JobType,
    /// At most so many.
    pub limit: usize,
    /// Past jobs whose value of a label is full.
    pub cap: Option<KeyCap>,
}

/// How many jobs at the front of a line cannot be read, by queue and type; none are left out.
pub type Unread = BTreeMap<(QueueName, JobType), usize>;

/// A cap on the RUNNING jobs of a type that started under the same value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCap {
    /// The label.
    pub label: String,
    /// How many may run.
    pub max: u32,
}

/// A RUNNING job whose session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The job.
    pub job_id: JobId,
    /// Its lease.
    pub lease_epoch: i64,
    /// The session that ended.
    pub session: SessionId,
    /// How it ended; a session whose row is gone counts as EXPIRED.
    pub reason: EndReason,
}

/// A page of a list: newest id first.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which jobs.
    pub filter: JobFilter,
    /// Only jobs with a lower id.
    pub before: Option<JobId>,
    /// At most so many.
    pub limit: usize,
    /// Whether payload and result are wanted.
    pub full: bool,
}

/// What of a job's log is wanted.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// The job.
    pub job_id: JobId,
    /// One lease only.
    pub lease_epoch: Option<i64>,
    /// Only rows from this place on.
    pub from_position: i64,
    /// At most so many rows.
    pub limit: usize,
}

/// What background pruning takes away: rows older than these moments.
#[derive(Debug, Clone, Copy)]
pub struct Prune {
    /// Change log rows.
    pub changes_before: Timestamp,
    /// Sessions that ended.
    pub sessions_before: Timestamp,
    /// Request ids whose job is gone.
    pub requests_before: Timestamp,
    /// Minute buckets.
    pub buckets_before: Timestamp,
    /// Events.
    pub events_before: Timestamp,
    /// The audit.
    pub audit_before: Timestamp,
    /// At most so many rows of each kind.
    pub limit: usize,
}

/// Jobs that were counted one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// How many there are in each state, and since when the longest waiting due one of them waits.
    pub jobs: BTreeMap<(StatKey, StateKind), (i64, Option<Timestamp>)>,
}

impl Census {
    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.jobs.values().map(|(count, _)| count).sum()
    }

    pub(super) fn add(
        &mut self,
        key: StatKey,
        state: StateKind,
        count: i64,
        ready: Option<Timestamp>,
    ) {
        let (sum, oldest) = self.jobs.entry((key, state)).or_default();
        *sum += count;
        *oldest = oldest.iter().copied().chain(ready).min();
    }
}

/// The store as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `sqlite`, `postgres` or `memory`.
    pub kind: &'static str,
    /// The database's version.
    pub version: String,
    /// What it takes on disk.
    pub size_bytes: u64,
    /// Reading connections in all.
    pub pool_size: u32,
    /// Reading connections at rest.
    pub pool_idle: u32,
}

/// A job that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RemovedJob {
    /// Its id.
    pub id: JobId,
    /// Its type.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// The queue it was in last.
    pub queue: QueueName,
}

impl RemovedJob {
    /// What is kept of a job that is deleted.
    #[must_use]
    pub fn of(job: &Job) -> Self {
        Self {
            id: job.id,
            job_type: job.spec.job_type.clone(),
            queue: job.status.effective.queue.clone(),
        }
    }
}

/// A queue and type in which jobs began to wait.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ready {
    /// The queue.
    pub queue: QueueName,
    /// The type.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// When the first of them is due.
    pub at: Timestamp,
}

/// What another server did, as far as a hint says: where to look, never what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// There is something new in the change log.
    pub changes: bool,
    /// Progress of running jobs was flushed, or lines were added to their logs.
    pub progress: bool,
}

/// What the change log says since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesSince {
    /// All that was done since.
    Found {
        /// Jobs that were made or changed and not deleted, each once.
        ids: Vec<JobId>,
        /// Jobs that were deleted.
        removed: Vec<RemovedJob>,
        /// Where jobs began to wait, and from when on the first of them is due; only from a
        /// [shared](super::Store::is_shared) store, for others know it by themselves.
        ready: Vec<Ready>,
        /// Rules that were made, changed or deleted, each once.
        rules: Vec<RuleKey>,
        /// The position that this leads to.
        position: Position,
    },
    /// The log does not reach back that far.
    TooOld,
    /// The store never came to that position.
    Ahead,
    /// There are more changes than wanted.
    TooMany,
}

/// What the change log says since a position, and how the jobs it names stand.
#[derive(Debug, Clone)]
pub struct Caught {
    /// What it says.
    pub changes: ChangesSince,
    /// Those of the jobs it names that are there.
    pub jobs: Vec<Job>,
    /// No job was read in a state later than this.
    pub read_through: Position,
}

impl Caught {
    /// More than is read at once: whoever was at `position` stays there.
    pub(super) fn too_much(position: &Position) -> Self {
        let read_through = position.clone();
        Self { changes: ChangesSince::TooMany, jobs: Vec::new(), read_through }
    }
}
