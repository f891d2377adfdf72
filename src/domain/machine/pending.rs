//! Commands to a job that waits.

use crate::domain::admission;
use crate::domain::job::JobSpec;
use crate::domain::status::{
    Attention, CancelCause, CancelRequest, Execution, JobError, JobStatus, State, StateKind,
};
use crate::domain::usage::UsageWatch;
use crate::domain::written::moment_shown;

use super::command::{Command, Now};
use super::transition::{Applied, Effect, Refusal, Transition};

pub(super) fn apply(
    spec: &JobSpec,
    status: &JobStatus,
    command: Command,
    now: Now,
) -> Result<Applied, Refusal> {
    let kind = command.kind();
    let mut next = status.clone();
    next.revision += 1;
    next.update_time = now.time;
    match command {
        Command::Start { session, worker_id } => {
            if status.schedule_time > now.time {
                return Err(Refusal::NotDue { schedule_time: status.schedule_time });
            }
            // Expired and not yet told so: it fails at its deadline instead.
            if status.deadline(spec.expire_time).is_some_and(|time| time <= now.time) {
                return Err(Refusal::IllegalTransition {
                    state: StateKind::Pending,
                    command: kind,
                });
            }
            next.attempt += 1;
            next.lease_epoch += 1;
            next.state = State::Running {
                session,
                timeout_time: spec.timeout.map(|timeout| now.time.plus(timeout)),
            };
            next.execution = Some(Execution {
                number: next.attempt,
                worker_id,
                ready_time: status.schedule_time,
                start_time: now.time,
                end: None,
                report: None,
                concurrency_key: None,
            });
            next.progress = status.progress.of_next();
            next.quota_draws.clear();
            next.attention = Attention {
                look_time: spec.stuck_after.map(|after| now.time.plus(after)),
                ..Attention::default()
            };
            next.resource_usage = None;
            next.usage_watch = UsageWatch::default();
            next.error = None;
            next.result = None;
            next.cancel_request = None;
            let effects = vec![Effect::Started { attempt: next.attempt }];
            Ok(changed(next, status, effects, true))
        }
        Command::Cancel { reason, requested_by, grace: _ } => {
            next.cancel_request = Some(CancelRequest {
                cause: CancelCause::Caller,
                time: now.time,
                reason,
                requested_by,
                grace: std::time::Duration::ZERO,
            });
            next.state = State::Cancelled;
            next.end_time = Some(now.time);
            let effects = vec![Effect::Ended { state: StateKind::Cancelled }];
            Ok(changed(next, status, effects, false))
        }
        Command::MeetDeadline => {
            let deadline = status.deadline(spec.expire_time);
            let Some(expired) = deadline.filter(|time| *time <= now.time) else {
                return Ok(Applied::Unchanged);
            };
            let why = format!("did not start by its expire_time, {}", moment_shown(expired));
            Ok(expire(next, status, why, now))
        }
        // Whatever changed since it was found, it does not stand as it was found.
        Command::Expire { revision, .. } if revision != status.revision => Ok(Applied::Unchanged),
        Command::Expire { reason, .. } => Ok(expire(next, status, reason, now)),
        Command::Skip { reason } => {
            next.state = State::Skipped { reason };
            next.end_time = Some(now.time);
            let effects = vec![Effect::Ended { state: StateKind::Skipped }];
            Ok(changed(next, status, effects, false))
        }
        Command::Retry { schedule_time, force: _ } => {
            let wanted = schedule_time.unwrap_or(now.time).max(now.time);
            // A job that waits for a worker already keeps its place in line.
            let ready_already = status.schedule_time <= now.time && wanted <= now.time;
            if ready_already || wanted == status.schedule_time {
                return Ok(Applied::Unchanged);
            }
            next.schedule_time = wanted;
            next.state = State::Pending {
                ready_key: admission::ready_key(wanted, status.effective.priority),
            };
            Ok(changed(next, status, vec![Effect::Ready { at: wanted }], false))
        }
        // Fenced before: these name a lease, and a waiting job has none in force.
        Command::Adopt { .. }
        | Command::Succeed { .. }
        | Command::Fail { .. }
        | Command::ReportUse { .. }
        | Command::ConfirmCancelled { .. }
        | Command::Release { .. }
        | Command::LoseLease { .. }
        | Command::RequestStop { .. }
        | Command::StopStuck { .. }
        | Command::NoteStuck { .. }
        | Command::NoteSlow { .. } => {
            Err(Refusal::IllegalTransition { state: StateKind::Pending, command: kind })
        }
    }
}

fn expire(mut next: JobStatus, before: &JobStatus, why: String, now: Now) -> Applied {
    // An execution that was given back or failed stays in the history; this error is not its own.
    next.execution = None;
    next.error = Some(JobError::server("EXPIRED", why));
    next.state = State::Failed;
    next.end_time = Some(now.time);
    changed(next, before, vec![Effect::Ended { state: StateKind::Failed }], true)
}

fn changed(
    next: JobStatus,
    before: &JobStatus,
    effects: Vec<Effect>,
    forgets_execution: bool,
) -> Applied {
    let superseded = if forgets_execution { before.last_attempt() } else { None };
    Applied::Changed(Box::new(Transition { status: next, superseded, effects }))
}
