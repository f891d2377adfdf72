//! How the server stops, and what is there when it starts again.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use jobplane::runtime::{Clock, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{
    Fault, JobFacts as _, Message, Refusal, SOON, Server, StalledWorker, Told as _, Watcher,
    Weather, channel, eventually, lines, percent, seconds, spec, within,
};

#[tokio::test]
async fn a_stop_ends_every_stream_and_call_with_a_status_and_loses_nothing() {
    let mut server = Server::start().await;
    let client = server.client();
    let waiting = client.create(spec("later")).await.id;
    let running = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").job_type("sync").connect().await;
    let held = worker.expect_assignment().await.progress(33.0).await;
    held.log(lines(["kept"])).await.expect("taken");
    let watchers = [server.watch(&waiting).await, server.watch(&running).await];
    let call = {
        let client = client.clone();
        let request = v1::AcquireJobsRequest {
            worker_id: "w2".to_owned(),
            types: vec!["none".to_owned()],
            wait: seconds(60.0),
            ..v1::AcquireJobsRequest::default()
        };
        Tasks::new().spawn("call", async move { client.acquire(request).await })
    };
    eventually(SOON, "the call waits", || async { client.workers().await.len() == 2 }).await;

    let took = server.halt().await;
    assert!(took < Duration::from_secs(4), "the deadline was near: {took:?}");
    for watcher in watchers {
        let refusal = Refusal::of(&watcher.end().await.1.expect_err("cut short"));
        assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "SERVER_DRAINING"));
        assert!(refusal.retry_after.is_some());
    }
    let reconnect = worker.expect("to attach again", |told| match told {
        Message::Reconnect(reconnect) => Some(reconnect.after),
        _ => None,
    });
    assert!(reconnect.await.is_some());
    let ended = Refusal::of(&worker.end().await.expect_err("cut short"));
    assert_eq!((ended.code, &*ended.reason), (Code::Unavailable, "SERVER_DRAINING"));
    let refused = call.await.expect("the task ends").refusal();
    assert_eq!((refused.code, &*refused.reason), (Code::Unavailable, "SERVER_DRAINING"));

    server.resume().await;
    let client = server.client();
    assert_eq!(client.get(&waiting).await.state(), State::Pending);
    let job = client.get(&running).await;
    assert_eq!((job.state(), job.percent()), (State::Running, Some(33.0)));
    let again = server.worker("w1").same_process_as(&worker).job_type("sync").has(&running, 1);
    let again = again.connect().await;
    let seq = again.update(&running, 1, Report::Succeeded(Succeeded::default()));
    again.settled(seq).await.expect("taken");
    let request = v1::ListJobLogsRequest { job_id: running, ..Default::default() };
    assert_eq!(client.logs(request).await.entries.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_the_health_sees_the_stop_and_does_not_hold_it() {
    let mut server = Server::start().await;
    let mut health = HealthClient::new(channel(server.address()).await);
    let whole = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(whole).await.expect("a watch").into_inner();
    let first = watch.message().await.expect("an answer").expect("a status");
    assert_eq!(first.status(), ServingStatus::Serving);
    let took = server.halt().await;
    assert!(took < Duration::from_secs(1), "the watch held it: {took:?}");
    let last = watch.message().await.expect("an answer").expect("a status");
    assert_eq!(last.status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.expect("a good end"), None);
}

/// HTTP/2's preface with empty settings, and headers that do not end.
const IN_MID_HEADERS: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82";

/// A connection over which so much was said, and an answer begun if it was enough for one.
async fn stuck(server: &Server, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
    stream.write_all(words).await.expect("sent");
    if words.len() > 24 {
        stream.read_u8().await.expect("the server's settings");
    }
    stream
}

#[tokio::test]
async fn a_stop_tells_a_crowd_and_does_not_wait_for_those_who_are_stuck() {
    let mut server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("later")).await.id;
    let mut workers = Vec::new();
    for number in 0..100 {
        workers.push(server.worker(&format!("w{number}")).job_type("sync").connect().await);
    }
    let mut watchers = Vec::new();
    for _ in 0..1_000 {
        watchers.push(Watcher::open(client.clone(), Watcher::wish(&id)).await);
    }
    let _silent = stuck(&server, b"").await;
    let _in_preface = stuck(&server, b"PRI * HTTP/2.0\r\n").await;
    let mut in_headers = stuck(&server, IN_MID_HEADERS).await;
    let created = client.create(spec("acked")).await.id;

    let took = server.halt().await;
    assert_eq!(server.logged("what still serves is cut off"), 0, "it came to the deadline");
    assert!(took < Duration::from_secs(5), "somebody held it: {took:?}");
    for watcher in watchers {
        let refusal = Refusal::of(&watcher.end().await.1.expect_err("cut short"));
        assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "SERVER_DRAINING"));
        assert!(refusal.retry_after.is_some());
    }
    for worker in workers {
        let reconnect = |told: &Message| matches!(told, Message::Reconnect(_)).then_some(());
        worker.expect("to attach again", reconnect).await;
        let refusal = Refusal::of(&worker.end().await.expect_err("cut short"));
        assert_eq!(refusal.reason, "SERVER_DRAINING");
    }
    let mut rest = Vec::new();
    // Cut: an end or a reset.
    let _ = within(SOON, "the end", in_headers.read_to_end(&mut rest)).await;

    let began = Clock::monotonic();
    server.resume().await;
    assert_eq!(server.client().get(&created).await.state(), State::Pending);
    let took = Clock::monotonic().duration_since(began);
    assert!(took < Duration::from_secs(2), "it served again only after {took:?}");
    server.stop().await;
}

