//! A running job was asked to stop.

use crate::domain::{CancelRequest, JobId, Timestamp};
use crate::proto::v1;
use crate::proto::v1::report_progress_response as worker;

use super::enums::Named as _;
use super::time;

/// The request as it stands in a job's status.
#[must_use]
pub fn to_proto(request: &CancelRequest) -> v1::CancelRequest {
    v1::CancelRequest {
        cause: request.cause.to_wire(),
        time: Some(time::to_proto(request.time)),
        reason: request.reason.clone(),
        requested_by: request.requested_by.clone(),
        grace: Some(time::span_to_proto(request.grace)),
    }
}

/// The request as a worker gets it: no wall-clock time, and what is left of the grace at `now`.
#[must_use]
pub fn to_worker(request: &CancelRequest, now: Timestamp) -> v1::CancelRequest {
    v1::CancelRequest {
        time: None,
        grace: Some(time::span_to_proto(request.end_time().since(now))),
        ..to_proto(request)
    }
}

/// The message of a stream that asks a worker to stop a job.
#[must_use]
pub fn to_stream(
    job_id: JobId,
    lease_epoch: i64,
    request: &CancelRequest,
    now: Timestamp,
) -> worker::CancelRequest {
    worker::CancelRequest {
        job_id: job_id.to_string(),
        lease_epoch,
        cause: request.cause.to_wire(),
        reason: request.reason.clone(),
        grace: Some(time::span_to_proto(request.end_time().since(now))),
    }
}
