//! The facts of each event.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::job::ResourceLimits;
use crate::domain::limits::QUEUE_AGE_TOLD_EVERY;
use crate::domain::progress::ResourceUsage;
use crate::domain::status::SkipReason;
use crate::domain::time::Timestamp;
use crate::domain::typical::Slow;
use crate::domain::watchdog::{Finding, Verdict};

use super::EventName;

/// What is done with a job that is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StuckAction {
    /// It was asked to stop.
    Stop,
    /// It runs on.
    Notify,
}

/// The facts of an event, by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Facts {
    /// See [`EventName::JobSucceeded`].
    JobSucceeded {
        /// Attempts it took.
        attempts: u32,
        /// How long the last one ran.
        run: Option<Duration>,
    },
    /// See [`EventName::JobFailed`].
    JobFailed {
        /// Attempts it took.
        attempts: u32,
        /// The error's code; may be empty.
        code: String,
        /// The error's message.
        message: String,
    },
    /// See [`EventName::JobCancelled`].
    JobCancelled {
        /// By whom; empty for the server itself.
        requested_by: String,
        /// In their words.
        reason: String,
    },
    /// See [`EventName::JobSkipped`].
    JobSkipped {
        /// Which policy.
        reason: SkipReason,
    },
    /// See [`EventName::JobStuck`].
    JobStuck {
        /// Minutes without activity, or since the start.
        minutes: u64,
        /// From when they are counted.
        since: Timestamp,
        /// The lease that was looked at.
        lease_epoch: i64,
        /// What is done.
        action: StuckAction,
    },
    /// See [`EventName::JobSlow`].
    JobSlow {
        /// How long it has taken.
        run: Duration,
        /// What 95 of 100 runs of its type take at most.
        p95: Duration,
        /// The lease that was looked at.
        lease_epoch: i64,
    },
    /// See [`EventName::ScheduleMissed`].
    ScheduleMissed {
        /// When it should have run.
        nominal_time: Timestamp,
    },
    /// See [`EventName::CircuitOpened`].
    CircuitOpened {
        /// When one job may try.
        next_probe_time: Timestamp,
    },
    /// See [`EventName::CircuitClosed`].
    CircuitClosed,
    /// See [`EventName::QuotaExhausted`].
    QuotaExhausted {
        /// The quota.
        quota: String,
        /// Units in a period.
        limit: u64,
        /// Units used in this one.
        #[serde(default)]
        used: u64,
        /// Units that the next start would draw; 0 if nobody knows.
        #[serde(default)]
        cost: u64,
        /// When the next period begins.
        reset_time: Timestamp,
    },
    /// See [`EventName::QueueAge`].
    QueueAge {
        /// How long its oldest ready job has waited.
        age: Duration,
        /// What is too long.
        threshold: Duration,
    },
    /// See [`EventName::WorkerLost`].
    WorkerLost {
        /// The worker.
        worker_id: String,
        /// Its process; may be empty.
        instance_id: String,
        /// Jobs it held.
        jobs: u64,
    },
    /// See [`EventName::ResourceLimit`].
    ResourceLimit {
        /// Which limit, by how much and for how long, for people.
        reason: String,
        /// What it may use.
        limits: ResourceLimits,
        /// What it used, as last written down.
        usage: Option<ResourceUsage>,
    },
}

impl Facts {
    /// What is to be told of a job that was found stuck; nothing of one that waits, which fails.
    #[must_use]
    pub fn of_finding(found: &Finding) -> Option<Self> {
        let action = match found.verdict {
            Verdict::Stop => StuckAction::Stop,
            Verdict::Notify => StuckAction::Notify,
            Verdict::Expire => return None,
        };
        Some(Self::JobStuck {
            minutes: found.minutes(),
            since: found.since,
            lease_epoch: found.lease_epoch,
            action,
        })
    }

    /// What is to be told of a slow run under a lease.
    #[must_use]
    pub const fn of_slow(slow: Slow, lease_epoch: i64) -> Self {
        Self::JobSlow { run: slow.run, p95: slow.p95, lease_epoch }
    }

    /// Their event's name.
    #[must_use]
    pub const fn name(&self) -> EventName {
        match self {
            Self::JobSucceeded { .. } => EventName::JobSucceeded,
            Self::JobFailed { .. } => EventName::JobFailed,
            Self::JobCancelled { .. } => EventName::JobCancelled,
            Self::JobSkipped { .. } => EventName::JobSkipped,
            Self::JobStuck { .. } => EventName::JobStuck,
            Self::JobSlow { .. } => EventName::JobSlow,
            Self::ScheduleMissed { .. } => EventName::ScheduleMissed,
            Self::CircuitOpened { .. } => EventName::CircuitOpened,
            Self::CircuitClosed => EventName::CircuitClosed,
            Self::QuotaExhausted { .. } => EventName::QuotaExhausted,
            Self::QueueAge { .. } => EventName::QueueAge,
            Self::WorkerLost { .. } => EventName::WorkerLost,
            Self::ResourceLimit { .. } => EventName::ResourceLimit,
        }
    }

    /// What makes it the same event though it is found again, on this replica or another.
    pub(super) fn once(&self, time: Timestamp) -> Option<String> {
        match self {
            // Once for each pause in the work of a lease: it is stuck until it moves.
            Self::JobStuck { since, lease_epoch, action: StuckAction::Notify, .. } => {
                Some(format!("{lease_epoch} {}", since.as_micros()))
            }
            Self::JobSlow { lease_epoch, .. } => Some(lease_epoch.to_string()),
            Self::QuotaExhausted { quota, reset_time, .. } => {
                Some(format!("{quota} {}", reset_time.as_micros()))
            }
            Self::QueueAge { .. } => {
                let every = i64::try_from(QUEUE_AGE_TOLD_EVERY.as_micros()).unwrap_or(i64::MAX);
                Some((time.as_micros() / every).to_string())
            }
            // A guarded write causes these: of a job, a breaker's state or a session's end.
            Self::JobStuck { action: StuckAction::Stop, .. }
            | Self::JobSucceeded { .. }
            | Self::JobFailed { .. }
            | Self::JobCancelled { .. }
            | Self::JobSkipped { .. }
            | Self::ScheduleMissed { .. }
            | Self::CircuitOpened { .. }
            | Self::CircuitClosed
            | Self::WorkerLost { .. }
            | Self::ResourceLimit { .. } => None,
        }
    }
}