#[tokio::test]
async fn readers_who_read_nothing_are_cut_before_the_deadline() {
    let within = Duration::from_secs(3);
    let setup = Server::setup().with(|config| config.shutdown_within = within);
    let mut server = setup.start().await;
    let id = server.client().create(spec("sync")).await.id;
    let stalled = server.stalled_watch(Watcher::wish(&id)).await;
    let held = server.worker("w1").connect().await.expect_assignment().await;
    let _idle = StalledWorker::connect(server.address(), "w2").await;
    held.clone().progress(40.0).await;
    let took = server.halt().await;
    assert!(took < within, "it took {took:?}");
    assert_eq!(server.logged("what still serves is cut off"), 1);
    stalled.read_all().await.expect_err("its connection is cut");
    // Nothing else suffered: the newest progress is on disk.
    server.resume().await;
    assert_eq!(server.client().get(&id).await.percent(), Some(40.0));
    server.stop().await;
}

#[tokio::test]
async fn a_health_check_on_an_open_connection_sees_the_stop() {
    let server = Server::start().await;
    let mut health = HealthClient::new(channel(server.address()).await);
    let check = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "jobplane.v1.JobService", "jobplane.v1.AdminService"] {
        let answer = health.check(check(service)).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health.check(check("other")).await.expect_err("no such service");
    assert_eq!(unknown.code(), Code::NotFound);
    let mut watch = health.watch(check("other")).await.expect("a watch").into_inner();
    let first = watch.message().await.expect("an answer").expect("a status");
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    server.stop().await;
    assert_eq!(watch.message().await.expect("a good end"), None);
}

#[tokio::test]
async fn every_acked_change_is_there_after_a_restart() {
    let mut server = Server::start().await;
    let client = server.client();
    let mut jobs = Vec::new();
    for number in 0..20 {
        let id = client.create(spec(&format!("t{number}"))).await.id;
        match number % 4 {
            0 => {}
            1 => drop(client.cancel(&id, None).await.expect("cancelled")),
            kind => {
                let (_, epoch) = client.acquire_one(&format!("t{number}")).await;
                match kind {
                    2 => drop(client.complete(&id, epoch).await.expect("taken")),
                    _ => drop(client.fail(&id, epoch, "E").await.expect("taken")),
                }
            }
        }
        jobs.push(client.get(&id).await);
    }
    let failed = jobs[3].id.clone();
    let attempts = client.attempts(&failed).await;
    server.restart().await;
    let client = server.client();
    for before in jobs {
        let after = client.get(&before.id).await;
        assert_eq!(after.spec, before.spec);
        let (after, before) = (after.status(), before.status());
        assert_eq!((after.state, after.revision), (before.state, before.revision));
        assert_eq!((&after.error, after.end_time), (&before.error, before.end_time));
        assert_eq!((after.attempt, after.lease_epoch), (before.attempt, before.lease_epoch));
    }
    assert_eq!(client.attempts(&failed).await, attempts);
    server.stop().await;
}

#[tokio::test]
async fn jobs_that_waited_through_a_restart_are_handed_out() {
    let mut server = Server::setup().without_polling().start().await;
    let id = server.client().create(spec("sync")).await.id;
    server.restart().await;
    let worker = server.worker("w1").slots(1).job_type("sync").connect().await;
    assert_eq!(worker.expect_assignment().await.id, id);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_within_its_deadline_although_the_store_hangs() {
    let server = Server::setup()
        .store_timeout(Duration::from_secs(1))
        .with(|config| config.shutdown_within = Duration::from_secs(2))
        .start()
        .await;
    server.client().create(spec("sync")).await;
    let held = server.worker("w1").connect().await.expect_assignment().await;
    server.faults.set(Weather::Hanging);
    held.send(Report::Progress(percent(50.0)));
    held.send(Report::Succeeded(Succeeded::default()));
    let took = server.abandon().await;
    assert!(took < Duration::from_secs(4), "it took {took:?}");
}

#[tokio::test]
async fn a_server_whose_writer_died_says_so_and_can_be_stopped() {
    let server = Server::start().await;
    server.faults.plan(Fault::Panics, |batch| !batch.creates.is_empty());
    let request = v1::CreateJobRequest { spec: Some(spec("sync")), ..Default::default() };
    let refused = server.client().try_create(request.clone()).await.refusal();
    assert_eq!(refused.code, Code::Unavailable);
    // Nobody is left who would take it, and nobody is kept waiting for that.
    let client = server.client();
    let refused = within(SOON, "an answer", client.try_create(request)).await.refusal();
    assert_eq!(refused.code, Code::Unavailable);
    assert_eq!(server.failed().await, r#"the task "writer" panicked: the disk burns"#);
    let ready = server.http_get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("task_failed"), "{ready}");
    server.stop().await;
}
