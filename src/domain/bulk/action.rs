//! What is done to each job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::audit::AuditAction;
use crate::domain::job::Job;
use crate::domain::machine::{Applied, Command, Now, Refusal, apply};
use crate::domain::status::StateKind;
use crate::domain::time::Timestamp;

/// What is done to each job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkAction {
    /// As CancelJob.
    Cancel {
        /// Time that a running job has to stop.
        grace: Duration,
    },
    /// As RetryJob, at once and without force.
    Retry,
    /// As DeleteJob.
    Delete,
}

/// What an action would do to one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// The job would stand differently, or be gone.
    Changes,
    /// It stands as is asked already.
    Nothing,
    /// It is not allowed.
    Refused(Refusal),
    /// It is not allowed to delete a job that is not over.
    NotOver,
}

impl BulkAction {
    /// The name in docs, logs and terminals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }

    /// What the audit calls the command, and what it does to each job.
    #[must_use]
    pub const fn audited(self) -> (AuditAction, AuditAction) {
        match self {
            Self::Cancel { .. } => (AuditAction::BulkCancelJobs, AuditAction::CancelJob),
            Self::Retry => (AuditAction::BulkRetryJobs, AuditAction::RetryJob),
            Self::Delete => (AuditAction::BulkDeleteJobs, AuditAction::DeleteJob),
        }
    }

    /// The states it means when the filter names none: those in which it does what its name says.
    #[must_use]
    pub const fn states(self) -> &'static [StateKind] {
        use StateKind::{Cancelled, Failed, Pending, Running, Skipped, Succeeded};
        match self {
            Self::Cancel { .. } => &[Pending, Running],
            Self::Retry => &[Failed, Cancelled, Skipped],
            Self::Delete => &[Succeeded, Failed, Cancelled, Skipped],
        }
    }

    /// Whether it can do anything to a job in `state`. A job that waits for its next attempt may be
    /// retried now, but only if the filter says so.
    #[must_use]
    pub fn is_for(self, state: StateKind) -> bool {
        self.states().contains(&state) || (self == Self::Retry && state == StateKind::Pending)
    }

    /// The command to one job; none for a delete, which is none of the machine's.
    #[must_use]
    pub fn command(self, reason: &str, requested_by: &str) -> Option<Command> {
        match self {
            Self::Cancel { grace } => Some(Command::Cancel {
                reason: reason.to_owned(),
                requested_by: requested_by.to_owned(),
                grace,
            }),
            Self::Retry => Some(Command::Retry { schedule_time: None, force: false }),
            Self::Delete => None,
        }
    }

    /// What it would do to `job` now.
    #[must_use]
    pub fn plan(self, job: &Job, now: Timestamp) -> Planned {
        match self.command("", "") {
            None if job.status.kind().is_terminal() => Planned::Changes,
            None => Planned::NotOver,
            Some(command) => match apply(&job.spec, &job.status, command, Now::at(now)) {
                Ok(Applied::Changed(_)) => Planned::Changes,
                Ok(Applied::Unchanged) => Planned::Nothing,
                Err(refusal) => Planned::Refused(refusal),
            },
        }
    }
}
