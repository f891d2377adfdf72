//! How a job stands.

use crate::domain::limits::AVOID_WORKER_FOR;
use crate::domain::{Job, JobStatus, SkipReason, State, Timestamp};
use crate::proto::v1;

use super::enums::Named as _;
use super::job::View;
use super::{cancel, error, progress, time, usage};

/// A job's status, with what follows from its progress at `now`.
#[must_use]
pub fn to_proto(job: &Job, view: View, now: Timestamp) -> v1::JobStatus {
    let status = &job.status;
    let execution = status.execution.as_ref();
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    v1::JobStatus {
        state: status.kind().to_wire(),
        revision: status.revision,
        attempt: count(status.attempt),
        max_attempts: count(status.max_attempts),
        lease_epoch: status.lease_epoch,
        category: status.category.as_ref().map(ToString::to_string).unwrap_or_default(),
        created_by: status.created_by.clone(),
        trigger: status.trigger.to_wire(),
        effective: Some(v1::job_status::Effective {
            queue: status.effective.queue.to_string(),
            priority: status.effective.priority.to_wire(),
            limits: usage::limits_to_proto(&status.effective.limits),
            avoid_worker: avoided(status, now),
        }),
        worker_id: execution.map(|run| run.worker_id.to_string()).unwrap_or_default(),
        create_time: Some(time::to_proto(status.create_time)),
        schedule_time: Some(time::to_proto(status.schedule_time)),
        start_time: execution.map(|run| time::to_proto(run.start_time)),
        end_time: status.end_time.map(time::to_proto),
        update_time: Some(time::to_proto(status.update_time)),
        run_duration: status.run_duration(now).map(time::span_to_proto),
        wait_duration: Some(time::span_to_proto(status.wait_duration(now))),
        progress: progress_to_proto(status, now),
        resource_usage: status.resource_usage.as_ref().map(usage::to_proto),
        cancel_request: status.cancel_request.as_ref().map(cancel::to_proto),
        result: status.result.clone().filter(|_| view == View::Full),
        error: status.error.as_ref().map(|found| error::to_proto(found, view)),
        skip_reason: skip_reason(&status.state),
        skip_until: status.skip_until.map(time::to_proto),
    }
}

/// The worker that a waiting job keeps away from.
fn avoided(status: &JobStatus, now: Timestamp) -> String {
    let waits = matches!(status.state, State::Pending { .. })
        && now < status.schedule_time.plus(AVOID_WORKER_FOR);
    let worker = status.effective.avoid_worker.as_ref().filter(|_| waits);
    worker.map(ToString::to_string).unwrap_or_default()
}

/// The progress of the last execution; none if nothing was reported.
fn progress_to_proto(status: &JobStatus, now: Timestamp) -> Option<v1::Progress> {
    let execution = status.execution.as_ref().filter(|_| status.progress.is_reported())?;
    let end = execution.end.map(|(time, _)| time);
    Some(progress::to_proto(&status.progress, execution.start_time, end, now))
}

fn skip_reason(state: &State) -> i32 {
    match state {
        State::Skipped { reason } => SkipReason::to_wire(*reason),
        State::Pending { .. }
        | State::Running { .. }
        | State::Succeeded
        | State::Failed
        | State::Cancelled => v1::SkipReason::Unspecified.into(),
    }
}
