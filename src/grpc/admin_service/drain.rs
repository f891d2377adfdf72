//! DrainWorker.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::validate::Violations;
use crate::engine::{DrainWorker, Engine, WhichWorker};
use crate::proto::v1;

use super::super::convert::{ids, names, text, time};
use super::super::status::{invalid, to_status};
use super::workers;

fn from_proto(request: v1::DrainWorkerRequest) -> Result<DrainWorker, Status> {
    let mut wrong = Violations::default();
    let which = which(&request, &mut wrong);
    let grace = time::cancel_grace(request.grace, "grace", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    match (which, grace, reason) {
        (Some(which), Some(grace), Some(reason)) => Ok(DrainWorker { which, grace, reason }),
        _ => Err(invalid(wrong)),
    }
}

fn which(request: &v1::DrainWorkerRequest, wrong: &mut Violations) -> Option<WhichWorker> {
    let (worker_id, instance_id) = (&request.worker_id, &request.instance_id);
    match (worker_id.is_empty(), instance_id.is_empty()) {
        (false, true) => names::worker_id(worker_id, "worker_id", wrong).map(WhichWorker::Named),
        (true, false) => {
            ids::instance_id(instance_id, "instance_id", wrong).map(WhichWorker::Instance)
        }
        (true, true) => {
            wrong.add("worker_id", "must not be empty, unless instance_id is given");
            None
        }
        (false, false) => {
            wrong.add("instance_id", "must be empty beside worker_id: give one of them");
            None
        }
    }
}

pub(super) async fn drain(
    engine: &Engine,
    caller: &Caller,
    request: v1::DrainWorkerRequest,
) -> Result<v1::DrainWorkerResponse, Status> {
    let drained = engine.drain_worker(caller, from_proto(request)?).await.map_err(to_status)?;
    let now = engine.clock().now();
    Ok(v1::DrainWorkerResponse {
        worker: drained.first().map(|worker| workers::to_proto(worker, now)),
        processes: i32::try_from(drained.len()).unwrap_or(i32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(request: v1::DrainWorkerRequest) -> String {
        from_proto(request).expect_err("it is wrong").message().to_owned()
    }

    #[test]
    fn one_of_name_and_instance_is_needed_and_every_number_out_of_range_names_its_field() {
        let named = v1::DrainWorkerRequest { worker_id: "w1".to_owned(), ..Default::default() };
        assert!(from_proto(named.clone()).is_ok());
        assert!(wrong(v1::DrainWorkerRequest::default()).contains("worker_id"));
        let instance_id = "0197ab1c-0000-7000-8000-000000000001".to_owned();
        let both = v1::DrainWorkerRequest { instance_id, ..named.clone() };
        assert!(wrong(both).contains("instance_id"));
        let no_uuid = v1::DrainWorkerRequest { instance_id: "w1".to_owned(), ..Default::default() };
        assert!(wrong(no_uuid).contains("instance_id"));
        for seconds in [-1, 3_601] {
            let grace = Some(prost_types::Duration { seconds, nanos: 0 });
            assert!(wrong(v1::DrainWorkerRequest { grace, ..named.clone() }).contains("grace"));
        }
    }
}
