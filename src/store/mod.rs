//! Where jobs are kept. The only part of the house that names a database.
//!
//! Owns: tables, statements, transactions, guards, keys, the change log.
//! Does not own: decisions. Everything that is written was decided before (`domain::machine`) and
//! arrives as data with the revision and epoch it was decided on; a store may refuse a write only
//! because a guard missed or a key is taken.
//! Entry: [`Store`], with [`memory`] as the reference model and [`sqlite`] for one machine.
//! Invariants: a batch is atomic; what [`Store::commit`] answered is durable; a write that missed its
//! guard leaves no trace in any table; counters change in the commit that changes the jobs.

mod figures;
mod leases;
pub mod memory;
mod rows;
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::logs::{LogBatch, LogRow};
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::session::{EndReason, Session};
use crate::domain::stats::{Bucket, Changes, Count};
use crate::domain::status::{Attempt, State, StateKind};
use crate::domain::{BatchId, InstanceId, JobId, JobType, QueueName, SessionId, Timestamp};

/// Why the store could not do as it was told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not reachable, busy, or failing for now: nothing was written.
    #[error("the store is not available")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The commit may have happened or not: look for the batch before repeating it.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store said no to this batch and would again: a smaller one may pass.
    #[error("the store rejected the statement")]
    Rejected(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What was read cannot be understood.
    #[error("the store holds something unreadable in {what}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
        /// Why it cannot be understood.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The error's kind, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Rejected(_) => "rejected",
            Self::Corrupt { .. } => "corrupt",
        }
    }
}

/// What the store answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The names that must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// (caller, request id) of a create: kept on after the job is deleted.
    Request,
    /// (type, unique key) of a job that is not over.
    Unique,
}

/// A create's request id: the same one again answers the same job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The caller.
    pub caller: String,
    /// The id it chose.
    pub request_id: String,
    /// A digest of the request, so that the same id with another body is told apart.
    pub fingerprint: [u8; 32],
}

/// What is known of a request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRequest {
    /// The job it made.
    pub job_id: JobId,
    /// The digest of its body.
    pub fingerprint: [u8; 32],
}

/// A job to be born. If its spec has a unique key and it is not over at birth, it takes the key.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job; its status may already be past the first one (created and started at once).
    pub job: Job,
    /// The create's request id.
    pub request: Option<RequestKey>,
    /// The session it is started in at once; opened only if the job is born.
    pub session: Option<Session>,
    /// What happened to it so far, for the figures.
    pub changes: Changes,
}

/// A job's unique key within a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// Stays as it is.
    None,
    /// The job is live again and takes its key; taken by another: the write is refused.
    Take,
    /// The job is over and gives its key back.
    Release,
}

/// A changed status, guarded by the revision and epoch it was decided on.
#[derive(Debug, Clone)]
pub struct JobWrite {
    /// Revision the job must have.
    pub expected_revision: i64,
    /// Lease epoch the job must have.
    pub expected_epoch: i64,
    /// The state it has then (for the counters).
    pub state_before: StateKind,
    /// The effective queue it has then (for the counters).
    pub queue_before: QueueName,
    /// The job after the change.
    pub job: Job,
    /// Executions that the status forgets by it.
    pub superseded: Vec<Attempt>,
    /// What becomes of its unique key.
    pub key: KeyChange,
    /// What happened to it, for the figures.
    pub changes: Changes,
}

/// A job to be deleted: its status, progress, attempts, logs and labels go; a request id stays.
#[derive(Debug, Clone)]
pub struct JobDelete {
    /// Revision the job must have.
    pub expected_revision: i64,
    /// The job as it was when that was decided (for the counters).
    pub job: Job,
}

/// The newest progress of a running job: written only if it runs with that epoch, and only forward
/// in (epoch, sequence).
#[derive(Debug, Clone, PartialEq)]
pub struct ProgressWrite {
    /// The job.
    pub job_id: JobId,
    /// The lease it was reported under.
    pub lease_epoch: i64,
    /// How far it is.
    pub progress: Progress,
    /// What it uses.
    pub usage: Option<ResourceUsage>,
}

/// A change to a session.
#[derive(Debug, Clone)]
pub enum SessionWrite {
    /// A new one; does not apply if its id is known. Unless it is unary, every older open, non-unary
    /// session of the same non-empty instance and the same principal ends as SUPERSEDED.
    Open(Session),
    /// It was heard of `age` ago: its lease runs `ttl` from then on. Only while not ended.
    Renew {
        /// Which.
        id: SessionId,
        /// How long ago.
        age: Duration,
        /// Its lease.
        ttl: Duration,
    },
    /// Its peer is gone: at most `keep` from now on. Only while not ended.
    Shorten {
        /// Which.
        id: SessionId,
        /// What is left.
        keep: Duration,
    },
    /// It ends in this way. Only while not ended.
    End {
        /// Which.
        id: SessionId,
        /// How.
        reason: EndReason,
    },
    /// Its job is over: it ends as DONE if it is unary; a stream's session lives on. Only while not
    /// ended.
    EndIfUnary {
        /// Which.
        id: SessionId,
    },
    /// Its lease ran out: it ends as EXPIRED, only if its `expire_time` has passed and it has not
    /// ended.
    Expire {
        /// Which.
        id: SessionId,
    },
}

