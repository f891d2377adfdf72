//! The state machine: the only place that decides a state.
//!
//! Owns: which command is allowed in which state and what follows ([`apply`]), the birth of a job
//! ([`create`]), and the same rules as data ([`table`]) for docs and tests.
//! Does not own: storage, locks, delivery. A [`Transition`] says what must be so after the commit;
//! its effects are hints that may be lost.
//! Invariants: total and pure; revision grows by one per transition; times of a job never go back;
//! attempt ≤ `max_attempts`; an old lease epoch changes nothing.

mod closing;
mod command;
mod create;
mod pending;
mod running;
mod stuck;
pub mod table;
mod terminal;
mod transition;

#[cfg(test)]
mod tests;

pub use command::{Command, CommandKind, Now, ReleaseReason};
pub use create::{Birth, create};
pub use transition::{Applied, Effect, Refusal, Transition};

use super::job::JobSpec;
use super::status::{JobStatus, Report, State};

/// Decides what `command` does to a job that stands as `status`.
///
/// # Errors
/// A [`Refusal`] with the facts if the command is not allowed now.
pub fn apply(
    spec: &JobSpec,
    status: &JobStatus,
    command: Command,
    now: Now,
) -> Result<Applied, Refusal> {
    // Times of one job never go back, whatever the clocks of its servers say.
    let now = Now { time: now.time.max(status.update_time), ..now };
    if let Some(epoch) = command.lease_epoch()
        && let Some(known) = fence(status, epoch, command.report())?
    {
        return Ok(known);
    }
    match status.state {
        State::Pending { .. } => pending::apply(spec, status, command, now),
        State::Running { session, timeout_time } => {
            running::apply(spec, status, session, timeout_time, command, now)
        }
        State::Succeeded | State::Failed | State::Cancelled | State::Skipped { .. } => {
            terminal::apply(status, &command, now)
        }
    }
}

/// Lets a command of the current lease through; knows again the report that closed it.
fn fence(
    status: &JobStatus,
    presented: i64,
    report: Option<Report>,
) -> Result<Option<Applied>, Refusal> {
    let stale = Refusal::StaleLease { held: status.lease_epoch, presented, state: status.kind() };
    if presented != status.lease_epoch || presented == 0 {
        return Err(stale);
    }
    match status.state {
        State::Running { .. } => Ok(None),
        State::Pending { .. }
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Skipped { .. } => {
            let said = status.execution.as_ref().and_then(|execution| execution.report);
            if report.is_some() && report == said {
                Ok(Some(Applied::Unchanged))
            } else {
                Err(stale)
            }
        }
    }
}
