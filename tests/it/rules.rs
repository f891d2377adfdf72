//! Changes of rules of whose commit nobody hears, or hears in time.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::schedule::Times;
use jobplane::store::{Batch, RuleKind};
use tonic::{Code, Status};

use crate::harness::{
    Client, Fault, JobFacts as _, SOON, Server, Told as _, Weather, Worker, eventually, seconds,
    spec,
};

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn of_queues(batch: &Batch) -> bool {
    batch.rules.iter().any(|write| write.key.kind == RuleKind::Queue)
}

fn of_types(batch: &Batch) -> bool {
    batch.rules.iter().any(|write| write.key.kind == RuleKind::Type)
}

async fn pause(client: &Client) -> Result<(), Status> {
    let queue = v1::Queue { name: "mail".to_owned(), paused: true, ..v1::Queue::default() };
    let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
    client.admin.clone().update_queue(request).await.map(drop)
}

/// Declares a type that is to run each hour.
async fn declare(client: &Client) -> Result<(), Status> {
    let times = seconds(3_600.0).map(Times::Interval);
    let schedule = Some(v1::Schedule { times, ..v1::Schedule::default() });
    let job_type = v1::JobType { r#type: "hourly".to_owned(), schedule, ..v1::JobType::default() };
    let request = v1::PutJobTypeRequest {
        job_type: Some(job_type),
        validate_only: false,
        ..Default::default()
    };
    client.types.clone().put_job_type(request).await.map(drop)
}

async fn worker(server: &Server) -> Worker {
    server.worker("w1").queue("mail").queue("default").slots(2).connect().await
}

/// Whether a job that waits in the paused queue stays there while another one starts.
async fn is_paused(client: &Client, worker: &Worker) -> bool {
    let waits = client.create(v1::JobSpec { queue: "mail".into(), ..spec("sync") }).await.id;
    let runs = client.create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    if held.id != runs {
        return false;
    }
    let is_paused = client.get(&waits).await.state() == State::Pending;
    held.succeed().await.expect("taken");
    is_paused
}

#[tokio::test]
async fn a_pause_is_in_force_although_its_caller_went_away_before_the_answer() {
    let server = Server::start().await;
    let client = server.client();
    server.faults.plan(Fault::AnswerHeld, of_queues);
    let (begun, call) = (async || server.faults.happened(), pause(&client));
    tokio::select! {
        biased;
        answer = call => panic!("answered before the commit was: {answer:?}"),
        () = eventually(SOON, "the commit is under way", begun) => {}
    }
    server.faults.answer();
    let worker = worker(&server).await;
    assert!(is_paused(&client, &worker).await);
    server.stop_with(worker).await;
}

#[tokio::test]
async fn rules_are_in_force_once_it_is_known_that_they_were_written() {
    let server = Server::start().await;
    let client = server.client();
    let engine = server.engine();
    assert_eq!(engine.until_schedule(DAY), DAY, "nothing is to fire");
    let back = async || {
        let down = || async { client.list(v1::ListJobsRequest::default()).await.is_err() };
        eventually(SOON, "the store is gone", down).await;
        server.faults.set(Weather::Fair);
    };
    server.faults.plan(Fault::StoreLost, of_types);
    assert_eq!(declare(&client).await.refusal().code, Code::Unavailable);
    back().await;
    let planned = || async { engine.until_schedule(DAY) < DAY };
    eventually(SOON, "it is to fire", planned).await;
    server.faults.plan(Fault::AnswerLost, of_queues);
    pause(&client).await.expect("paused");
    let worker = worker(&server).await;
    assert!(is_paused(&client, &worker).await);
    server.stop_with(worker).await;
}