/// One atomic commit.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its id in the change log.
    pub id: BatchId,
    /// The server's clock; a store with a clock of its own judges leases by that.
    pub now: Timestamp,
    /// Jobs to be born.
    pub creates: Vec<NewJob>,
    /// At most one for each job.
    pub writes: Vec<JobWrite>,
    /// Jobs to go; none of them in `writes`.
    pub deletes: Vec<JobDelete>,
    /// Log batches, each kept only if its job is RUNNING with its epoch before this batch.
    pub logs: Vec<LogBatch>,
    /// Progress, at most one for each job.
    pub progress: Vec<ProgressWrite>,
    /// Sessions, in order.
    pub sessions: Vec<SessionWrite>,
}

impl Batch {
    /// A batch with nothing in it.
    #[must_use]
    pub const fn new(id: BatchId, now: Timestamp) -> Self {
        Self {
            id,
            now,
            creates: Vec::new(),
            writes: Vec::new(),
            deletes: Vec::new(),
            logs: Vec::new(),
            progress: Vec::new(),
            sessions: Vec::new(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.creates.is_empty()
            && self.writes.is_empty()
            && self.deletes.is_empty()
            && self.logs.is_empty()
            && self.progress.is_empty()
            && self.sessions.is_empty()
    }
}

/// What became of a create or a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Done,
    /// The job has another revision or epoch, or is gone.
    Missed,
    /// Another job holds the key.
    KeyTaken {
        /// Which key.
        kind: KeyKind,
        /// The other job.
        holder: JobId,
    },
}

/// What became of a log batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is durable, or was already.
    Done,
    /// Its job is not RUNNING with its epoch.
    Missed,
}

/// What became of a batch; lists are as long as those of the batch, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// Of each create.
    pub creates: Vec<Written>,
    /// Of each write.
    pub writes: Vec<Written>,
    /// Of each delete: whether it went.
    pub deletes: Vec<bool>,
    /// Of each log batch.
    pub logs: Vec<Appended>,
    /// Of each session write: whether it applied.
    pub sessions: Vec<bool>,
}

/// Where a dispatch round looks for waiting jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The queue.
    pub queue: QueueName,
    /// The type.
    pub job_type: JobType,
    /// At most so many.
    pub limit: usize,
}

/// One dispatch round: its candidates are locked until it is committed or dropped.
#[async_trait]
pub trait Round: Send {
    /// PENDING jobs that are due and whose deadline has not passed, in the order of their `ready_key`
    /// within each probe.
    fn candidates(&self) -> &[Job];
    /// Writes what was decided on them, atomically with the locks held.
    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed>;
    /// Lets the candidates go.
    async fn abandon(self: Box<Self>);
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
    /// At most so many rows of each kind.
    pub limit: usize,
}

/// The store as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `sqlite` or `memory`.
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

/// A place where jobs are kept.
///
/// Calls are not to be dropped half-way: run them in a task that owns them.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// These jobs, whole, in any order; those that do not exist are left out. The progress of a
    /// running job is the newest flushed one.
    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>>;
    /// Writes a batch. What missed its guard leaves no trace.
    async fn commit(&self, batch: Batch) -> Result<Committed>;
    /// Whether a batch with this id was committed.
    async fn has_batch(&self, id: BatchId) -> Result<bool>;
    /// Opens a dispatch round.
    async fn begin_round(&self, probes: Vec<Probe>, now: Timestamp) -> Result<Box<dyn Round>>;
    /// The job that a request id made, if it is known.
    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>>;
    /// A page of jobs.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>>;
    /// How many jobs match, counted up to `cap`.
    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64>;
    /// Executions that the status no longer holds, oldest first.
    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>>;
    /// Rows of a job's log, in order.
    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>>;
    /// Lets go of whole rows of one lease's log between its first `head` and last `tail` lines, and
    /// leaves the count of lines in one row. Answers how many lines went.
    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64>;
    /// Jobs whose [`JobStatus::deadline`](crate::domain::JobStatus::deadline) has passed.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>>;
    /// The earliest deadline of all jobs.
    async fn next_deadline(&self) -> Result<Option<Timestamp>>;
    /// Open sessions whose lease has run out.
    async fn expired_sessions(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>>;
    /// RUNNING jobs on ended sessions.
    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>>;
    /// Running jobs that these sessions hold, with their flushed progress and without payloads.
    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>>;
    /// Sessions that are open, or ended after `ended_after`; newest first.
    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>>;
    /// Open sessions of a process.
    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>>;
    /// One session.
    async fn session(&self, id: SessionId) -> Result<Option<Session>>;
    /// Every counter.
    async fn counts(&self) -> Result<Vec<Count>>;
    /// Minute buckets from this minute on.
    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>>;
    /// When the longest waiting due job of each (queue, type) became ready.
    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>>;
    /// The newest ended jobs of a type, newest id first, without payloads and results.
    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        limit: usize,
    ) -> Result<Vec<Job>>;
    /// Takes away what is past its time; answers how many rows went.
    async fn prune(&self, prune: Prune) -> Result<u64>;
    /// Whether it answers.
    async fn ping(&self) -> Result<()>;
    /// How it is.
    async fn info(&self) -> Result<StoreInfo>;
    /// Ends all work and releases what it holds.
    async fn close(&self);
}

/// Whether a job in this state holds its unique key.
#[must_use]
pub const fn holds_key(state: &State) -> bool {
    !state.kind().is_terminal()
}
