//! Workers that are to leave.

use jobplane::proto::v1;
use jobplane::proto::v1::{JobState as State, WorkerState};

use crate::harness::{Client, JobFacts as _, Server, Shared, Told as _, spec};

async fn state(client: &Client, worker: &str) -> Option<WorkerState> {
    let workers = client.workers().await;
    workers.iter().find(|found| found.worker_id == worker).map(v1::Worker::state)
}

fn acquire(worker: &str, instance: &str) -> v1::AcquireJobsRequest {
    v1::AcquireJobsRequest {
        worker_id: worker.to_owned(),
        instance_id: instance.to_owned(),
        wait: crate::harness::seconds(0.2),
        ..v1::AcquireJobsRequest::default()
    }
}

async fn a_drained_worker_gets_no_more_jobs_on_whichever_server_it_is(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let other = server.beside().await;
    let client = server.client();
    let worker = server.worker("w1").slots(2).connect().await;
    let first = client.create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    // Asked of another server than the one it is attached to.
    let drained = other.client().drain("w1", 60.0).await.expect("drained");
    assert_eq!(drained.processes, 1);
    assert_eq!(drained.worker.expect("the worker").state(), WorkerState::Draining);
    let told = worker.expect_drain().await;
    assert_eq!(told.reason, "an update");
    assert!(told.grace.is_some_and(|grace| (50..=60).contains(&grace.seconds)));
    assert_eq!(state(&client, "w1").await, Some(WorkerState::Draining));

    let second = client.create(spec("sync")).await.id;
    let fresh = server.worker("w2").connect().await;
    assert_eq!(fresh.expect_assignment().await.id, second, "not the one that drains");
    // What it holds it may finish, and it survives a reattach at another server.
    let again = other.worker("w1").same_process_as(&worker).has(&first, held.epoch);
    let again = again.slots(2).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1);
    again.expect_drain().await;
    let refused = client.acquire(acquire("w1", &worker.instance_id)).await.refusal();
    assert_eq!(refused.reason, "WORKER_DRAINING");
    let held = crate::harness::Held { worker: again.clone(), ..held };
    held.succeed().await.expect("taken");
    again.goodbye().await.expect("ends well");
    other.stop_with((again, held)).await;
    server.stop_with((worker, fresh)).await;
}

async fn what_it_keeps_for_too_long_runs_elsewhere(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    client.drain("w1", 0.0).await.expect("drained");
    let lost = worker.expect_revoke().await;
    assert_eq!(lost.job_id, id);
    let fresh = server.worker("w2").connect().await;
    let again = fresh.expect_assignment().await;
    assert_eq!((again.id.as_str(), again.job.status().attempt), (id.as_str(), 1));
    assert_eq!(held.succeed().await.expect_err("stale").reason, "STALE_LEASE");
    again.succeed().await.expect("taken");
    assert_eq!(client.get(&id).await.state(), State::Succeeded);
    server.stop_with((worker, fresh, held, again)).await;
}

super::on_each_shared_store!(
    a_drained_worker_gets_no_more_jobs_on_whichever_server_it_is
    what_it_keeps_for_too_long_runs_elsewhere
);

#[tokio::test]
async fn a_drain_outlives_the_server() {
    let mut server = Server::start().await;
    let worker = server.worker("w1").connect().await;
    server.client().drain("w1", 600.0).await.expect("drained");
    worker.expect_drain().await;
    server.restart().await;
    let again = server.worker("w1").same_process_as(&worker).connect().await;
    again.expect_drain().await;
    let id = server.client().create(spec("sync")).await.id;
    let fresh = server.worker("w2").connect().await;
    assert_eq!(fresh.expect_assignment().await.id, id);
    server.stop_with((worker, again, fresh)).await;
}

#[tokio::test]
async fn a_script_that_drains_is_told_so_and_the_next_process_of_its_name_is_not_held_to_it() {
    let server = Server::start().await;
    let client = server.client();
    let instance = uuid::Uuid::new_v4().to_string();
    client.create(spec("sync")).await;
    let held = client.acquire(acquire("w1", &instance)).await.expect("an answer");
    assert_eq!(held.len(), 1);
    let drained = client.drain("w1", 60.0).await.expect("drained");
    assert_eq!(drained.worker.expect("the worker").instance_id, instance);
    let refused = client.acquire(acquire("w1", &instance)).await.refusal();
    assert_eq!(
        (refused.reason.as_str(), refused.code),
        ("WORKER_DRAINING", tonic::Code::FailedPrecondition)
    );
    let start = v1::StartJobRequest {
        worker_id: "w1".to_owned(),
        instance_id: instance,
        spec: Some(spec("sync")),
        ..v1::StartJobRequest::default()
    };
    let refused = client.workers.clone().start_job(start).await.refusal();
    assert_eq!(refused.reason, "WORKER_DRAINING");
    let fresh = uuid::Uuid::new_v4().to_string();
    client.create(spec("sync")).await;
    assert_eq!(client.acquire(acquire("w1", &fresh)).await.expect("an answer").len(), 1);
    let refused = client.drain("nobody", 60.0).await.refusal();
    assert_eq!(
        (refused.reason.as_str(), refused.code),
        ("WORKER_NOT_FOUND", tonic::Code::NotFound)
    );
    server.stop().await;
}
