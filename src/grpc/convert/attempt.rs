//! Executions in the history of a job.

use crate::domain::{Attempt, CancelCause, ErrorOrigin, JobError, Outcome, Timestamp};
use crate::proto::v1;

use super::job::View;
use super::{error, progress, time, usage};

/// An execution as a message, whole.
#[must_use]
pub fn to_proto(attempt: &Attempt, now: Timestamp) -> v1::Attempt {
    let execution = &attempt.execution;
    let end_time = execution.end.map(|(time, _)| time);
    let run = end_time.unwrap_or(now).since(execution.start_time);
    let outcome = execution.end.map_or(v1::AttemptOutcome::Unspecified, |(_, outcome)| {
        outcome_to_proto(outcome, attempt.error.as_ref())
    });
    v1::Attempt {
        number: i32::try_from(execution.number).unwrap_or(i32::MAX),
        lease_epoch: attempt.lease_epoch,
        worker_id: execution.worker_id.to_string(),
        start_time: Some(time::to_proto(execution.start_time)),
        end_time: end_time.map(time::to_proto),
        run_duration: Some(time::span_to_proto(run)),
        outcome: outcome.into(),
        error: attempt.error.as_ref().map(|found| error::to_proto(found, View::Full)),
        progress: attempt
            .progress
            .is_reported()
            .then(|| progress::to_proto(&attempt.progress, execution.start_time, end_time, now)),
        resource_usage: attempt.resource_usage.as_ref().map(usage::to_proto),
    }
}

/// How it ended; which rule of the server stopped it is told by the code of its error.
fn outcome_to_proto(outcome: Outcome, error: Option<&JobError>) -> v1::AttemptOutcome {
    let rule = error.filter(|error| error.origin == ErrorOrigin::Server);
    let stopped_for = |cause: CancelCause| rule.is_some_and(|error| error.code == cause.as_str());
    match outcome {
        Outcome::Succeeded => v1::AttemptOutcome::Succeeded,
        Outcome::Failed if stopped_for(CancelCause::Stuck) => v1::AttemptOutcome::Stuck,
        Outcome::Failed if stopped_for(CancelCause::ResourceLimit) => {
            v1::AttemptOutcome::ResourceLimit
        }
        Outcome::Failed => v1::AttemptOutcome::Failed,
        Outcome::Cancelled => v1::AttemptOutcome::Cancelled,
        Outcome::Released => v1::AttemptOutcome::Released,
        Outcome::LeaseLost => v1::AttemptOutcome::LeaseLost,
        Outcome::TimedOut => v1::AttemptOutcome::TimedOut,
    }
}
