//! ReportJob, CompleteJob, FailJob and ReleaseJob: what a single call says of its job.

use std::collections::BTreeMap;

use tonic::Status;

use crate::auth::Caller;
use crate::domain::ids::QuotaName;
use crate::domain::limits::{LEASE_TTL_UNARY_DEFAULT, PAYLOAD_BYTES_MAX};
use crate::domain::validate::Violations;
use crate::domain::{Job, JobId, Progress, Timestamp};
use crate::engine::session::Outcome;
use crate::engine::{Engine, JobReport};
use crate::proto::v1;

use super::super::convert::{
    View, cancel, error, ids, logs, number, opaque, progress, quota, text, time, usage,
};
use super::super::show;
use super::super::status::{invalid, to_status};

/// The execution that a call is about.
fn execution(id: &str, lease_epoch: i64, wrong: &mut Violations) -> Option<(JobId, i64)> {
    let id = ids::job_id(id, "job_id", wrong);
    let lease_epoch = number::lease_epoch(lease_epoch, "lease_epoch", wrong);
    id.zip(lease_epoch)
}

/// The progress, if there is one; what is wrong with it is noted.
fn last_progress(
    given: Option<v1::Progress>,
    now: Timestamp,
    wrong: &mut Violations,
) -> Option<Progress> {
    given.and_then(|given| progress::from_proto(given, now, wrong, "progress"))
}

fn reported(request: v1::ReportJobRequest, now: Timestamp) -> Result<JobReport, Status> {
    let mut wrong = Violations::default();
    let of = execution(&request.job_id, request.lease_epoch, &mut wrong);
    let seq = number::position(request.seq, "seq", &mut wrong);
    let used = quota::all_used(&request.quota_use, "quota_use", &mut wrong);
    let progress = last_progress(request.progress, now, &mut wrong);
    let logs = logs::from_proto(request.logs, now, &mut wrong, "logs");
    let usage =
        request.resource_usage.and_then(|u| usage::from_proto(u, "resource_usage", &mut wrong));
    let default = LEASE_TTL_UNARY_DEFAULT;
    let lease_ttl = request
        .lease_ttl
        .and_then(|given| time::lease_ttl(Some(given), default, "lease_ttl", &mut wrong));
    match (of, seq, logs) {
        (Some((job_id, lease_epoch)), Some(seq), Some(logs)) if wrong.is_empty() => {
            Ok(JobReport { job_id, lease_epoch, seq, progress, logs, usage, used, lease_ttl })
        }
        _ => Err(invalid(wrong)),
    }
}

pub(super) async fn report(
    engine: &Engine,
    caller: &Caller,
    request: v1::ReportJobRequest,
) -> Result<v1::ReportJobResponse, Status> {
    let report = reported(request, engine.clock().now())?;
    let answer = engine.report(caller, report).await.map_err(to_status)?;
    let now = engine.clock().now();
    Ok(v1::ReportJobResponse {
        cancel_request: answer.cancel_request.map(|wish| cancel::to_worker(&wish, now)),
        report_interval: Some(time::span_to_proto(answer.report_interval)),
        lease_ttl: Some(time::span_to_proto(answer.lease_ttl)),
    })
}

/// Ends an execution and shows the job as it stands then.
async fn end(
    engine: &Engine,
    caller: &Caller,
    of: (JobId, i64),
    used: BTreeMap<QuotaName, u64>,
    outcome: Outcome,
) -> Result<Option<v1::Job>, Status> {
    let job: Job = engine.finish_used(caller, of, used, outcome).await.map_err(to_status)?;
    Ok(Some(show::job(engine, &job, View::Basic)))
}

pub(super) async fn complete(
    engine: &Engine,
    caller: &Caller,
    request: v1::CompleteJobRequest,
) -> Result<v1::CompleteJobResponse, Status> {
    let mut wrong = Violations::default();
    let of = execution(&request.job_id, request.lease_epoch, &mut wrong);
    let progress = last_progress(request.progress, engine.clock().now(), &mut wrong);
    let used = quota::all_used(&request.quota_use, "quota_use", &mut wrong);
    let result = request.result;
    if let Some(result) = &result {
        opaque::check(result, PAYLOAD_BYTES_MAX, "result", &mut wrong);
    }
    let (Some(of), true) = (of, wrong.is_empty()) else { return Err(invalid(wrong)) };
    let outcome = Outcome::Succeeded { result, progress };
    Ok(v1::CompleteJobResponse { job: end(engine, caller, of, used, outcome).await? })
}

pub(super) async fn fail(
    engine: &Engine,
    caller: &Caller,
    request: v1::FailJobRequest,
) -> Result<v1::FailJobResponse, Status> {
    let mut wrong = Violations::default();
    let of = execution(&request.job_id, request.lease_epoch, &mut wrong);
    let progress = last_progress(request.progress, engine.clock().now(), &mut wrong);
    let error = error::from_proto(request.error, "error", &mut wrong);
    let retry_delay = time::delay(request.retry_delay, "retry_delay", &mut wrong);
    let used = quota::all_used(&request.quota_use, "quota_use", &mut wrong);
    let (Some(of), Some(error), Some(retry_delay), true) =
        (of, error, retry_delay, wrong.is_empty())
    else {
        return Err(invalid(wrong));
    };
    let outcome = Outcome::Failed { error, retry_delay, progress };
    Ok(v1::FailJobResponse { job: end(engine, caller, of, used, outcome).await? })
}

pub(super) async fn release(
    engine: &Engine,
    caller: &Caller,
    request: v1::ReleaseJobRequest,
) -> Result<v1::ReleaseJobResponse, Status> {
    let mut wrong = Violations::default();
    let of = execution(&request.job_id, request.lease_epoch, &mut wrong);
    let delay = time::delay(request.delay, "delay", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let (Some(of), Some(delay), Some(reason)) = (of, delay, reason) else {
        return Err(invalid(wrong));
    };
    let outcome = Outcome::Released { delay: delay.unwrap_or_default(), reason };
    let used = BTreeMap::new();
    Ok(v1::ReleaseJobResponse { job: end(engine, caller, of, used, outcome).await? })
}
