//! What follows from a command.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{QuotaName, SessionId};
use crate::domain::quota::QuotaDraw;
use crate::domain::status::JobStatus;
use crate::domain::status::{Attempt, CancelRequest, StateKind};
use crate::domain::time::Timestamp;
use crate::domain::typical::Slow;

use super::command::CommandKind;

/// The answer to an allowed command.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// The job stands differently now.
    Changed(Box<Transition>),
    /// It stands as was asked already.
    Unchanged,
}

/// One durable change.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// How the job stands after it.
    pub status: JobStatus,
    /// The execution that the status forgets by it: a row of the job's history.
    pub superseded: Option<Attempt>,
    /// What others may want to know once it is durable.
    pub effects: Vec<Effect>,
}

impl Transition {
    /// A start with what it drew from quotas.
    #[must_use]
    pub fn drawing(mut self, draws: BTreeMap<QuotaName, QuotaDraw>) -> Self {
        self.status.quota_draws = draws;
        self
    }

    /// A start that counts under a cap for this value of a label.
    #[must_use]
    pub fn keyed(mut self, key: Option<String>) -> Self {
        if let Some(execution) = &mut self.status.execution {
            execution.concurrency_key = key;
        }
        self
    }

    /// A skip with the moment from which one may be tried again.
    #[must_use]
    pub fn skipped_until(mut self, until: Option<Timestamp>) -> Self {
        self.status.skip_until = until;
        self
    }
}

/// A hint to act on after the commit. It may be lost: whatever must happen is in the status.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A worker got it.
    Started {
        /// The attempt's number.
        attempt: u32,
    },
    /// It became ready, or will be at that moment.
    Ready {
        /// When.
        at: Timestamp,
    },
    /// The session's worker is to stop it.
    AskToStop {
        /// The attach that has it.
        session: SessionId,
        /// The wish.
        request: CancelRequest,
    },
    /// It was found stuck.
    FoundStuck {
        /// Its last activity, or its start.
        since: Timestamp,
        /// Whether activity after `since` would have spared it: then it must not have shown any until
        /// this is committed.
        spare_active: bool,
    },
    /// It was found to take unusually long.
    FoundSlow {
        /// How long, and what is usual.
        slow: Slow,
    },
    /// The session lost it: its worker is to stop at once and report nothing more.
    Revoked {
        /// The attach that had it.
        session: SessionId,
        /// The lease that ended.
        lease_epoch: i64,
        /// For people.
        reason: &'static str,
    },
    /// An execution ended.
    Closed {
        /// The attach that had it.
        session: SessionId,
    },
    /// An attempt failed and another one will be made.
    RetryScheduled {
        /// The wait.
        delay: Duration,
    },
    /// The lease was lost.
    LeaseLost,
    /// The job is over.
    Ended {
        /// How.
        state: StateKind,
    },
}

impl Effect {
    /// The moment after which its job must not have shown activity when this is committed.
    #[must_use]
    pub const fn quiet_since(&self) -> Option<Timestamp> {
        match self {
            Self::FoundStuck { since, spare_active: true } => Some(*since),
            Self::FoundStuck { spare_active: false, .. }
            | Self::FoundSlow { .. }
            | Self::Started { .. }
            | Self::Ready { .. }
            | Self::AskToStop { .. }
            | Self::Revoked { .. }
            | Self::Closed { .. }
            | Self::RetryScheduled { .. }
            | Self::LeaseLost
            | Self::Ended { .. } => None,
        }
    }
}

/// Why a command is not allowed now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The state does not allow it.
    #[error("{} does not apply to a {} job", command.as_str(), state.as_str())]
    IllegalTransition {
        /// Where the job is.
        state: StateKind,
        /// What was asked.
        command: CommandKind,
    },
    /// The lease presented is not the one in force.
    #[error("lease epoch {presented} is not in force: the job is {} at epoch {held}", state.as_str())]
    StaleLease {
        /// The job's epoch.
        held: i64,
        /// The epoch presented.
        presented: i64,
        /// Where the job is.
        state: StateKind,
    },
    /// It waits for its time.
    #[error("the job is not due before {} µs", schedule_time.as_micros())]
    NotDue {
        /// Its time.
        schedule_time: Timestamp,
    },
}
