//! Commands to a job that a worker has.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{QuotaName, SessionId};
use crate::domain::job::JobSpec;
use crate::domain::limits::{CANCEL_GRACE_DEFAULT, QUOTA_COSTS_MAX};
use crate::domain::status::{
    CancelCause, CancelRequest, JobError, JobStatus, Outcome, State, StateKind,
};
use crate::domain::time::Timestamp;

use super::closing::{Closing, changed, transition};
use super::command::{Command, Now};
use super::stuck::{self, Found};
use super::transition::{Applied, Effect, Refusal};

pub(super) fn apply(
    spec: &JobSpec,
    status: &JobStatus,
    session: SessionId,
    timeout_time: Option<Timestamp>,
    command: Command,
    now: Now,
) -> Result<Applied, Refusal> {
    let kind = command.kind();
    let closing = Closing { spec, status, session, now, report: command.report() };
    match command {
        Command::Adopt { session: adopter, .. } => {
            if adopter == session {
                return Ok(Applied::Unchanged);
            }
            let mut next = changed(status, now);
            next.state = State::Running { session: adopter, timeout_time };
            let mut adopted = transition(next, vec![Effect::Closed { session }]);
            // Whoever had it, if it is still there, is not to go on beside the new holder.
            closing.tell(&mut adopted, "another attach named it and has it now", None);
            Ok(adopted)
        }
        Command::Succeed { result, progress, usage, .. } => {
            let mut next = closing.status_after(progress, usage, Outcome::Succeeded);
            next.state = State::Succeeded;
            next.end_time = Some(now.time);
            next.result = result;
            next.error = None;
            Ok(closing.ended(next))
        }
        Command::Fail { error, retry_delay, progress, usage, .. } => {
            let next = closing.status_after(progress, usage, Outcome::Failed);
            Ok(match &status.cancel_request {
                Some(request) => closing.stopped(next, request, Some(error), retry_delay),
                None => closing.failed(next, error, retry_delay),
            })
        }
        Command::ReportUse { used, .. } => Ok(report_use(status, used, now)),
        Command::ConfirmCancelled { progress, usage, .. } => {
            let next = closing.status_after(progress, usage, Outcome::Cancelled);
            if let Some(request) = &status.cancel_request {
                return Ok(closing.stopped(next, request, None, None));
            }
            let mut error = JobError::server(
                "CANCELLED_BY_WORKER",
                "the worker stopped it though nobody had asked".to_owned(),
            );
            error.non_retryable = true;
            Ok(closing.failed(Closing::with_outcome(next, Outcome::Failed), error, None))
        }
        Command::Release { delay, reason, .. } => {
            if reason.session().is_some_and(|released| released != session) {
                return Ok(Applied::Unchanged);
            }
            let next = closing.status_after(None, None, Outcome::Released);
            Ok(match &status.cancel_request {
                Some(request) => {
                    let mut applied = closing.stopped(next, request, None, None);
                    closing.tell_released(&mut applied, &reason);
                    applied
                }
                None => closing.released(next, delay, &reason),
            })
        }
        Command::LoseLease { session: expired, .. } => {
            if expired != session {
                return Ok(Applied::Unchanged);
            }
            Ok(closing.lease_lost())
        }
        Command::Cancel { reason, requested_by, grace } => {
            Ok(cancel(&closing, reason, requested_by, grace))
        }
        Command::RequestStop { cause, reason, grace, .. } => {
            let (time, requested_by) = (now.time, String::new());
            Ok(ask(&closing, CancelRequest { cause, time, reason, requested_by, grace }))
        }
        Command::StopStuck {
            revision, since, spare_active, reason, requested_by, grace, ..
        } => {
            let found = Found { revision, since, spare_active };
            let (cause, time) = (CancelCause::Stuck, now.time);
            let request = CancelRequest { cause, time, reason, requested_by, grace };
            Ok(stuck::stop(&closing, &found, request))
        }
        Command::NoteStuck { revision, since, spare_active, .. } => {
            Ok(stuck::note(&closing, &Found { revision, since, spare_active }))
        }
        Command::NoteSlow { p95, .. } => Ok(stuck::note_slow(&closing, p95)),
        Command::MeetDeadline => Ok(meet_deadline(&closing, timeout_time)),
        Command::Start { .. }
        | Command::Expire { .. }
        | Command::Skip { .. }
        | Command::Retry { .. } => {
            Err(Refusal::IllegalTransition { state: StateKind::Running, command: kind })
        }
    }
}

/// Notes what the execution has really used; whoever commits it corrects the quotas by the difference.
fn report_use(status: &JobStatus, used: BTreeMap<QuotaName, u64>, now: Now) -> Applied {
    let mut next = changed(status, now);
    for (quota, units) in used {
        if next.quota_draws.len() < QUOTA_COSTS_MAX || next.quota_draws.contains_key(&quota) {
            next.quota_draws.entry(quota).or_default().used = Some(units);
        }
    }
    if next.quota_draws == status.quota_draws {
        return Applied::Unchanged;
    }
    transition(next, Vec::new())
}

/// A rule's wish: what ends the job takes the place of what would only fail its attempt, and leaves it no
/// more time; nothing else replaces a cause that stands.
fn ask(closing: &Closing<'_>, request: CancelRequest) -> Applied {
    match &closing.status.cancel_request {
        None => closing.ask_to_stop(request),
        Some(held) if request.cause.ends_cancelled() && !held.cause.ends_cancelled() => {
            let end = request.end_time().min(held.end_time());
            closing.ask_to_stop(CancelRequest { grace: end.since(request.time), ..request })
        }
        Some(_) => Applied::Unchanged,
    }
}

/// A caller's cancel: replaces any other cause, and only ever shortens the grace.
fn cancel(closing: &Closing<'_>, reason: String, requested_by: String, grace: Duration) -> Applied {
    let now = closing.now.time;
    let mut end = now.plus(grace);
    if let Some(held) = &closing.status.cancel_request {
        end = end.min(held.end_time());
        if held.cause == CancelCause::Caller && end == held.end_time() && end > now {
            return Applied::Unchanged;
        }
    }
    let request = match &closing.status.cancel_request {
        // The first asker stays on record; only the time left changes.
        Some(held) if held.cause == CancelCause::Caller => {
            CancelRequest { grace: end.since(held.time), ..held.clone() }
        }
        Some(_) | None => CancelRequest {
            cause: CancelCause::Caller,
            time: now,
            reason,
            requested_by,
            grace: end.since(now),
        },
    };
    if end <= now { closing.end_now(&request) } else { closing.ask_to_stop(request) }
}

fn meet_deadline(closing: &Closing<'_>, timeout_time: Option<Timestamp>) -> Applied {
    let now = closing.now.time;
    match &closing.status.cancel_request {
        Some(request) if request.end_time() <= now => closing.end_now(request),
        Some(_) => Applied::Unchanged,
        None => match timeout_time {
            Some(time) if time <= now => {
                let limit = closing.spec.timeout.unwrap_or_default();
                closing.ask_to_stop(CancelRequest {
                    cause: CancelCause::Timeout,
                    time: now,
                    reason: format!("ran longer than its timeout of {} s", limit.as_secs_f64()),
                    requested_by: String::new(),
                    grace: CANCEL_GRACE_DEFAULT,
                })
            }
            Some(_) | None => stuck::look(closing),
        },
    }
}
