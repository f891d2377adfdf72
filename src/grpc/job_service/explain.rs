//! ExplainJob.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::explain::{Action, Explanation, Reason};
use crate::engine::Engine;
use crate::proto::v1;
use crate::proto::v1::explain_job_response as wire;

use super::super::convert::time::to_proto;
use super::super::status::to_status;
use super::one::job_id;

pub(super) async fn explain(
    engine: &Engine,
    caller: &Caller,
    request: &v1::ExplainJobRequest,
) -> Result<v1::ExplainJobResponse, Status> {
    let job_id = job_id(&request.job_id)?;
    let Explanation { summary, reasons, next_run_time, actions } =
        engine.explain(caller, job_id).await.map_err(to_status)?;
    Ok(v1::ExplainJobResponse {
        summary,
        reasons: reasons.into_iter().map(reason).collect(),
        next_run_time: next_run_time.map(to_proto),
        actions: actions.into_iter().map(action).collect(),
    })
}

fn reason(reason: Reason) -> wire::Reason {
    let Reason { code, message, ids, until } = reason;
    wire::Reason { code: code.to_owned(), message, ids, until: until.map(to_proto) }
}

fn action(action: Action) -> wire::Action {
    let Action { name, allowed, why_not } = action;
    wire::Action { name: name.to_owned(), allowed, why_not }
}
