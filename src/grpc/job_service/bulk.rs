//! BulkCancelJobs, BulkRetryJobs and BulkDeleteJobs.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::auth::Caller;
use crate::domain::bulk::{BulkAction, BulkAsk};
use crate::domain::validate::Violations;
use crate::engine::{BulkStart, BulkWish, Engine};
use crate::proto::v1;

use super::super::archive;
use super::super::convert::{View, filter, text, time};
use super::super::show;
use super::super::status::{invalid, to_status};

/// What the three requests have in common.
struct Asked {
    filter: Option<v1::JobFilter>,
    reason: String,
    expected_max: i64,
    rate: f64,
    validate_only: bool,
    request_id: String,
    /// A digest of the request without its id.
    fingerprint: [u8; 32],
}

macro_rules! asked {
    ($request:ident) => {{
        let request_id = std::mem::take(&mut $request.request_id);
        let fingerprint = Sha256::digest($request.encode_to_vec()).into();
        Asked {
            filter: $request.filter,
            reason: $request.reason,
            expected_max: $request.expected_max,
            rate: $request.rate,
            validate_only: $request.validate_only,
            request_id,
            fingerprint,
        }
    }};
}

fn count(start: &BulkStart) -> i64 {
    i64::try_from(start.count).unwrap_or(i64::MAX)
}

fn sample(engine: &Engine, start: &BulkStart) -> Vec<v1::Job> {
    start.sample.iter().map(|job| show::job(engine, job, View::Basic)).collect()
}

fn job(engine: &Engine, start: &BulkStart) -> Option<v1::Job> {
    start.job.as_ref().map(|job| show::job(engine, job, View::Full))
}

async fn begin(
    engine: &Engine,
    caller: &Caller,
    action: BulkAction,
    asked: Asked,
    mut wrong: Violations,
) -> Result<BulkStart, Status> {
    let payload = payload(action, &asked);
    let reason = text::reason(asked.reason, "reason", &mut wrong);
    let request_id = text::request_id(asked.request_id, "request_id", &mut wrong);
    let meant = filter::meant_from_proto(asked.filter, "filter", &mut wrong);
    let (Some(reason), Some(request_id), Some(filter), true) =
        (reason, request_id, meant, wrong.is_empty())
    else {
        return Err(invalid(wrong));
    };
    let ask = BulkAsk {
        action,
        filter,
        reason,
        expected_max: asked.expected_max,
        rate: asked.rate,
        requested_by: caller.principal().to_owned(),
        validate_only: asked.validate_only,
    };
    let fingerprint = asked.fingerprint;
    let request = request_id.map(|id| (id, fingerprint));
    engine.bulk(caller, BulkWish { ask, payload, request }).await.map_err(to_status)
}

/// What is asked, for people who look at the job that does it.
fn payload(action: BulkAction, asked: &Asked) -> Option<bytes::Bytes> {
    let filter = asked.filter.clone().unwrap_or_default();
    let said = json!({
        "action": action.as_str(),
        "filter": archive::json("JobFilter", &filter).unwrap_or(Value::Null),
        "reason": asked.reason,
        "expected_max": asked.expected_max,
        "rate": asked.rate,
    });
    let pool = DescriptorPool::decode(crate::proto::DESCRIPTOR_SET).ok()?;
    let described = pool.get_message_by_name("google.protobuf.Struct")?;
    let object = DynamicMessage::deserialize(described, said).ok()?;
    Some(object.encode_to_vec().into())
}

pub(super) async fn cancel(
    engine: &Engine,
    caller: &Caller,
    mut request: v1::BulkCancelJobsRequest,
) -> Result<v1::BulkCancelJobsResponse, Status> {
    let mut wrong = Violations::default();
    let grace = time::cancel_grace(request.grace, "grace", &mut wrong).unwrap_or_default();
    let asked = asked!(request);
    let start = begin(engine, caller, BulkAction::Cancel { grace }, asked, wrong).await?;
    Ok(v1::BulkCancelJobsResponse {
        count: count(&start),
        count_capped: start.count_capped,
        sample: sample(engine, &start),
        job: job(engine, &start),
    })
}

pub(super) async fn retry(
    engine: &Engine,
    caller: &Caller,
    mut request: v1::BulkRetryJobsRequest,
) -> Result<v1::BulkRetryJobsResponse, Status> {
    let asked = asked!(request);
    let start = begin(engine, caller, BulkAction::Retry, asked, Violations::default()).await?;
    Ok(v1::BulkRetryJobsResponse {
        count: count(&start),
        count_capped: start.count_capped,
        sample: sample(engine, &start),
        job: job(engine, &start),
    })
}

pub(super) async fn delete(
    engine: &Engine,
    caller: &Caller,
    mut request: v1::BulkDeleteJobsRequest,
) -> Result<v1::BulkDeleteJobsResponse, Status> {
    let asked = asked!(request);
    let start = begin(engine, caller, BulkAction::Delete, asked, Violations::default()).await?;
    Ok(v1::BulkDeleteJobsResponse {
        count: count(&start),
        count_capped: start.count_capped,
        sample: sample(engine, &start),
        job: job(engine, &start),
    })
}
