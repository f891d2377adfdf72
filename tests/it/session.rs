//! The session that the command line's workers speak by: what becomes of it when streams break and servers go away.

use std::net::SocketAddr;
use std::time::Duration;

use jobplane::cli::worker::{self, Closed, Event, Events, Handle, Lease, Settings};
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::runtime::{Clock, Tasks};

use crate::harness::{
    Client, Fault, JobFacts as _, Proxy, SOON, Server, done, eventually, lines, spec, within,
};

/// A session and what it tells.
struct Session {
    handle: Handle,
    events: Events,
    tasks: Tasks,
}

impl Session {
    fn open(address: SocketAddr, change: impl FnOnce(&mut Settings)) -> Self {
        let address = address.to_string().parse().expect("an address");
        let mut settings = Settings::new(address);
        "s1".clone_into(&mut settings.worker_id);
        change(&mut settings);
        let tasks = Tasks::new();
        let (handle, events) = worker::start(settings, &tasks, &Clock::new());
        Self { handle, events, tasks }
    }

    /// The next event that is as `wanted`; others are passed over.
    async fn until<T>(&mut self, what: &str, wanted: impl Fn(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.next().await.expect("the session goes on");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        within(SOON * 2, what, found).await
    }

    async fn connected(&mut self) {
        self.until("the session is open", |event| matches!(event, Event::Connected).then_some(()))
            .await;
    }

    async fn lost(&mut self) {
        self.until("the server is lost", |event| matches!(event, Event::Lost(_)).then_some(()))
            .await;
    }

    async fn assigned(&mut self) -> Lease {
        let found = self.until("a job comes", |event| match event {
            Event::Assigned { lease, .. } => Some(lease),
            _ => None,
        });
        found.await
    }

    /// Waits for the answer to the outcome of a job.
    async fn settled(&mut self, of: &Lease) -> bool {
        let found = self.until("the outcome is answered", |event| match event {
            Event::Settled { lease, answer } if lease == *of => Some(answer.is_ok()),
            _ => None,
        });
        found.await
    }

    async fn close(self) {
        let closed = self.handle.close(SOON).await;
        assert_eq!(closed, Closed { open_jobs: 0, open_lines: 0 });
        within(SOON, "its tasks end", self.tasks.ended()).await;
    }
}

/// Every line of a job, page by page.
async fn messages(client: &Client, job_id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_sequence = 0;
    loop {
        let page = client.logs(v1::ListJobLogsRequest {
            job_id: job_id.to_owned(),
            after_sequence,
            page_size: 1_000,
            ..v1::ListJobLogsRequest::default()
        });
        let page = page.await;
        if page.entries.is_empty() && page.next_sequence == after_sequence {
            return found;
        }
        after_sequence = page.next_sequence;
        found.extend(page.entries.into_iter().map(|line| line.message));
    }
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_job_is_taken_reported_and_finished() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |settings| settings.slots = 2);
    session.connected().await;
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    assert_eq!((job.job_id.as_str(), job.epoch), (id.as_str(), 1));
    let watcher = server.watch(&id).await;
    for completed in 1..=30 {
        session.handle.progress(&job, done(completed, 30));
    }
    let all = |status: &v1::JobStatus| status.progress.as_ref().is_some_and(|p| p.completed == 30);
    watcher.until_status("all of it", all).await;
    session.handle.logs(&job, lines(0..2_500));
    session.handle.usage(&job, v1::ResourceUsage { memory_bytes: Some(7), ..Default::default() });
    session.handle.succeed(&job, None);
    assert!(session.settled(&job).await);
    let job = client.get(&id).await;
    assert_eq!(job.state(), State::Succeeded);
    assert_eq!(job.status().progress.as_ref().map(|progress| progress.completed), Some(30));
    let usage = job.status().resource_usage.and_then(|usage| usage.memory_bytes);
    assert_eq!(usage, Some(7));
    assert_eq!(messages(&client, &id).await, numbers(0, 2_500));
    let worker = &client.workers().await[0];
    assert_eq!((worker.worker_id.as_str(), worker.slots), ("s1", 2));
    drop(watcher);
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_cut_connection_costs_nothing() {
    let server = Server::start().await;
    let client = server.client();
    let proxy = Proxy::to(server.address()).await;
    let mut session = Session::open(proxy.address, |_| {});
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    for round in 0..6 {
        // In the middle of what is said: some of it is answered, some is not.
        session.handle.logs(&job, lines(round * 400..round * 400 + 400));
        session.handle.progress(&job, done(i64::try_from(round).unwrap(), 6));
        if round % 2 == 0 {
            eventually(SOON, "lines arrive", || async {
                messages(&client, &id).await.len() > round * 400
            })
            .await;
        }
        proxy.cut();
        session.lost().await;
        session.connected().await;
    }
    session.handle.succeed(&job, None);
    proxy.cut();
    assert!(session.settled(&job).await);
    let found = client.get(&id).await;
    assert_eq!((found.state(), found.status().attempt), (State::Succeeded, 1));
    assert_eq!(found.status().lease_epoch, 1, "it was never taken away");
    assert_eq!(messages(&client, &id).await, numbers(0, 2_400));
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn work_goes_on_without_a_server_and_all_of_it_arrives_afterwards() {
    let mut server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let mut session = Session::open(proxy.address, |settings| settings.slots = 2);
    let ids = [
        server.client().create(spec("sync")).await.id,
        server.client().create(spec("sync")).await.id,
    ];
    let (one, two) = (session.assigned().await, session.assigned().await);
    assert!(ids.contains(&one.job_id) && ids.contains(&two.job_id));
    session.handle.logs(&one, lines(0..10));
    proxy.lead_to(None);
    server.halt().await;
    session.lost().await;
    for number in 10..6_000 {
        session.handle.logs(&one, lines([number]));
    }
    session.handle.progress(&one, done(3, 4));
    session.handle.succeed(&one, None);
    session.handle.release(&two, Duration::ZERO, "not today");
    session.lost().await;

    server.resume().await;
    proxy.lead_to(Some(server.address()));
    // What was given back comes again: before or after the other answer.
    let (mut answers, mut again) = (0, None);
    while answers < 2 || again.is_none() {
        match within(SOON * 2, "outcomes are answered", session.events.next()).await {
            Some(Event::Settled { answer, .. }) => {
                answer.expect("taken");
                answers += 1;
            }
            Some(Event::Assigned { lease, .. }) => again = Some(lease),
            Some(_) => {}
            None => panic!("the session is over"),
        }
    }
    let client = server.client();
    let found = client.get(&one.job_id).await;
    assert_eq!(found.state(), State::Succeeded);
    assert_eq!(found.status().progress.as_ref().map(|progress| progress.completed), Some(3));
    assert_eq!(messages(&client, &one.job_id).await, numbers(0, 6_000));
    assert_eq!(session.handle.dropped_lines(), 0);
    let again = again.expect("a job");
    assert_eq!((&again.job_id, again.epoch), (&two.job_id, 2));
    session.handle.succeed(&again, None);
    assert!(session.settled(&again).await);
    assert_eq!(client.get(&two.job_id).await.status().attempt, 1, "its number was given back");
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn lines_beyond_the_spool_are_counted_where_they_are_missing() {
    let mut server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let mut session = Session::open(proxy.address, |settings| settings.spool_bytes = 256 << 10);
    let id = server.client().create(spec("sync")).await.id;
    let job = session.assigned().await;
    session.handle.logs(&job, lines(["first"]));
    eventually(SOON, "a line arrives", || async {
        messages(&server.client(), &id).await.len() == 1
    })
    .await;
    proxy.lead_to(None);
    server.halt().await;
    let long = |number: usize| format!("{number} {}", "x".repeat(2_000));
    session.handle.logs(&job, lines((0..2_000).map(long)));
    session.handle.succeed(&job, None);
    server.resume().await;
    proxy.lead_to(Some(server.address()));
    assert!(session.settled(&job).await);
    let dropped = session.handle.dropped_lines();
    assert!(dropped > 500, "{dropped}");
    let found = messages(&server.client(), &id).await;
    assert_eq!(found[0], "first");
    let gap = format!("{dropped} lines were dropped here: the server was away for too long");
    assert_eq!(found[1], gap);
    let dropped = usize::try_from(dropped).unwrap();
    assert_eq!(found[2..], (dropped..2_000).map(long).collect::<Vec<_>>());
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_wish_to_stop_arrives_also_when_it_was_made_behind_a_broken_line() {
    let server = Server::start().await;
    let client = server.client();
    let proxy = Proxy::to(server.address()).await;
    let mut session = Session::open(proxy.address, |_| {});
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    proxy.lead_to(None);
    session.lost().await;
    client.cancel(&id, Some(30.0)).await.expect("asked");
    proxy.lead_to(Some(server.address()));
    let (reason, grace) = session
        .until("to stop", |event| match event {
            Event::Cancel { reason, grace, .. } => Some((reason, grace)),
            _ => None,
        })
        .await;
    assert_eq!(reason, "enough");
    assert!(grace > Duration::from_secs(10) && grace <= Duration::from_secs(30), "{grace:?}");
    session.handle.cancelled(&job);
    assert!(session.settled(&job).await);
    assert_eq!(client.get(&id).await.state(), State::Cancelled);
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_ended_without_its_worker_is_lost_to_it() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |_| {});
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    client.cancel(&id, Some(0.0)).await.expect("ended at once");
    let lost = session.until("it is lost", |event| match event {
        Event::Revoked { lease, .. } => Some(lease),
        _ => None,
    });
    assert_eq!(lost.await, job);
    session.handle.logs(&job, lines(["late"]));
    session.handle.succeed(&job, None);
    assert_eq!(session.handle.held(), 0);
    let next = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    assert_eq!(job.job_id, next, "the slot is free");
    session.handle.succeed(&job, None);
    session.close().await;
    assert_eq!(client.get(&next).await.state(), State::Succeeded, "close waits for the answer");
    server.stop().await;
}

#[tokio::test]
async fn wrong_progress_is_told_and_the_job_goes_on() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |_| {});
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    session.handle.progress(&job, done(5, 4));
    let said = session.until("a refusal", |event| match event {
        Event::Rejected { what, refusal, .. } => Some((what, refusal.said())),
        _ => None,
    });
    let (what, said) = said.await;
    assert_eq!(what, "progress");
    assert!(said.contains("completed"), "{said}");
    session.handle.succeed(&job, None);
    assert!(session.settled(&job).await);
    assert_eq!(client.get(&id).await.state(), State::Succeeded);
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_slow_answer_is_awaited_and_the_outcome_comes_after_it() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |_| {});
    let id = client.create(spec("sync")).await.id;
    let job = session.assigned().await;
    server.faults.plan(Fault::AnswerHeld, |batch| !batch.logs.is_empty());
    session.handle.logs(&job, lines(0..3_000));
    session.handle.succeed(&job, None);
    eventually(SOON, "the answer is held", || async { server.faults.happened() }).await;
    assert_eq!(client.get(&id).await.state(), State::Running);
    server.faults.answer();
    assert!(session.settled(&job).await);
    assert_eq!(messages(&client, &id).await, numbers(0, 3_000));
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_was_started_by_a_call_is_taken_into_the_session() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |settings| settings.slots = 0);
    session.connected().await;
    let start = v1::StartJobRequest {
        worker_id: "s1".to_owned(),
        spec: Some(spec("sync")),
        ..v1::StartJobRequest::default()
    };
    let started = client.workers.clone().start_job(start).await.expect("started").into_inner();
    let Some(v1::start_job_response::Outcome::Assignment(assignment)) = started.outcome else {
        panic!("no assignment: {started:?}");
    };
    let job: v1::Job = prost::Message::decode(assignment.job.expect("a job")).expect("a job");
    let lease = Lease { job_id: job.id.clone(), epoch: assignment.lease_epoch };
    session.handle.hold(lease.clone());
    session.connected().await;
    let workers = client.workers().await;
    let has = |worker: &v1::Worker| worker.running.iter().any(|run| run.job_id == job.id);
    assert!(
        workers.iter().any(|worker| !worker.instance_id.is_empty() && has(worker)),
        "{workers:?}"
    );
    session.handle.succeed(&lease, None);
    assert!(session.settled(&lease).await);
    assert_eq!(client.get(&job.id).await.state(), State::Succeeded);
    session.close().await;
    server.stop().await;
}

