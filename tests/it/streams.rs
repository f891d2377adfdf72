//! Streams that grow old, and streams on which nothing happens.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use tonic::Code;

use crate::harness::{
    JobFacts as _, Message, Refusal, Seen, Server, Watcher, Worker, percent, seconds, spec,
};

/// A server whose streams live for about so long, and whose workers have `grace` to leave them.
async fn short_lived(grace: Duration) -> Server {
    let server = Server::setup().with(|config| {
        config.transport.streams.max_age = Duration::from_secs(1);
        config.transport.streams.grace = grace;
    });
    server.start().await
}

async fn told_to_attach_again(worker: &Worker) -> Option<Duration> {
    let reconnect = worker.expect("to attach again", |told| match told {
        Message::Reconnect(reconnect) => Some(reconnect.after),
        _ => None,
    });
    reconnect.await.map(|after| after.try_into().expect("a duration"))
}

#[tokio::test]
async fn a_watch_that_is_old_ends_with_a_hint_and_is_resumed() {
    let server = short_lived(Duration::ZERO).await;
    let id = server.client().create(spec("sync")).await.id;
    let (_, end) = server.watch(&id).await.end().await;
    let refusal = Refusal::of(&end.expect_err("the job is not over"));
    assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, "STREAM_AGED"));
    assert!(refusal.retry_after.is_some());
    let again = server.watch(&id).await;
    server.client().cancel(&id, None).await.expect("cancelled");
    let (seen, end) = again.end().await;
    end.expect("the job is over");
    assert_eq!(Watcher::states(&seen), [State::Pending, State::Cancelled]);
    server.stop().await;
}

#[tokio::test]
async fn a_worker_leaves_an_old_stream_in_time_and_keeps_its_job() {
    let server = short_lived(Duration::from_secs(60)).await;
    let id = server.client().create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    assert_eq!(told_to_attach_again(&worker).await, Some(Duration::ZERO));
    // Until it has another one, the old stream serves it; new jobs are for others.
    held.clone().progress(10.0).await;
    let next = server.client().create(spec("sync")).await.id;
    let other = server.worker("w2").connect().await;
    assert_eq!(other.expect_assignment().await.id, next);
    let again = server.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1);
    let ended = Refusal::of(&worker.end().await.expect_err("it has another one"));
    assert_eq!(ended.reason, "SESSION_SUPERSEDED");
    let seq = again.update(&id, 1, Report::Succeeded(Succeeded::default()));
    again.settled(seq).await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn an_old_stream_that_its_worker_does_not_leave_ends_and_no_job_is_lost() {
    let server = short_lived(Duration::from_millis(50)).await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await;
    told_to_attach_again(&worker).await;
    let ended = Refusal::of(&worker.end().await.expect_err("it is old"));
    assert_eq!((ended.code, &*ended.reason), (Code::Unavailable, "STREAM_AGED"));
    let again = server.worker("w1").same_process_as(&worker).has(&id, 1).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1);
    assert_eq!(client.get(&id).await.status().attempt, 1);
    server.stop().await;
}

#[tokio::test]
async fn both_kinds_of_streams_show_that_they_live() {
    let server = Server::setup()
        .with(|config| config.transport.streams.watch_heartbeat = Duration::from_millis(50));
    let server = server.start().await;
    let id = server.client().create(spec("later")).await.id;
    let watcher = server.watch(&id).await;
    let beats = |seen: &[Seen]| seen.iter().filter(|seen| matches!(seen, Seen::Heartbeat)).count();
    watcher.until("heartbeats", |seen| (beats(seen) >= 3).then_some(())).await;
    // The shortest lease there is: a third of it is the pace.
    let worker = server.worker("w1").job_type("none").lease(10.0).connect().await;
    let interval = worker.welcome.heartbeat_interval.expect("always told");
    assert_eq!((interval.seconds, interval.nanos / 1_000_000), (3, 333));
    let beat = |told: &Message| matches!(told, Message::Heartbeat(_)).then_some(());
    worker.expect("that the server is there", beat).await;
    server.stop().await;
}

#[tokio::test]
async fn a_watch_that_holds_an_update_back_shows_that_it_lives_and_sends_it_when_it_is_due() {
    let server = Server::setup()
        .with(|config| config.transport.streams.watch_heartbeat = Duration::from_millis(50));
    let server = server.start().await;
    let id = server.client().create(spec("sync")).await.id;
    let wish = v1::WatchJobRequest { min_interval: seconds(1.0), ..Watcher::wish(&id) };
    let watcher = Watcher::open(server.client(), wish).await;
    let worker = server.worker("w1").connect().await;
    let _held = worker.expect_assignment().await;
    let beats = |seen: &[Seen]| seen.iter().filter(|seen| matches!(seen, Seen::Heartbeat)).count();
    let running = |seen: &Seen| matches!(seen, Seen::Update(status) if status.state() == v1::JobState::Running);
    let before = watcher
        .until("the update", |seen| seen.iter().position(running).map(|at| beats(&seen[..at])))
        .await;
    assert!(before >= 3, "{before} heartbeats before an update that was held back for a second");
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_a_busy_job_needs_no_heartbeat_and_ages_all_the_same() {
    let server = short_lived(Duration::ZERO).await;
    let id = server.client().create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    let wish = v1::WatchJobRequest { min_interval: seconds(0.001), ..Watcher::wish(&id) };
    let watcher = Watcher::open(server.client(), wish).await;
    let ticks = async {
        for completed in (0..).map(|tick| f64::from(tick % 100_000) / 1_000.0) {
            // Its stream ends, too.
            held.send(Report::Progress(percent(completed)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let end = tokio::select! {
        (_, end) = watcher.end() => end,
        () = ticks => unreachable!("they go on"),
    };
    assert_eq!(Refusal::of(&end.expect_err("it is old")).reason, "STREAM_AGED");
    server.stop().await;
}
