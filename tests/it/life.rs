//! The whole life of a job, and who hears of it when.

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use prost::Message as _;

use crate::harness::{JobFacts as _, Seen, Server, Watcher, object, percent, spec};

#[tokio::test]
async fn a_job_lives_from_create_to_result_over_a_stream() {
    let server = Server::start().await;
    let client = server.client();
    let payload = Some(object("folder", "a"));
    let job = client.create(v1::JobSpec { payload: payload.clone(), ..spec("sync") }).await;
    assert_eq!(job.state(), State::Pending);
    let watcher = server.watch(&job.id).await;
    let worker = server.worker("w1").slots(2).connect().await;

    let held = worker.expect_assignment().await;
    assert_eq!((held.id.as_str(), held.epoch), (job.id.as_str(), 1));
    assert_eq!(held.job.spec.as_ref().and_then(|spec| spec.payload.clone()), payload);
    let held = held.progress(40.0).await;
    watcher.until_status("40 %", |status| status.percent() == Some(40.0)).await;
    held.succeed().await.expect("taken");

    let (seen, end) = watcher.end().await;
    end.expect("a watch of a job that is over ends well");
    assert_eq!(Watcher::states(&seen), [State::Pending, State::Running, State::Succeeded]);
    let job = client.get(&job.id).await;
    assert_eq!((job.state(), job.percent()), (State::Succeeded, Some(40.0)));
    assert_eq!(job.status().attempt, 1);
    assert_eq!(job.status().worker_id, "w1");
    server.stop().await;
}

#[tokio::test]
async fn a_job_lives_from_create_to_result_by_single_calls() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let watcher = server.watch(&id).await;

    let (job, lease_epoch) = client.acquire_one("sync").await;
    assert_eq!((job.id.as_str(), job.state()), (id.as_str(), State::Running));
    let report = v1::ReportJobRequest {
        job_id: id.clone(),
        lease_epoch,
        progress: Some(percent(25.0)),
        ..v1::ReportJobRequest::default()
    };
    let reported = client.report(report).await.expect("taken");
    assert!(reported.cancel_request.is_none());
    watcher.until_status("25 %", |status| status.percent() == Some(25.0)).await;
    let result = Some(object("rows", "7"));
    let request = v1::CompleteJobRequest {
        job_id: id.clone(),
        lease_epoch,
        result: result.clone(),
        ..Default::default()
    };
    client.workers.clone().complete_job(request).await.expect("taken");

    let (seen, end) = watcher.end().await;
    end.expect("ends well");
    assert_eq!(Watcher::states(&seen), [State::Pending, State::Running, State::Succeeded]);
    assert_eq!(client.get(&id).await.status().result, result);
    server.stop().await;
}

#[tokio::test]
async fn a_started_job_is_its_callers_to_run() {
    let server = Server::start().await;
    let client = server.client();
    let request = v1::StartJobRequest {
        worker_id: "cron".to_owned(),
        spec: Some(spec("nightly")),
        request_id: "night-1".to_owned(),
        ..v1::StartJobRequest::default()
    };
    let started = || async {
        let answer = client.workers.clone().start_job(request.clone()).await;
        match answer.expect("started").into_inner().outcome {
            Some(v1::start_job_response::Outcome::Assignment(assignment)) => assignment,
            other => panic!("no assignment: {other:?}"),
        }
    };
    let (first, again) = (started().await, started().await);
    let job =
        |given: &v1::Assignment| v1::Job::decode(given.job.clone().expect("a job")).expect("a job");
    assert_eq!((job(&first).id, first.lease_epoch), (job(&again).id, again.lease_epoch));
    assert_eq!(job(&first).status().max_attempts, 1);

    let id = job(&first).id;
    let failed = client.fail(&id, first.lease_epoch, "NO_DISK").await.expect("taken");
    assert_eq!((failed.state(), failed.error_code()), (State::Failed, "NO_DISK"));
    let late = client.workers.clone().start_job(request.clone()).await;
    assert_eq!(crate::harness::Told::reason(late), "STALE_LEASE");
    server.stop().await;
}

#[tokio::test]
async fn the_watch_of_a_finished_job_is_its_snapshot_and_the_end() {
    let server = Server::start().await;
    let id = server.client().create(spec("sync")).await.id;
    server.client().cancel(&id, None).await.expect("cancelled");
    let (seen, end) = server.watch(&id).await.end().await;
    end.expect("ends well");
    assert!(
        matches!(&seen[..], [Seen::Snapshot(job)] if job.state() == State::Cancelled),
        "{seen:?}"
    );
    server.stop().await;
}
