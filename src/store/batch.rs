//! One atomic commit: decisions as data, each with the revision and epoch it was decided on, and what
//! became of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::job::Job;
use crate::domain::logs::LogBatch;
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::session::{EndReason, Session};
use crate::domain::stats::{Changes, FacetPolicy};
use crate::domain::status::{Attempt, JobStatus, StateKind};
use crate::domain::usage::UsageWatch;
use crate::domain::{BatchId, JobId, Position, QueueName, SessionId, Timestamp};

use super::events::{AuditWrite, EventWrite};
use super::rules::{RuleKey, RuleWrite};

/// The names that must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// (caller, request id) of a create: kept on after the job is deleted.
    Request,
    /// (type, unique key) of a job that is not over.
    Unique,
    /// (type, nominal time) of a scheduled run, as long as its job is there.
    Fire,
}

/// A name that one job at a time may have: of which kind, within what, and which.
pub type KeyName = (KeyKind, String, String);

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

/// A nominal time of a schedule, as its key has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire(String);

impl Fire {
    /// The key of a nominal time.
    #[must_use]
    pub fn at(nominal: Timestamp) -> Self {
        Self(nominal.as_micros().to_string())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job to be born. If its spec has a unique key and it is not over at birth, it takes the key.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The job; its status may already be past the first one (created and started at once).
    pub job: Job,
    /// The create's request id.
    pub request: Option<RequestKey>,
    /// The nominal time of its type's schedule that it is the run of, whatever became of it: no other
    /// job can be that.
    pub fire: Option<Fire>,
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

/// What a job counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its state.
    pub state: StateKind,
    /// Its effective queue.
    pub queue: QueueName,
    /// The label's value it runs under, if its type was capped by one when it started.
    pub value: Option<String>,
}

impl Counted {
    /// What a job of this status counts as.
    #[must_use]
    pub fn of(status: &JobStatus) -> Self {
        let value = status.concurrency_key().map(str::to_owned);
        Self { state: status.kind(), queue: status.effective.queue.clone(), value }
    }
}

/// A changed status, guarded by the revision and epoch it was decided on.
#[derive(Debug, Clone)]
pub struct JobWrite {
    /// Revision the job must have.
    pub expected_revision: i64,
    /// Lease epoch the job must have.
    pub expected_epoch: i64,
    /// Its flushed progress must show no activity after this moment.
    pub quiet_since: Option<Timestamp>,
    /// What it counts as then.
    pub before: Counted,
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

/// The newest progress of a running job: written only if it runs with that epoch. Within a lease the report goes
/// forward in its sequence, the activity and the usage by their own times, so that whoever comes late undoes none of
/// them.
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
    /// Since when that is more than it may.
    pub usage_watch: UsageWatch,
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

impl SessionWrite {
    /// The session it is about.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        match self {
            Self::Open(session) => session.id,
            Self::Renew { id, .. }
            | Self::Shorten { id, .. }
            | Self::End { id, .. }
            | Self::EndIfUnary { id }
            | Self::Expire { id } => *id,
        }
    }
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
    /// Progress; what several rows say of a job under one lease counts together.
    pub progress: Vec<ProgressWrite>,
    /// Sessions, in order.
    pub sessions: Vec<SessionWrite>,
    /// Rules, at most one write for each: if one misses its guard, nothing of the batch is written.
    pub rules: Vec<RuleWrite>,
    /// What is told with it.
    pub events: Vec<EventWrite>,
    /// Who did what in it.
    pub audit: Vec<AuditWrite>,
    /// What figures are kept by besides types and queues.
    pub facets: Option<Arc<FacetPolicy>>,
    /// Jobs in `writes` whose change the rules were decided on: if the guard of one of them misses, all
    /// rules do.
    pub rules_hang_on: BTreeSet<JobId>,
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
            rules: Vec::new(),
            events: Vec::new(),
            audit: Vec::new(),
            facets: None,
            rules_hang_on: BTreeSet::new(),
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
            && self.rules.is_empty()
            && self.events.is_empty()
            && self.audit.is_empty()
    }

    /// Whether it changes a rule that other servers go by.
    #[must_use]
    pub fn has_rule_news(&self) -> bool {
        self.rules.iter().any(|write| write.key.kind.is_news())
    }

    /// Its rules, if one of the writes that they were decided on is among those that missed.
    pub(super) fn rules_missed_by(&self, writes: &[Written]) -> Vec<RuleKey> {
        let on = |id: &JobId| self.rules_hang_on.contains(id);
        let written = self.writes.iter().map(|write| &write.job.id).zip(writes);
        let missed = written.into_iter().any(|(id, written)| on(id) && *written != Written::Done);
        let rules = self.rules.iter().filter(|_| missed);
        rules.map(|write| write.key.clone()).collect()
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
    /// Of each event: whether it was written.
    pub events: Vec<bool>,
    /// Rules whose guard missed: then nothing was written, and all else is missed too.
    pub missed_rules: Vec<RuleKey>,
    /// Its place in the change log; none if the batch was empty or missed a rule, and maybe none if it
    /// was progress alone.
    pub position: Option<Position>,
    /// Whether other servers were told of it with it.
    pub told: bool,
}

impl Committed {
    /// What becomes of a batch of which these rules missed their guard.
    pub(super) fn missed(batch: &Batch, missed_rules: Vec<RuleKey>) -> Self {
        Self {
            creates: vec![Written::Missed; batch.creates.len()],
            writes: vec![Written::Missed; batch.writes.len()],
            deletes: vec![false; batch.deletes.len()],
            logs: vec![Appended::Missed; batch.logs.len()],
            sessions: vec![false; batch.sessions.len()],
            events: vec![false; batch.events.len()],
            missed_rules,
            position: None,
            told: false,
        }
    }
}
