//! Watching: conflation, readers that stall, and news without polling.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::Report;

use crate::harness::{
    JobFacts as _, SOON, Seen, Server, Told as _, Watcher, done, percent, seconds, spec, within,
};

#[tokio::test]
async fn a_new_job_reaches_all_who_wait_without_polling() {
    let server = Server::setup().without_polling().start().await;
    let client = server.client();
    let worker = server.worker("streamer").job_type("streamed").connect().await;
    let acquire = v1::AcquireJobsRequest {
        worker_id: "caller".to_owned(),
        types: vec!["called".to_owned()],
        wait: seconds(60.0),
        ..v1::AcquireJobsRequest::default()
    };
    let create = async {
        let watched = client.create(spec("nobody-takes-this")).await;
        let watcher = server.watch(&watched.id).await;
        let streamed = client.create(spec("streamed")).await;
        client.create(spec("called")).await;
        client.cancel(&watched.id, None).await.expect("cancelled");
        watcher.end().await.1.expect("ends well");
        streamed
    };
    let all = async { tokio::join!(client.acquire(acquire), worker.expect_assignment(), create) };
    let (called, streamed, created) = within(SOON, "all who wait hear of it", Box::pin(all)).await;
    assert_eq!(called.expect("an answer").len(), 1);
    assert_eq!(streamed.id, created.id);

    // What becomes ready by itself needs no poll either.
    let error = v1::JobError::default();
    streamed.fail_with(error, Some(0.2)).await.expect("taken");
    let again = worker.expect_assignment().await;
    assert_eq!((again.id, again.epoch), (streamed.id, 2));
    server.stop().await;
}

#[tokio::test]
async fn a_watcher_that_reads_nothing_gets_the_last_of_ten_thousand_reports() {
    let server = Server::setup().in_memory().start().await;
    let id = server.client().create(spec("sync")).await.id;
    let stalled = server.stalled_watch(Watcher::wish(&id)).await;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    let mut last = 0;
    for completed in 1..=10_000 {
        last = held.send(Report::Progress(done(completed, 10_000)));
    }
    within(SOON, "all reports are taken", worker.settled(last)).await.expect("taken");
    held.succeed().await.expect("taken");

    let seen = stalled.read_all().await.expect("ends well");
    assert!(seen.len() <= 3, "{} messages: {seen:?}", seen.len());
    let last = seen.last().and_then(Seen::status).expect("a status");
    assert_eq!((last.state(), last.percent()), (State::Succeeded, Some(100.0)));
    server.stop().await;
}

#[tokio::test]
async fn a_slow_watcher_skips_states_and_never_the_last() {
    let server = Server::setup().in_memory().start().await;
    let id = server.client().create(spec("sync")).await.id;
    let wish = v1::WatchJobRequest { min_interval: seconds(60.0), ..Watcher::wish(&id) };
    let slow = Watcher::open(server.client(), wish).await;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    for at in 1..=50 {
        held.report(percent(f64::from(at))).await.expect("taken");
    }
    held.succeed().await.expect("taken");
    let (seen, end) = slow.end().await;
    end.expect("ends well");
    assert_eq!(Watcher::states(&seen), [State::Pending, State::Succeeded]);
    assert_eq!(seen.len(), 2, "nothing came within the interval but the end: {seen:?}");
    server.stop().await;
}

#[tokio::test]
async fn every_watcher_of_a_job_sees_its_durable_state() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let mut watchers = Vec::new();
    for interval in [0.0, 0.01, 0.1, 1.0] {
        let wish = v1::WatchJobRequest { min_interval: seconds(interval), ..Watcher::wish(&id) };
        watchers.push(Watcher::open(server.client(), wish).await);
    }
    let held = server.worker("w1").connect().await.expect_assignment().await;
    held.progress(10.0).await.fail("LATER").await.expect("taken");
    let durable = client.get(&id).await;
    for watcher in &watchers {
        let seen = watcher
            .until_status("the durable state", |s| s.revision == durable.status().revision)
            .await;
        assert_eq!((seen.state(), seen.error_code()), (State::Pending, "LATER"));
        assert_eq!(seen.schedule_time, durable.status().schedule_time);
    }
    drop(watchers);
    server.stop().await;
}

#[tokio::test]
async fn the_watch_of_a_deleted_job_and_of_none_ends_with_job_not_found() {
    let server = Server::start().await;
    let client = server.client();
    let wish = Watcher::wish("0197b8a0-0000-7000-8000-000000000000");
    assert_eq!(client.jobs.clone().watch_job(wish).await.reason(), "JOB_NOT_FOUND");

    let id = client.create(spec("sync")).await.id;
    client.cancel(&id, None).await.expect("cancelled");
    client.delete(&id).await.expect("deleted");
    let answer = client.jobs.clone().watch_job(Watcher::wish(&id)).await;
    assert_eq!(answer.reason(), "JOB_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_watched_worker_is_asked_to_report_more_often() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await;
    let policy = || {
        worker.expect("a pace", |message| match message {
            crate::harness::Message::ReportPolicy(policy) => policy.report_interval,
            _ => None,
        })
    };
    let watcher = server.watch(&id).await;
    assert_eq!(Duration::try_from(policy().await), Ok(Duration::from_millis(250)));
    drop(watcher);
    assert_eq!(Duration::try_from(policy().await), Ok(Duration::from_secs(1)));
    server.stop().await;
}
