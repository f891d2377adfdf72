//! PurgeJobs.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::StateKind;
use crate::domain::retention::Purge;
use crate::domain::validate::Violations;
use crate::engine::{Engine, PurgeJobs};
use crate::proto::v1;

use super::super::convert::{enums, text, time};
use super::super::status::{invalid, invalid_field, to_status};

/// More states than there are: a list of them is a mistake.
const STATES_MAX: usize = 64;

fn states(numbers: &[i32], wrong: &mut Violations) -> Option<Vec<StateKind>> {
    let mut states = Vec::with_capacity(numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let field = format!("states[{index}]");
        let Some(state) = enums::from_proto::<StateKind>(*number, &field, wrong)? else {
            wrong.add(field, "must be a state in which a job is over, is unspecified");
            return None;
        };
        states.push(state);
    }
    Some(states)
}

pub(super) async fn purge(
    engine: &Engine,
    caller: &Caller,
    request: v1::PurgeJobsRequest,
) -> Result<v1::PurgeJobsResponse, Status> {
    if request.states.len() > STATES_MAX {
        return Err(invalid_field("states", &format!("must have at most {STATES_MAX} elements")));
    }
    let mut wrong = Violations::default();
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let states = states(&request.states, &mut wrong);
    let known = states.as_deref().unwrap_or_default();
    let purge = Purge::new(request.days_to_keep.into(), known, &mut wrong);
    let (Some(reason), Some(_), Some(purge), true) = (reason, states, purge, wrong.is_empty())
    else {
        return Err(invalid(wrong));
    };
    let wish = PurgeJobs { purge, validate_only: request.validate_only, reason };
    let (count, cutoff) = engine.purge(caller, wish).await.map_err(to_status)?;
    Ok(v1::PurgeJobsResponse {
        count: i64::try_from(count).unwrap_or(i64::MAX),
        cutoff_time: Some(time::to_proto(cutoff)),
    })
}
