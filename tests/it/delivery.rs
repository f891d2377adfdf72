//! What a worker is given, and what becomes of jobs that never reach it.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::runtime::{Clock, Tasks};
use tonic::Request;

use crate::harness::{
    JobFacts as _, Message, SOON, Server, StalledWorker, Worker, eventually, seconds, spec,
};

/// What the promise says, and the bound it is held against.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);
const BOUND: Duration = Duration::from_secs(100);

fn assignments(worker: &Worker) -> usize {
    worker.told().iter().filter(|told| matches!(told, Message::Assignment(_))).count()
}

async fn pending_again(server: &Server, id: &str) -> Duration {
    let began = Clock::monotonic();
    eventually(BOUND, "the job is taken back", || async {
        server.client().get(id).await.state() == State::Pending
    })
    .await;
    Clock::monotonic().duration_since(began)
}

#[tokio::test]
async fn an_assignment_that_is_not_confirmed_is_taken_back_after_ten_seconds() {
    let server = Server::start().await;
    let client = server.client();
    let mut ids = Vec::new();
    for name in ["silent", "gone", "named"] {
        ids.push(client.create(spec(name)).await.id);
    }
    let deaf = |name: &str| server.worker(name).job_type(name).confirming_nothing();
    // One stays attached and says nothing of it, one loses its connection, one attaches again.
    let (silent, gone, named) = (
        deaf("silent").connect().await,
        deaf("gone").connect().await,
        deaf("named").connect().await,
    );
    for worker in [&silent, &gone, &named] {
        worker.expect_assignment().await;
        worker.capacity(0);
    }
    gone.cut();
    named.cut();
    let named = server.worker("named").same_process_as(&named).slots(0).has(&ids[2], 1);
    let named = named.connect().await;
    assert_eq!(named.welcome.adopted.len(), 1);

    let (first, second) =
        tokio::join!(pending_again(&server, &ids[0]), pending_again(&server, &ids[1]));
    for took in [first, second] {
        assert!(took > CONFIRM_WITHIN.mul_f64(0.8), "taken back too early: {took:?}");
    }
    for id in &ids[..2] {
        assert_eq!(client.get(id).await.status().attempt, 0, "no attempt is used");
    }
    let revoke = silent.expect_revoke().await;
    assert_eq!((revoke.job_id.as_str(), revoke.lease_epoch), (ids[0].as_str(), 1));
    assert_eq!(client.get(&ids[2]).await.state(), State::Running, "what was named is held");
    let (again, epoch) = client.acquire_one("silent").await;
    assert_eq!((again.status().attempt, epoch), (1, 2));
    server.stop().await;
}

#[tokio::test]
async fn an_assignment_that_was_never_written_is_released_with_its_stream() {
    let server = Server::start().await;
    let client = server.client();
    let stalled = StalledWorker::connect(server.address(), "stalled").await;
    eventually(SOON, "it is attached", || async { !server.open_sessions().await.is_empty() }).await;
    // The transport takes one message ahead; the next one stays behind.
    let mut id = String::new();
    for _ in 0..2 {
        id = client.create(spec("sync")).await.id;
        client.until(&id, |job| job.state() == State::Running).await;
    }
    drop(stalled);
    let took = pending_again(&server, &id).await;
    assert!(took < CONFIRM_WITHIN / 2, "at once, not after {took:?}");
    assert_eq!(client.get(&id).await.status().attempt, 0);
    let held = server.worker("w2").connect().await.expect_assignment().await;
    assert_eq!((held.id, held.epoch, held.job.status().attempt), (id, 2, 1));
    server.stop().await;
}

#[tokio::test]
async fn capacity_alone_lets_the_server_assign() {
    let server = Server::start().await;
    let client = server.client();
    let (first, second) = (server.worker("a").slots(0), server.worker("b").slots(1));
    let (first, second) = (first.connect().await, second.connect().await);
    for _ in 0..3 {
        let id = client.create(spec("sync")).await.id;
        let held = second.expect_assignment().await;
        assert_eq!(held.id, id);
        held.succeed().await.expect("taken");
    }
    assert_eq!(assignments(&first), 0);
    second.capacity(0);
    second.heartbeat();
    let id = client.create(spec("other")).await.id;
    first.capacity(1);
    assert_eq!(first.expect_assignment().await.id, id);
    server.stop().await;
}

