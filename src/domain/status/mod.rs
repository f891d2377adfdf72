//! How a job stands. Data that only one state has lives in that state.
//!
//! Owns: the states ([`State`]) and the whole status ([`JobStatus`]); the wish that a job stop
//! (`cancel`), what became of its executions (`execution`) and what watchdogs noted (`attention`).
//! Does not own: which state follows which (`machine`).

mod attention;
mod cancel;
mod execution;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{Category, QueueName, QuotaName, SessionId, WorkerName};
use super::job::{Priority, ResourceLimits, Trigger};
use super::progress::{Progress, ResourceUsage};
use super::quota::QuotaDraw;
use super::time::Timestamp;
use super::usage::UsageWatch;
use super::written::is_default;

pub use attention::Attention;
pub use cancel::{CancelCause, CancelRequest};
pub use execution::{Attempt, ErrorOrigin, Execution, JobError, Outcome, Report};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Waits: for its time, for its next attempt, or for a worker.
    #[serde(rename = "P")]
    Pending {
        /// Its place in line: the moment it became ready less the boost of its priority.
        #[serde(rename = "k")]
        ready_key: Timestamp,
    },
    /// A worker has it.
    #[serde(rename = "R")]
    Running {
        /// The attach it is leased to.
        #[serde(rename = "s")]
        session: SessionId,
        /// When its attempt has run for too long.
        #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
        timeout_time: Option<Timestamp>,
    },
    /// Done.
    #[serde(rename = "S")]
    Succeeded,
    /// Failed for good.
    #[serde(rename = "F")]
    Failed,
    /// Stopped because somebody asked.
    #[serde(rename = "C")]
    Cancelled,
    /// Never ran because a policy refused it.
    #[serde(rename = "K")]
    Skipped {
        /// Which one.
        #[serde(rename = "r")]
        reason: SkipReason,
    },
}

