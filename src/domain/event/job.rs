//! Which change of a job gives which event.

use crate::domain::job::Job;
use crate::domain::machine::Effect;
use crate::domain::status::{CancelCause, JobStatus, SkipReason, State};

use super::facts::{Facts, StuckAction};
use super::{Event, EventName};

/// Which events are written that are not worth a row unless somebody asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Plain successes.
    pub successes: bool,
}

/// The event that one change of a job gives, from `before`, unset at its create, to `after`: how it
/// ended, or which rule asked it to stop.
#[must_use]
pub fn of_change(
    before: Option<&JobStatus>,
    after: &Job,
    effects: &[Effect],
    wanted: Wanted,
) -> Option<Event> {
    let status = &after.status;
    let facts = if before.is_some_and(|before| before.kind() == status.kind()) {
        asked(before?, status, effects)
    } else {
        ended(after)
    }?;
    let is_plain = facts.name() == EventName::JobSucceeded;
    (wanted.successes || !is_plain).then(|| Event::of_job(after, facts, status.update_time))
}

fn ended(after: &Job) -> Option<Facts> {
    let status = &after.status;
    let attempts = status.attempt;
    Some(match status.state {
        State::Pending { .. } | State::Running { .. } => return None,
        State::Succeeded => {
            Facts::JobSucceeded { attempts, run: status.run_duration(status.update_time) }
        }
        State::Failed => {
            let error = status.error.as_ref();
            Facts::JobFailed {
                attempts,
                code: error.map(|error| error.code.clone()).unwrap_or_default(),
                message: error.map(|error| error.message.clone()).unwrap_or_default(),
            }
        }
        State::Cancelled => {
            let request = status.cancel_request.as_ref();
            Facts::JobCancelled {
                requested_by: request.map(|by| by.requested_by.clone()).unwrap_or_default(),
                reason: request.map(|by| by.reason.clone()).unwrap_or_default(),
            }
        }
        // A run that never came is told as such, and not also as one that a policy refused.
        State::Skipped { reason: SkipReason::Missed } => Facts::ScheduleMissed {
            // The status has the moment at which it was recorded at the earliest.
            nominal_time: after.spec.schedule_time.unwrap_or(status.schedule_time),
        },
        State::Skipped { reason } => Facts::JobSkipped { reason },
    })
}

/// A running job that a rule asked to stop just now, or noted something of.
fn asked(before: &JobStatus, after: &JobStatus, effects: &[Effect]) -> Option<Facts> {
    let cause = |status: &JobStatus| status.cancel_request.as_ref().map(|request| request.cause);
    let request = after.cancel_request.as_ref().filter(|_| cause(before) != cause(after));
    let Some(request) = request else { return noted(after, effects) };
    match request.cause {
        CancelCause::Stuck => stuck(after, StuckAction::Stop, effects),
        CancelCause::ResourceLimit => Some(Facts::ResourceLimit {
            reason: request.reason.clone(),
            limits: after.effective.limits,
            usage: after.resource_usage,
        }),
        CancelCause::Caller | CancelCause::Timeout | CancelCause::Overlap => None,
    }
}

/// What a watchdog found, and lets run on.
fn noted(after: &JobStatus, effects: &[Effect]) -> Option<Facts> {
    let slow = effects.iter().find_map(|effect| match effect {
        Effect::FoundSlow { slow } => Some(Facts::of_slow(*slow, after.lease_epoch)),
        Effect::FoundStuck { .. }
        | Effect::Started { .. }
        | Effect::Ready { .. }
        | Effect::AskToStop { .. }
        | Effect::Revoked { .. }
        | Effect::Closed { .. }
        | Effect::RetryScheduled { .. }
        | Effect::LeaseLost
        | Effect::Ended { .. } => None,
    });
    slow.or_else(|| stuck(after, StuckAction::Notify, effects))
}

fn stuck(after: &JobStatus, action: StuckAction, effects: &[Effect]) -> Option<Facts> {
    let since = effects.iter().find_map(|effect| match effect {
        Effect::FoundStuck { since, .. } => Some(*since),
        Effect::FoundSlow { .. }
        | Effect::Started { .. }
        | Effect::Ready { .. }
        | Effect::AskToStop { .. }
        | Effect::Revoked { .. }
        | Effect::Closed { .. }
        | Effect::RetryScheduled { .. }
        | Effect::LeaseLost
        | Effect::Ended { .. } => None,
    })?;
    Some(Facts::JobStuck {
        minutes: after.update_time.since(since).as_secs() / 60,
        since,
        lease_epoch: after.lease_epoch,
        action,
    })
}
