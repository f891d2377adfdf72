//! The end of an execution, and what all ways to it have in common.

use std::time::Duration;

use crate::domain::admission;
use crate::domain::ids::SessionId;
use crate::domain::job::JobSpec;
use crate::domain::limits::RELEASES_IN_ROW_MAX;
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::retry::RetryRule;
use crate::domain::status::{
    CancelCause, CancelRequest, Effective, JobError, JobStatus, Outcome, Report, State,
};

use super::command::{Now, ReleaseReason};
use super::transition::{Applied, Effect, Transition};

/// The end of one execution: what all ways to it have in common.
pub(super) struct Closing<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) status: &'a JobStatus,
    pub(super) session: SessionId,
    pub(super) now: Now,
    pub(super) report: Option<Report>,
}

impl Closing<'_> {
    pub(super) fn status_after(
        &self,
        progress: Option<Progress>,
        usage: Option<ResourceUsage>,
        outcome: Outcome,
    ) -> JobStatus {
        let mut next = changed(self.status, self.now);
        if let Some(progress) = progress
            && progress.sequence >= next.progress.sequence
        {
            let base = next.progress.base_of(progress.completed);
            let base = if progress.is_reported() { progress.base } else { base };
            next.progress = Progress { base, ..progress };
        }
        next.resource_usage = usage.or(next.resource_usage);
        if let Some(execution) = &mut next.execution {
            execution.end = Some((self.now.time, outcome));
            execution.report = self.report;
        }
        if outcome != Outcome::Released {
            next.releases = 0;
        }
        next
    }

    pub(super) fn with_outcome(mut next: JobStatus, outcome: Outcome) -> JobStatus {
        if let Some(execution) = &mut next.execution {
            execution.end = execution.end.map(|(time, _)| (time, outcome));
        }
        next
    }

    pub(super) fn ended(&self, next: JobStatus) -> Applied {
        let state = next.kind();
        transition(next, vec![Effect::Closed { session: self.session }, Effect::Ended { state }])
    }

    /// A failed attempt: another one if there is one left and the error may go away.
    pub(super) fn failed(
        &self,
        mut next: JobStatus,
        error: JobError,
        retry_delay: Option<Duration>,
    ) -> Applied {
        let rule = RetryRule::find(&self.spec.retry_rules, &error.code);
        let may_help = !error.non_retryable && rule.is_none_or(|rule| rule.retry);
        let again = may_help && next.attempt < next.max_attempts;
        next.releases = 0;
        next.error = Some(error);
        if !again {
            next.state = State::Failed;
            next.end_time = Some(self.now.time);
            return self.ended(next);
        }
        // What the worker says of the wait goes before the rule, and the rule before the policy.
        let delay = retry_delay
            .or_else(|| rule.and_then(|rule| rule.delay(next.attempt)))
            .unwrap_or_else(|| self.spec.retry_policy.delay(next.attempt, self.now.chance));
        let worker = next.execution.as_ref().map(|execution| &execution.worker_id);
        next.effective = match rule {
            Some(rule) => rule.change.apply(&next.effective, worker),
            None => Effective { avoid_worker: None, ..next.effective },
        };
        self.wait(&mut next, delay);
        let at = next.schedule_time;
        transition(
            next,
            vec![
                Effect::Closed { session: self.session },
                Effect::RetryScheduled { delay },
                Effect::Ready { at },
            ],
        )
    }

    fn wait(&self, next: &mut JobStatus, delay: Duration) {
        next.schedule_time = self.now.time.plus(delay);
        next.cancel_request = None;
        next.state = State::Pending {
            ready_key: admission::ready_key(next.schedule_time, next.effective.priority),
        };
    }

    /// Given back: the attempt did not count.
    pub(super) fn released(
        &self,
        mut next: JobStatus,
        delay: Duration,
        reason: &ReleaseReason,
    ) -> Applied {
        next.releases += 1;
        let mut applied = if next.releases > RELEASES_IN_ROW_MAX {
            let error = JobError::server(
                "RELEASED_TOO_OFTEN",
                format!("given back {RELEASES_IN_ROW_MAX} times in a row"),
            );
            self.failed(Self::with_outcome(next, Outcome::Failed), error, None)
        } else {
            next.attempt = next.attempt.saturating_sub(1);
            // What it drew goes back with it, unless its worker said what it used.
            for draw in next.quota_draws.values_mut() {
                draw.used = draw.used.or(Some(0));
            }
            self.wait(&mut next, delay);
            let at = next.schedule_time;
            transition(next, vec![Effect::Closed { session: self.session }, Effect::Ready { at }])
        };
        self.tell_released(&mut applied, reason);
        applied
    }

    /// The lease expired: a failure of its own, except where the job was to end CANCELLED anyway.
    pub(super) fn lease_lost(&self) -> Applied {
        let mut next = self.status_after(None, None, Outcome::LeaseLost);
        next.leases_lost = next.leases_lost.saturating_add(1);
        let mut error = JobError::server(
            "LEASE_LOST",
            "nothing was heard of its worker for the lease".to_owned(),
        );
        let mut applied = match &self.status.cancel_request {
            Some(request) if request.cause.ends_cancelled() => {
                self.stopped(next, request, Some(error), None)
            }
            asked => {
                if let Some(request) = asked {
                    error.message += "; it was asked to stop before: ";
                    error.message += &request.reason;
                }
                // It says more about the worker than about the job, unless a rule says how long to wait then.
                let rule = RetryRule::find(&self.spec.retry_rules, &error.code);
                let is_ruled = rule.is_some_and(|rule| rule.delay(next.attempt).is_some());
                let is_first = self.status.leases_lost == 0;
                let no_wait = (is_first && !is_ruled).then_some(Duration::ZERO);
                self.failed(next, error, no_wait)
            }
        };
        self.tell(&mut applied, "its lease expired", Some(Effect::LeaseLost));
        applied
    }

    /// The end of an execution that was asked to stop, otherwise than by success. With a cause that
    /// is a failure the worker still decides whether and when another attempt makes sense.
    pub(super) fn stopped(
        &self,
        mut next: JobStatus,
        request: &CancelRequest,
        error: Option<JobError>,
        retry_delay: Option<Duration>,
    ) -> Applied {
        if request.cause.ends_cancelled() {
            let mut next = Self::with_outcome(next, Outcome::Cancelled);
            next.error = error;
            next.state = State::Cancelled;
            next.end_time = Some(self.now.time);
            return self.ended(next);
        }
        let outcome = match request.cause {
            CancelCause::Timeout => Outcome::TimedOut,
            CancelCause::Caller
            | CancelCause::Stuck
            | CancelCause::ResourceLimit
            | CancelCause::Overlap => Outcome::Failed,
        };
        let mut failure = JobError::server(request.cause.as_str(), request.reason.clone());
        if let Some(error) = error {
            failure.details = error.details;
            failure.stack_trace = error.stack_trace;
            failure.non_retryable = error.non_retryable;
            if !error.message.is_empty() {
                failure.message =
                    format!("{}; the worker said: {}", failure.message, error.message);
            }
        }
        next.cancel_request = Some(request.clone());
        self.failed(Self::with_outcome(next, outcome), failure, retry_delay)
    }

    /// The grace is over, or there was none: the server ends it.
    pub(super) fn end_now(&self, request: &CancelRequest) -> Applied {
        let mut next = self.status_after(None, None, Outcome::Cancelled);
        next.cancel_request = Some(request.clone());
        let mut applied = self.stopped(next, request, None, None);
        self.tell(&mut applied, "it was asked to stop and its grace is over", None);
        applied
    }

    pub(super) fn ask_to_stop(&self, request: CancelRequest) -> Applied {
        let mut next = changed(self.status, self.now);
        next.cancel_request = Some(request.clone());
        transition(next, vec![Effect::AskToStop { session: self.session, request }])
    }

    /// Adds what a worker is to be told that did not give the job back itself.
    pub(super) fn tell_released(&self, applied: &mut Applied, reason: &ReleaseReason) {
        match reason {
            ReleaseReason::Worker { .. } => {}
            ReleaseReason::Undelivered { .. } => {
                self.tell(applied, "its delivery was not confirmed", None);
            }
            ReleaseReason::NotHeld { .. } => {
                self.tell(applied, "its worker does not have it", None);
            }
            ReleaseReason::Drained { .. } => {
                self.tell(applied, "its worker was to leave and its grace is over", None);
            }
        }
    }

    /// Adds that the worker is to be told it lost the job.
    pub(super) fn tell(&self, applied: &mut Applied, reason: &'static str, extra: Option<Effect>) {
        if let Applied::Changed(transition) = applied {
            transition.effects.push(Effect::Revoked {
                session: self.session,
                lease_epoch: self.status.lease_epoch,
                reason,
            });
            transition.effects.extend(extra);
        }
    }
}

pub(super) fn changed(status: &JobStatus, now: Now) -> JobStatus {
    let mut next = status.clone();
    next.revision += 1;
    next.update_time = now.time;
    next
}

pub(super) fn transition(status: JobStatus, effects: Vec<Effect>) -> Applied {
    Applied::Changed(Box::new(Transition { status, superseded: None, effects }))
}