/// A state's name, without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StateKind {
    /// See [`State::Pending`].
    Pending,
    /// See [`State::Running`].
    Running,
    /// See [`State::Succeeded`].
    Succeeded,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Cancelled`].
    Cancelled,
    /// See [`State::Skipped`].
    Skipped,
}

impl StateKind {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// Whether a job that stands here is over.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped => true,
        }
    }

    /// The name as written in docs, logs and terminals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Skipped => "SKIPPED",
        }
    }
}

impl State {
    /// The state's name.
    #[must_use]
    pub const fn kind(&self) -> StateKind {
        match self {
            Self::Pending { .. } => StateKind::Pending,
            Self::Running { .. } => StateKind::Running,
            Self::Succeeded => StateKind::Succeeded,
            Self::Failed => StateKind::Failed,
            Self::Cancelled => StateKind::Cancelled,
            Self::Skipped { .. } => StateKind::Skipped,
        }
    }
}

/// Why a run was refused by policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SkipReason {
    /// The type's circuit breaker is open.
    CircuitOpen,
    /// Another run of the type is still going.
    Overlap,
    /// The type is switched off.
    TypeDisabled,
    /// An outside quota is used up.
    QuotaExhausted,
    /// It was expected elsewhere and did not come, or its time came while nobody could make it.
    Missed,
}

impl SkipReason {
    /// The name as written in docs, logs and terminals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::Overlap => "OVERLAP",
            Self::TypeDisabled => "TYPE_DISABLED",
            Self::QuotaExhausted => "QUOTA_EXHAUSTED",
            Self::Missed => "MISSED",
        }
    }
}

/// A run that a policy refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// Which policy.
    pub reason: SkipReason,
    /// When one may be tried again, if that is known.
    pub until: Option<Timestamp>,
}

impl From<SkipReason> for Skip {
    fn from(reason: SkipReason) -> Self {
        Self { reason, until: None }
    }
}

/// What a retry rule may have changed; filters and counters go by these.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Effective {
    /// Where it waits.
    #[serde(rename = "q", default, skip_serializing_if = "QueueName::is_default")]
    pub queue: QueueName,
    /// How it stands in line.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// What it may use.
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub limits: ResourceLimits,
    /// The worker it failed on and keeps away from, for a while.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub avoid_worker: Option<WorkerName>,
}

impl Effective {
    /// Whether it is that of a job that asks for nothing particular.
    fn is_default(&self) -> bool {
        let Self { queue, priority, limits, avoid_worker } = self;
        queue.is_default() && is_default(priority) && is_default(limits) && avoid_worker.is_none()
    }
}

/// How a job stands. It is stored anew with each change, so its fields have short names there, and what
/// is at its default is left out. What never changes of it is stored beside the spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Where it is in its life.
    #[serde(rename = "s")]
    pub state: State,
    /// Durable changes so far: the create is 1.
    #[serde(rename = "r")]
    pub revision: i64,
    /// The attempt's number; 0 before the first start.
    #[serde(rename = "a", default, skip_serializing_if = "is_default")]
    pub attempt: u32,
    /// Attempts in all.
    #[serde(rename = "m")]
    pub max_attempts: u32,
    /// Times it was handed out.
    #[serde(rename = "l", default, skip_serializing_if = "is_default")]
    pub lease_epoch: i64,
    /// Releases since it last came to an outcome.
    #[serde(rename = "rl", default, skip_serializing_if = "is_default")]
    pub releases: u32,
    /// Leases lost so far: the first one costs no back-off.
    #[serde(rename = "ll", default, skip_serializing_if = "is_default")]
    pub leases_lost: u32,
    /// Its type's category at the create.
    #[serde(skip)]
    pub category: Option<Category>,
    /// The caller that made it.
    #[serde(skip)]
    pub created_by: String,
    /// What made it.
    #[serde(skip)]
    pub trigger: Trigger,
    /// What a retry rule may have changed.
    #[serde(rename = "e", default, skip_serializing_if = "Effective::is_default")]
    pub effective: Effective,
    /// How far it is.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    pub progress: Progress,
    /// What it uses.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsage>,
    /// Since when it uses more than it may. It stands with the flushed progress, never with the status.
    #[serde(skip)]
    pub usage_watch: UsageWatch,
    /// Its last execution.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// When it was made.
    #[serde(skip)]
    pub create_time: Timestamp,
    /// When it may run, or could at the earliest.
    #[serde(rename = "d")]
    pub schedule_time: Timestamp,
    /// When it came to its end.
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// When it last changed.
    #[serde(rename = "w")]
    pub update_time: Timestamp,
    /// The wish that it stop; kept once it is over.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub cancel_request: Option<CancelRequest>,
    /// What came of it: an encoded `google.protobuf.Struct`, opaque here, kept beside the rest.
    #[serde(skip)]
    pub result: Option<Bytes>,
    /// What went wrong in the last attempt.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// What the watchdogs have noted of its last execution.
    #[serde(default, skip_serializing_if = "Attention::is_none")]
    pub attention: Attention,
    /// When the policy that refused it lets one be tried again, as far as was known then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_until: Option<Timestamp>,
    /// What its last execution draws from outside quotas.
    #[serde(rename = "q", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quota_draws: BTreeMap<QuotaName, QuotaDraw>,
}

impl JobStatus {
    /// The state's name.
    #[must_use]
    pub const fn kind(&self) -> StateKind {
        self.state.kind()
    }

    /// The next moment at which the clock alone changes something: a waiting job's `expire_time`
    /// before its first start, a running job's timeout, the moment to look whether it is stuck, or the
    /// end of its grace.
    #[must_use]
    pub fn deadline(&self, expire_time: Option<Timestamp>) -> Option<Timestamp> {
        match self.state {
            State::Pending { .. } => expire_time.filter(|time| self.may_expire(*time)),
            State::Running { timeout_time, .. } => match &self.cancel_request {
                Some(request) => Some(request.end_time()),
                None => timeout_time.into_iter().chain(self.attention.look_time).min(),
            },
            State::Succeeded | State::Failed | State::Cancelled | State::Skipped { .. } => None,
        }
    }

    /// Whether a waiting job is still bound by its `expire_time`: only before its first start (one
    /// that was given back does not count), and not if it was asked for again after that moment.
    fn may_expire(&self, expire_time: Timestamp) -> bool {
        let ready = self.execution.as_ref().map_or(self.schedule_time, |run| run.ready_time);
        self.attempt == 0 && ready < expire_time
    }

    /// The session a running job is leased to.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Running { session, .. } => Some(session),
            State::Pending { .. }
            | State::Succeeded
            | State::Failed
            | State::Cancelled
            | State::Skipped { .. } => None,
        }
    }

    /// The label's value under which a running job counts, if its type was capped by one when it started.
    #[must_use]
    pub fn concurrency_key(&self) -> Option<&str> {
        self.session()?;
        self.execution.as_ref()?.concurrency_key.as_deref()
    }

    /// How long the last attempt ran, or has run at `now`.
    #[must_use]
    pub fn run_duration(&self, now: Timestamp) -> Option<Duration> {
        let execution = self.execution.as_ref()?;
        let until = execution.end.map_or(now, |(time, _)| time);
        Some(until.since(execution.start_time))
    }

    /// How long the last attempt waited after it became ready, or this job has waited at `now`.
    #[must_use]
    pub fn wait_duration(&self, now: Timestamp) -> Duration {
        match (&self.state, &self.execution) {
            (State::Pending { .. }, _) => now.since(self.schedule_time),
            (_, Some(execution)) => execution.start_time.since(execution.ready_time),
            (_, None) => self.end_time.unwrap_or(now).since(self.schedule_time),
        }
    }

    /// The last execution as a row of the job's history, if there is one.
    #[must_use]
    pub fn last_attempt(&self) -> Option<Attempt> {
        let execution = self.execution.clone()?;
        Some(Attempt {
            lease_epoch: self.lease_epoch,
            execution,
            error: self.error.clone(),
            progress: self.progress.clone(),
            resource_usage: self.resource_usage,
        })
    }
}

#[cfg(test)]
mod tests;
