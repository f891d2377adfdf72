//! The session against a server that says what the test wants it to say.

mod fake;

use std::collections::VecDeque;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::*;
use crate::proto::v1::report_progress_request::Kind as Said;
use crate::proto::v1::report_progress_request::update::Report;
use crate::proto::v1::report_progress_response::{
    Drain, Heartbeat, Kind, Reconnect, Reject, ReportPolicy, Welcome,
};
use crate::proto::v1::{Assignment, HostUsage, Job, LogEntry, Progress};
use crate::runtime::{Clock, Tasks};
use fake::Fake;

/// Whatever is waited for comes within this.
const SOON: Duration = Duration::from_secs(20);

/// A job as it is handed out.
pub fn job(id: &str, lease_epoch: i64) -> Assignment {
    let job = Job { id: id.to_owned(), ..Job::default() };
    Assignment { job: Some(job.encode_to_vec().into()), lease_epoch, lease_ttl: None }
}

async fn until<T>(events: &mut Events, wanted: impl Fn(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the session goes on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    tokio::time::timeout(SOON, found).await.expect("the event comes")
}

async fn assigned(events: &mut Events) -> Lease {
    until(events, |event| match event {
        Event::Assigned { lease, .. } => Some(lease),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn hello_says_who_it_is_and_the_job_is_confirmed_at_once() {
    let mut fake = Fake::start().await;
    let (handle, mut events, _tasks) = fake.session(|settings| {
        settings.slots = 3;
        settings.queues = vec!["a".to_owned(), "b".to_owned()];
        settings.lease_ttl = Duration::from_secs(600);
        settings.holding = vec![Lease { job_id: "own".to_owned(), epoch: 4 }];
    });
    let (mut line, hello) = fake.attached().await;
    assert_eq!((hello.slots, hello.queues.len(), hello.running.len()), (3, 2, 1));
    assert_eq!((hello.running[0].job_id.as_str(), hello.running[0].lease_epoch), ("own", 4));
    assert_eq!(hello.lease_ttl.map(|ttl| ttl.seconds), Some(600));
    let slots = line.hear(|message| match message.kind {
        Some(Said::Capacity(capacity)) => Some(capacity.slots),
        _ => None,
    });
    assert_eq!(slots.await, 3);
    line.say(Kind::Assignment(job("j", 2))).await;
    assert_eq!(assigned(&mut events).await, Lease { job_id: "j".to_owned(), epoch: 2 });
    line.hear(|message| (message.received_through == 2).then_some(())).await;
    assert_eq!(handle.held(), 2);
    handle.capacity(0);
    let slots = line.hear(|message| match message.kind {
        Some(Said::Capacity(capacity)) => Some(capacity.slots),
        _ => None,
    });
    assert_eq!(slots.await, 0);
}

#[tokio::test]
async fn sent_away_it_attaches_again_with_all_it_has() {
    let mut fake = Fake::start().await;
    let (handle, mut events, _tasks) = fake.session(|_| {});
    let (mut line, first) = fake.attached().await;
    line.say(Kind::Assignment(job("j", 1))).await;
    let lease = assigned(&mut events).await;
    handle.succeed(&lease, None);
    let (seq, _) = line.update().await;
    let after = Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 });
    let began = Clock::monotonic();
    line.say(Kind::Reconnect(Reconnect { after })).await;
    line.end(Some(Status::unavailable("draining"))).await;
    let (mut line, again) = fake.attached().await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(again.instance_id, first.instance_id);
    assert_eq!(again.running.len(), 1, "its outcome was not answered");
    let (same, report) = line.update().await;
    assert_eq!(same, seq, "a repeat is known by its number");
    assert!(matches!(report, Report::Succeeded(_)));
    line.ack(seq).await;
    until(&mut events, |event| matches!(event, Event::Settled { .. }).then_some(())).await;
}

#[tokio::test]
async fn the_pace_is_that_of_the_server_and_it_gives_signs_of_life() {
    let mut fake = Fake::start().await;
    let (handle, mut events, _tasks) = fake.session(|_| {});
    let mut line = fake.line().await;
    line.hello().await;
    let millis = |millis: i32| prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 };
    let welcome = Welcome { heartbeat_interval: Some(millis(50)), ..Welcome::default() };
    line.say(Kind::Welcome(welcome)).await;
    for _ in 0..3 {
        line.hear(|message| matches!(message.kind, Some(Said::Heartbeat(_))).then_some(())).await;
    }
    handle.host(HostUsage { cpu_percent: Some(12.5), ..HostUsage::default() });
    line.hear(|message| match message.kind {
        Some(Said::Heartbeat(beat)) => beat.host_usage.and_then(|usage| usage.cpu_percent),
        _ => None,
    })
    .await;
    let hour = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let slow = ReportPolicy { report_interval: hour, ..ReportPolicy::default() };
    line.say(Kind::ReportPolicy(slow)).await;
    line.say(Kind::Assignment(job("j", 1))).await;
    let lease = assigned(&mut events).await;
    for completed in 1..=3 {
        handle.progress(&lease, Progress { completed, ..Progress::default() });
        if completed == 1 {
            line.update().await;
        }
    }
    let brisk = ReportPolicy { report_interval: Some(millis(20)), ..ReportPolicy::default() };
    line.say(Kind::ReportPolicy(brisk)).await;
    let (_, Report::Progress(progress)) = line.update().await else { panic!("no progress") };
    assert_eq!(progress.completed, 3, "those between are merged");
}

#[tokio::test]
async fn what_the_server_has_no_room_for_is_said_again() {
    let mut fake = Fake::start().await;
    let (handle, mut events, _tasks) = fake.session(|_| {});
    let (mut line, _) = fake.attached().await;
    line.say(Kind::Assignment(job("j", 1))).await;
    let lease = assigned(&mut events).await;
    let entry = LogEntry { message: "a".to_owned(), ..LogEntry::default() };
    handle.logs(&lease, [entry]);
    handle.succeed(&lease, None);
    let (seq, _) = line.update().await;
    let mut details = tonic_types::ErrorDetails::new();
    details.set_retry_info(Some(Duration::from_millis(30)));
    let status = Status::with_error_details(Code::ResourceExhausted, "too many", details);
    let error = tonic_types::pb::Status::decode(status.details()).unwrap();
    line.say(Kind::Reject(Reject { seq, error: Some(error) })).await;
    line.ack(seq).await;
    let (again, report) = line.update().await;
    assert!(again > seq && matches!(report, Report::Logs(_)), "{again} {report:?}");
    line.ack(again).await;
    let (outcome, report) = line.update().await;
    assert!(matches!(report, Report::Succeeded(_)), "the outcome comes behind the lines");
    line.ack(outcome).await;
    until(&mut events, |event| matches!(event, Event::Settled { .. }).then_some(())).await;
}

#[tokio::test]
async fn a_wish_for_an_empty_worker_is_told_and_goodbye_is_said() {
    let mut fake = Fake::start().await;
    let (handle, mut events, tasks) = fake.session(|_| {});
    let (mut line, _) = fake.attached().await;
    line.say(Kind::Heartbeat(Heartbeat {})).await;
    let grace = Some(prost_types::Duration { seconds: 7, nanos: 0 });
    line.say(Kind::Drain(Drain { grace, reason: "an update".to_owned() })).await;
    let (grace, reason) = until(&mut events, |event| match event {
        Event::Drain { grace, reason } => Some((grace, reason)),
        _ => None,
    })
    .await;
    assert_eq!((grace.as_secs(), reason.as_str()), (7, "an update"));
    let closing = tasks.spawn("close", async move { handle.close(SOON).await });
    line.hear(|message| matches!(message.kind, Some(Said::Goodbye(_))).then_some(())).await;
    line.end(None).await;
    let closed = closing.await.unwrap();
    assert_eq!(closed, Closed { open_jobs: 0, open_lines: 0 });
    tokio::time::timeout(SOON, tasks.ended()).await.expect("nothing is left");
}

#[tokio::test]
async fn a_server_that_breaks_off_is_tried_again_and_again() {
    let mut fake = Fake::start().await;
    let (_handle, mut events, _tasks) = fake.session(|_| {});
    let breaks: VecDeque<Option<Status>> = [
        None,
        Some(Status::aborted("superseded")),
        Some(Status::internal("no luck")),
        Some(Status::resource_exhausted("too much")),
    ]
    .into();
    for status in breaks {
        let (line, _) = fake.attached().await;
        until(&mut events, |event| matches!(event, Event::Connected).then_some(())).await;
        line.end(status).await;
        until(&mut events, |event| matches!(event, Event::Lost(_)).then_some(())).await;
    }
    // Once attached, even what would have been the end at first is not.
    let (line, _) = fake.attached().await;
    line.end(Some(Status::unauthenticated("who?"))).await;
    fake.attached().await;
}

#[tokio::test]
async fn a_server_that_will_not_have_it_at_first_ends_the_session() {
    let mut fake = Fake::start().await;
    let (handle, mut events, tasks) = fake.session(|_| {});
    let line = fake.line().await;
    line.end(Some(Status::permission_denied("not you"))).await;
    let lines = until(&mut events, |event| match event {
        Event::Refused(failure) => Some(failure.lines().join(" ")),
        _ => None,
    })
    .await;
    assert!(lines.contains("not you"), "{lines}");
    tokio::time::timeout(SOON, tasks.ended()).await.expect("nothing is left");
    assert_eq!(handle.close(SOON).await, Closed { open_jobs: 0, open_lines: 0 });
}

#[tokio::test]
async fn with_nothing_to_say_it_leaves_without_a_server() {
    let mut settings = Settings::new("127.0.0.1:1".parse().unwrap());
    settings.slots = 2;
    let tasks = Tasks::new();
    let (handle, mut events) = start(settings, &tasks, &Clock::new());
    // The next try is seconds away.
    let pause = until(&mut events, |event| match event {
        Event::Lost(cause) => Some(cause.retry_after).filter(|pause| pause.as_secs() >= 3),
        _ => None,
    })
    .await;
    let began = Clock::monotonic();
    assert_eq!(handle.close(SOON).await, Closed { open_jobs: 0, open_lines: 0 });
    assert!(began.elapsed() < pause, "it is not waited for");
    tokio::time::timeout(SOON, tasks.ended()).await.expect("nothing is left");
}

#[tokio::test]
async fn with_something_to_say_it_gives_up_after_a_while() {
    let mut settings = Settings::new("127.0.0.1:1".parse().unwrap());
    let lease = Lease { job_id: "j".to_owned(), epoch: 1 };
    settings.holding = vec![lease.clone()];
    let tasks = Tasks::new();
    let (handle, _events) = start(settings, &tasks, &Clock::new());
    handle.logs(&lease, [LogEntry::default(), LogEntry::default()]);
    handle.cancelled(&lease);
    let closed = handle.close(Duration::from_millis(100)).await;
    assert_eq!(closed, Closed { open_jobs: 1, open_lines: 2 });
    tokio::time::timeout(SOON, tasks.ended()).await.expect("nothing is left");
}

/// Fills what a server that is there takes at once, and then some.
fn flood(handle: &Handle, lease: &Lease) {
    for _ in 0..300 {
        let message = "x".repeat(8000);
        handle.logs(lease, [LogEntry { message, ..LogEntry::default() }]);
    }
}

#[tokio::test]
async fn a_server_that_is_there_sets_the_pace_of_lines_and_one_that_is_away_does_not() {
    let mut fake = Fake::start().await;
    let (handle, mut events, _tasks) = fake.session(|_| {});
    let (mut line, _) = fake.attached().await;
    line.say(Kind::Assignment(job("j", 1))).await;
    let lease = assigned(&mut events).await;
    handle.room().await;
    flood(&handle, &lease);
    {
        let mut room = std::pin::pin!(handle.room());
        assert!(futures_util::poll!(&mut room).is_pending(), "there is no room");
        let taken = async {
            loop {
                let (seq, _) = line.update().await;
                line.ack(seq).await;
            }
        };
        tokio::select! {
            () = room => {}
            () = taken => {}
            () = tokio::time::sleep(SOON) => panic!("no room although the server takes lines"),
        }
    }
    flood(&handle, &lease);
    // The stream breaks: nobody waits any more.
    line.end(None).await;
    let lost = until(&mut events, |event| matches!(event, Event::Lost(_)).then_some(()));
    tokio::join!(lost, async {
        tokio::time::timeout(SOON, handle.room()).await.expect("nobody is held up");
    });
}