#[tokio::test]
async fn a_session_holds_what_it_adopted_and_was_given_until_its_outcome() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("a").slots(2).connect().await;
    for _ in 0..2 {
        client.create(spec("sync")).await;
    }
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    // A third one waits for somebody else.
    let third = client.create(spec("sync")).await.id;
    let other = server.worker("b").connect().await;
    assert_eq!(other.expect_assignment().await.id, third);

    worker.cut();
    let again = server.worker("a").same_process_as(&worker).slots(2);
    let again = again.has(&held[0].id, 1).has(&held[1].id, 1).connect().await;
    assert_eq!(again.welcome.adopted.len(), 2);
    let fourth = client.create(spec("sync")).await.id;
    let fifth = server.worker("c").connect().await.expect_assignment().await;
    assert_eq!(fifth.id, fourth, "adopted jobs count as held");
    let seq = again.update(&held[0].id, 1, succeeded());
    again.settled(seq).await.expect("taken");
    let last = client.create(spec("sync")).await.id;
    assert_eq!(again.expect_assignment().await.id, last);
    assert_eq!((assignments(&worker), assignments(&again)), (2, 1));
    server.stop().await;
}

fn succeeded() -> v1::report_progress_request::update::Report {
    use v1::report_progress_request::update::{Report, Succeeded};
    Report::Succeeded(Succeeded::default())
}

fn acquire(job_type: &str, wait: f64, max_jobs: i32) -> v1::AcquireJobsRequest {
    v1::AcquireJobsRequest {
        worker_id: "caller".to_owned(),
        types: vec![job_type.to_owned()],
        wait: seconds(wait),
        max_jobs,
        ..v1::AcquireJobsRequest::default()
    }
}

#[tokio::test]
async fn a_waiting_call_is_answered_before_its_deadline() {
    let server = Server::start().await;
    let mut request = Request::new(acquire("sync", 60.0, 1));
    request.set_timeout(Duration::from_millis(700));
    let answer = server.client().workers.acquire_jobs(request).await;
    assert!(answer.expect("no deadline is exceeded").into_inner().assignments.is_empty());
    let none = server.client().acquire(acquire("sync", 0.0, 1)).await.expect("an answer");
    assert!(none.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_call_takes_as_many_jobs_as_it_asks_for() {
    let server = Server::start().await;
    let client = server.client();
    for _ in 0..5 {
        client.create(spec("sync")).await;
    }
    let taken = client.acquire(acquire("sync", 5.0, 3)).await.expect("jobs");
    assert_eq!(taken.len(), 3);
    let rest = client.acquire(acquire("sync", 5.0, 100)).await.expect("jobs");
    assert_eq!(rest.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_job_of_a_caller_that_went_away_goes_to_the_next() {
    let server = Server::start().await;
    let client = server.client();
    let tasks = Tasks::new();
    let gone = client.clone();
    let call = tasks.spawn("call", async move { gone.acquire(acquire("sync", 60.0, 1)).await });
    eventually(SOON, "it waits", || async { client.workers().await.len() == 1 }).await;
    call.abort();
    let id = client.create(spec("sync")).await.id;
    let (job, _) = client.acquire_one("sync").await;
    assert_eq!((job.id, job.status.expect("a status").attempt), (id, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_worker_gets_only_jobs_of_its_queues_and_types() {
    let server = Server::start().await;
    let client = server.client();
    let in_queue =
        |queue: &str, job_type: &str| v1::JobSpec { queue: queue.to_owned(), ..spec(job_type) };
    let worker = server.worker("w").slots(10).queue("fast").job_type("a").connect().await;
    client.create(in_queue("fast", "b")).await;
    client.create(in_queue("slow", "a")).await;
    client.create(spec("a")).await;
    let id = client.create(in_queue("fast", "a")).await.id;
    assert_eq!(worker.expect_assignment().await.id, id);
    let any = server.worker("any").slots(10).queue("fast").queue("slow").connect().await;
    for _ in 0..2 {
        any.expect_assignment().await;
    }
    assert_eq!((assignments(&worker), assignments(&any)), (1, 2));
    server.stop().await;
}

#[tokio::test]
async fn urgent_jobs_come_first_and_equals_in_order() {
    let server = Server::start().await;
    let client = server.client();
    let mut wanted = Vec::new();
    for priority in [v1::Priority::Low, v1::Priority::Normal, v1::Priority::Urgent] {
        let of = v1::JobSpec { priority: priority.into(), ..spec("sync") };
        let ids = [client.create(of.clone()).await.id, client.create(of).await.id];
        wanted.splice(0..0, ids);
    }
    let worker = server.worker("w").connect().await;
    for id in wanted {
        let held = worker.expect_assignment().await;
        assert_eq!(held.id, id);
        held.succeed().await.expect("taken");
    }
    server.stop().await;
}