#[tokio::test]
async fn goodbye_gives_back_what_has_no_outcome() {
    let server = Server::start().await;
    let client = server.client();
    let mut session = Session::open(server.address(), |_| {});
    let id = client.create(spec("sync")).await.id;
    session.assigned().await;
    let closed = session.handle.close(Duration::from_millis(200)).await;
    assert_eq!(closed.open_jobs, 1);
    let job = client.until(&id, |job| job.state() == State::Pending).await;
    assert_eq!(job.status().attempt, 0, "its number is given back");
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_the_server_will_not_have_is_told_why() {
    let server = Server::start().await;
    let mut session =
        Session::open(server.address(), |settings| settings.worker_id = "no good".into());
    let failure = session.until("a refusal", |event| match event {
        Event::Refused(failure) => Some(failure.lines().join("\n")),
        _ => None,
    });
    let failure = failure.await;
    assert!(failure.contains("worker_id"), "{failure}");
    assert!(session.events.next().await.is_none());
    assert_eq!(session.handle.close(SOON).await.open_jobs, 0);
    server.stop().await;
}

#[tokio::test]
async fn an_orderly_restart_takes_no_job_away() {
    let mut server = Server::start().await;
    let proxy = Proxy::to(server.address()).await;
    let mut session = Session::open(proxy.address, |_| {});
    let id = server.client().create(spec("sync")).await.id;
    let job = session.assigned().await;
    session.handle.logs(&job, lines(0..3));
    session.handle.progress(&job, done(1, 2));
    server.restart().await;
    proxy.lead_to(Some(server.address()));
    session.connected().await;
    session.handle.logs(&job, lines(3..6));
    session.handle.succeed(&job, None);
    assert!(session.settled(&job).await);
    let client = server.client();
    let found = client.get(&id).await;
    assert_eq!((found.state(), found.status().lease_epoch), (State::Succeeded, 1));
    assert_eq!(messages(&client, &id).await, numbers(0, 6));
    session.close().await;
    server.stop().await;
}
