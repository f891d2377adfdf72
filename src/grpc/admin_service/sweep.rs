//! SweepStuckJobs.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::limits::SWEEP_BY_HAND_MINUTES_MAX;
use crate::domain::validate::Violations;
use crate::domain::watchdog::{Basis, Sweep};
use crate::engine::{Engine, SweepQuery, Swept};
use crate::proto::v1;

use super::super::convert::{names, text, time};
use super::super::status::{invalid, to_status};

fn from_proto(request: v1::SweepStuckJobsRequest) -> Result<SweepQuery, Status> {
    let mut wrong = Violations::default();
    let minutes = minutes(request.threshold, &mut wrong);
    let threshold = minutes.and_then(|minutes| Sweep::threshold(minutes, "threshold", &mut wrong));
    let basis = basis(request.basis, &mut wrong);
    let types = names::types(&request.types, "types", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let (Some(threshold), Some(basis), Some(types), Some(reason)) =
        (threshold, basis, types, reason)
    else {
        return Err(invalid(wrong));
    };
    let include_pending = request.include_pending;
    let sweep = Sweep { threshold, basis, include_pending, types };
    Ok(SweepQuery { sweep, validate_only: request.validate_only, reason })
}

/// Whole minutes; 0 if unset.
fn minutes(threshold: Option<prost_types::Duration>, wrong: &mut Violations) -> Option<i64> {
    let Some(threshold) = threshold else { return Some(0) };
    let whole = threshold.nanos == 0 && threshold.seconds % 60 == 0;
    wrong.check(whole, "threshold", || {
        format!("must be in whole minutes, from 30 to {SWEEP_BY_HAND_MINUTES_MAX}")
    });
    whole.then_some(threshold.seconds / 60)
}

fn basis(number: i32, wrong: &mut Violations) -> Option<Basis> {
    match v1::SweepBasis::try_from(number) {
        Ok(v1::SweepBasis::Unspecified | v1::SweepBasis::Start) => Some(Basis::Start),
        Ok(v1::SweepBasis::Progress) => Some(Basis::Progress),
        Err(_) => {
            wrong.add("basis", format!("must be a SweepBasis, {number} is none"));
            None
        }
    }
}

fn to_proto(swept: &Swept) -> v1::SweepStuckJobsResponse {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    v1::SweepStuckJobsResponse {
        job_ids: swept.job_ids.iter().map(ToString::to_string).collect(),
        count: count(swept.count),
        failed: count(swept.failed),
        retried: count(swept.retried),
        notified: count(swept.notified),
        cutoff_time: Some(time::to_proto(swept.cutoff_time)),
    }
}

pub(super) async fn sweep(
    engine: &Engine,
    caller: &Caller,
    request: v1::SweepStuckJobsRequest,
) -> Result<v1::SweepStuckJobsResponse, Status> {
    let swept = engine.sweep(caller, from_proto(request)?).await.map_err(to_status)?;
    Ok(to_proto(&swept))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn threshold(seconds: i64, nanos: i32) -> v1::SweepStuckJobsRequest {
        let threshold = Some(prost_types::Duration { seconds, nanos });
        v1::SweepStuckJobsRequest { threshold, ..Default::default() }
    }

    #[test]
    fn every_number_out_of_range_names_its_field() {
        for (seconds, nanos) in [
            (-60, 0),
            (60, 0),
            (29 * 60, 0),
            (1_441 * 60, 0),
            (1_801, 0),
            (1_800, 1),
            (i64::MAX, 0),
        ] {
            let refused = from_proto(threshold(seconds, nanos)).expect_err("it is wrong");
            assert!(refused.message().contains("threshold"), "{seconds}: {refused}");
        }
        for (seconds, minutes) in [(0, 120), (1_800, 30), (86_400, 1_440)] {
            let query = from_proto(threshold(seconds, 0)).expect("it is right");
            assert_eq!(query.sweep.threshold, Duration::from_secs(60 * minutes));
        }
        let basis = v1::SweepStuckJobsRequest { basis: 7, ..Default::default() };
        assert!(from_proto(basis).expect_err("it is wrong").message().contains("basis"));
    }

    #[test]
    fn an_empty_request_sweeps_by_the_start_after_two_hours() {
        let query = from_proto(v1::SweepStuckJobsRequest::default()).expect("it is right");
        let Sweep { threshold, basis, include_pending, types } = query.sweep;
        assert_eq!((threshold, basis), (Duration::from_secs(7_200), Basis::Start));
        assert!(!include_pending && types.is_empty() && !query.validate_only);
    }
}
