//! AcquireJobs and StartJob: how a single call gets a job.

use std::time::Duration;

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::auth::Caller;
use crate::domain::Timestamp;
use crate::domain::job_type::Draft;
use crate::domain::limits::{ACQUIRE_WAIT_MIN, LEASE_TTL_UNARY_DEFAULT};
use crate::domain::validate::Violations;
use crate::engine::{Assignment, CreateJob, Engine, Started, Waiter};
use crate::proto::v1;
use crate::proto::v1::start_job_response::Outcome;

use super::super::convert::{self, View, ids, names, number, spec, text, time};
use super::super::status::{invalid, to_status};
use super::super::{deadline, show};

/// A job in the hands of its worker.
fn shown(assignment: &Assignment, now: Timestamp) -> v1::Assignment {
    let job = convert::job::to_proto(&assignment.job, View::Full, now);
    v1::Assignment {
        lease_epoch: assignment.job.status.lease_epoch,
        lease_ttl: Some(time::span_to_proto(assignment.lease_ttl)),
        job: Some(job.encode_to_vec().into()),
    }
}

fn waiter(caller: Caller, request: &v1::AcquireJobsRequest) -> Result<(Waiter, Duration), Status> {
    let mut wrong = Violations::default();
    let worker_id = names::worker_id(&request.worker_id, "worker_id", &mut wrong);
    let instance_id = ids::instance_id(&request.instance_id, "instance_id", &mut wrong);
    let queues = names::served_queues(&request.queues, "queues", &mut wrong);
    let types = names::types(&request.types, "types", &mut wrong);
    let max_jobs = number::max_jobs(request.max_jobs, "max_jobs", &mut wrong);
    let wait = time::acquire_wait(request.wait, "wait", &mut wrong);
    let lease_ttl =
        time::lease_ttl(request.lease_ttl, LEASE_TTL_UNARY_DEFAULT, "lease_ttl", &mut wrong);
    match (worker_id, instance_id, queues, types, max_jobs, wait, lease_ttl) {
        (
            Some(worker_id),
            Some(instance_id),
            Some(queues),
            Some(types),
            Some(max_jobs),
            Some(wait),
            Some(lease_ttl),
        ) => Ok((
            Waiter { caller, worker_id, instance_id, queues, types, max_jobs, lease_ttl },
            wait,
        )),
        _ => Err(invalid(wrong)),
    }
}

pub(super) async fn acquire(
    engine: &Engine,
    caller: Caller,
    request: v1::AcquireJobsRequest,
    timeout: Option<Duration>,
) -> Result<v1::AcquireJobsResponse, Status> {
    let (waiter, wait) = waiter(caller, &request)?;
    let wait = deadline::within(wait.max(ACQUIRE_WAIT_MIN), timeout);
    let assignments = engine.acquire(waiter, wait).await.map_err(to_status)?;
    let now = engine.clock().now();
    let assignments = assignments.iter().map(|assignment| shown(assignment, now)).collect();
    Ok(v1::AcquireJobsResponse { assignments })
}

/// A checked request. Its digest covers the worker too: a lease belongs to one process.
fn starter(
    caller: Caller,
    request: v1::StartJobRequest,
    now: Timestamp,
) -> Result<(Waiter, CreateJob), Status> {
    let mut wrong = Violations::default();
    let fingerprint = Sha256::digest(request.encode_to_vec()).into();
    let worker_id = names::worker_id(&request.worker_id, "worker_id", &mut wrong);
    let instance_id = ids::instance_id(&request.instance_id, "instance_id", &mut wrong);
    let draft = spec::from_proto(request.spec, "spec", now, &mut wrong);
    let request_id = text::request_id(request.request_id, "request_id", &mut wrong);
    let lease_ttl =
        time::lease_ttl(request.lease_ttl, LEASE_TTL_UNARY_DEFAULT, "lease_ttl", &mut wrong);
    let (Some(worker_id), Some(instance_id), Some(draft), Some(request_id), Some(lease_ttl)) =
        (worker_id, instance_id, draft, request_id, lease_ttl)
    else {
        return Err(invalid(wrong));
    };
    // It serves what it started, and takes nothing else. Where its type puts it is not known here.
    let queues = draft.queue.clone().into_iter().collect();
    let types = vec![draft.rest.job_type.clone()];
    let waiter = Waiter { caller, worker_id, instance_id, queues, types, max_jobs: 1, lease_ttl };
    let request = request_id.map(|id| (id, fingerprint));
    Ok((
        waiter,
        CreateJob { draft: Draft { started: true, ..draft }, request, validate_only: false },
    ))
}

pub(super) async fn start(
    engine: &Engine,
    caller: Caller,
    request: v1::StartJobRequest,
) -> Result<v1::StartJobResponse, Status> {
    let (waiter, create) = starter(caller, request, engine.clock().now())?;
    let outcome = match engine.start(waiter, create).await.map_err(to_status)? {
        Started::Assigned(assignment) => {
            Outcome::Assignment(shown(&assignment, engine.clock().now()))
        }
        Started::Skipped(job) => Outcome::SkippedJob(show::job(engine, &job, View::Full)),
    };
    Ok(v1::StartJobResponse { outcome: Some(outcome) })
}
