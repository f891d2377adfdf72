//! GetJob, CancelJob, RetryJob and DeleteJob.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::JobId;
use crate::domain::validate::Violations;
use crate::engine::Engine;
use crate::proto::v1;

use super::super::convert::{View, ids, job as jobs, text, time};
use super::super::show;
use super::super::status::{invalid, to_status};

/// The id alone, for requests that have nothing else.
pub(super) fn job_id(id: &str) -> Result<JobId, Status> {
    let mut wrong = Violations::default();
    ids::job_id(id, "job_id", &mut wrong).ok_or_else(|| invalid(wrong))
}

pub(super) async fn job(
    engine: &Engine,
    caller: &Caller,
    request: &v1::GetJobRequest,
) -> Result<v1::GetJobResponse, Status> {
    let mut wrong = Violations::default();
    let id = ids::job_id(&request.job_id, "job_id", &mut wrong);
    let view = jobs::view(request.view, View::Full, "view", &mut wrong);
    let (Some(id), Some(view)) = (id, view) else { return Err(invalid(wrong)) };
    let job = engine.job(caller, id).await.map_err(to_status)?;
    Ok(v1::GetJobResponse { job: Some(show::job(engine, &job, view)) })
}

pub(super) async fn cancel(
    engine: &Engine,
    caller: &Caller,
    request: v1::CancelJobRequest,
) -> Result<v1::CancelJobResponse, Status> {
    let mut wrong = Violations::default();
    let id = ids::job_id(&request.job_id, "job_id", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let grace = time::cancel_grace(request.grace, "grace", &mut wrong);
    let (Some(id), Some(reason), Some(grace)) = (id, reason, grace) else {
        return Err(invalid(wrong));
    };
    let job = engine.cancel(caller, id, reason, Some(grace)).await.map_err(to_status)?;
    Ok(v1::CancelJobResponse { job: Some(show::job(engine, &job, View::Full)) })
}

pub(super) async fn retry(
    engine: &Engine,
    caller: &Caller,
    request: v1::RetryJobRequest,
) -> Result<v1::RetryJobResponse, Status> {
    let mut wrong = Violations::default();
    let id = ids::job_id(&request.job_id, "job_id", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let now = engine.clock().now();
    let at = time::schedule_time(request.schedule_time, now, "schedule_time", &mut wrong);
    let (Some(id), Some(reason), Some(at)) = (id, reason, at) else { return Err(invalid(wrong)) };
    let force = request.force;
    let job = engine.retry(caller, id, at, force, reason.clone()).await.map_err(to_status)?;
    tracing::info!(
        job.id = %id,
        job.type = %job.spec.job_type,
        reason,
        requested_by = caller.principal(),
        "retry requested"
    );
    Ok(v1::RetryJobResponse { job: Some(show::job(engine, &job, View::Full)) })
}

pub(super) async fn delete(
    engine: &Engine,
    caller: &Caller,
    request: &v1::DeleteJobRequest,
) -> Result<v1::DeleteJobResponse, Status> {
    let id = job_id(&request.job_id)?;
    engine.delete(caller, id).await.map_err(to_status)?;
    Ok(v1::DeleteJobResponse {})
}
