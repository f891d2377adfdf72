//! CreateJob and BatchCreateJobs.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::auth::Caller;
use crate::domain::Timestamp;
use crate::domain::limits::BATCH_CREATE_MAX;
use crate::domain::validate::Violations;
use crate::engine::{self, CreateJob, Created, Engine};
use crate::proto::v1;
use crate::proto::v1::batch_create_jobs_response::{Result as Item, result::Outcome};

use super::super::convert::{self, View, spec, text};
use super::super::show;
use super::super::status::{invalid, invalid_field, to_rpc_status, to_status};

/// A checked request. What it would make is told apart by the digest of its spec.
fn checked(request: v1::CreateJobRequest, now: Timestamp) -> Result<CreateJob, Status> {
    let mut wrong = Violations::default();
    let spec = request.spec.as_ref().filter(|_| !request.request_id.is_empty());
    let fingerprint = spec.map(v1::JobSpec::encode_to_vec).unwrap_or_default();
    let request_id = text::request_id(request.request_id, "request_id", &mut wrong);
    let draft = spec::from_proto(request.spec, "spec", now, &mut wrong);
    let (Some(request_id), Some(draft), true) = (request_id, draft, wrong.is_empty()) else {
        return Err(invalid(wrong));
    };
    let validate_only = request.validate_only;
    let request = request_id.map(|id| (id, Sha256::digest(fingerprint).into()));
    Ok(CreateJob { draft, request, validate_only })
}

fn shown(
    engine: &Engine,
    created: &Created,
    validate_only: bool,
    view: View,
) -> v1::CreateJobResponse {
    let job = if validate_only && !created.existing {
        convert::job::unmade_to_proto(&created.job, view, engine.clock().now())
    } else {
        show::job(engine, &created.job, view)
    };
    v1::CreateJobResponse { job: Some(job), existing: created.existing }
}

pub(super) async fn create(
    engine: &Engine,
    caller: &Caller,
    request: v1::CreateJobRequest,
) -> Result<v1::CreateJobResponse, Status> {
    let create = checked(request, engine.clock().now())?;
    let validate_only = create.validate_only;
    let created = engine.create(caller, create).await.map_err(to_status)?;
    Ok(shown(engine, &created, validate_only, View::Full))
}

pub(super) async fn create_many(
    engine: &Engine,
    caller: &Caller,
    request: v1::BatchCreateJobsRequest,
) -> Result<v1::BatchCreateJobsResponse, Status> {
    let found = request.requests.len();
    if !(1..=BATCH_CREATE_MAX).contains(&found) {
        let bound = format!("must have 1 to {BATCH_CREATE_MAX} elements, has {found}");
        return Err(invalid_field("requests", &bound));
    }
    // What would be turned away in the end is not looked at: to shed load must cost less than to bear it.
    engine.takes_creates(found).map_err(to_status)?;
    let now = engine.clock().now();
    let (mut good, mut items) = (Vec::with_capacity(found), Vec::with_capacity(found));
    for request in request.requests {
        items.push(match checked(request, now) {
            Ok(create) => {
                let validate_only = create.validate_only;
                good.push(create);
                Ok(validate_only)
            }
            Err(status) => Err(status),
        });
    }
    let mut made = engine.create_many(caller, good).await.into_iter();
    let results = items.into_iter().map(|item| {
        let outcome = item.and_then(|validate_only| {
            // One answer for each that was good, in order.
            let created = made.next().unwrap_or(Err(engine::Error::OutcomeUnknown));
            let created = created.map_err(to_status)?;
            Ok(Outcome::Created(shown(engine, &created, validate_only, View::Basic)))
        });
        let outcome = outcome.unwrap_or_else(|status| Outcome::Error(to_rpc_status(&status)));
        Item { outcome: Some(outcome) }
    });
    Ok(v1::BatchCreateJobsResponse { results: results.collect() })
}
