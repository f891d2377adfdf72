//! Lines that workers write: listed, followed, and kept within bounds.

use jobplane::auth::Caller;
use jobplane::domain::limits::{RESPONSE_BYTES_MAX, SEQUENCE_MAX};
use jobplane::engine::ListLogs;
use jobplane::proto::v1;
use jobplane::proto::v1::LogLevel;
use prost::Message as _;

use crate::harness::{
    Client, Held, SOON, Seen, Server, Told as _, Watcher, eventually, lines, object, spec, within,
};

async fn running(server: &Server) -> Held {
    server.client().create(spec("sync")).await;
    server.worker("w1").connect().await.expect_assignment().await
}

fn of(job_id: &str) -> v1::ListJobLogsRequest {
    v1::ListJobLogsRequest { job_id: job_id.to_owned(), ..v1::ListJobLogsRequest::default() }
}

/// Everything there is, page by page.
async fn all(client: &Client, request: v1::ListJobLogsRequest) -> v1::ListJobLogsResponse {
    let mut whole = v1::ListJobLogsResponse::default();
    loop {
        let after_sequence = whole.next_sequence;
        let page = client.logs(v1::ListJobLogsRequest { after_sequence, ..request.clone() }).await;
        if page.entries.is_empty() && page.next_sequence == after_sequence {
            return whole;
        }
        whole.next_sequence = page.next_sequence;
        whole.entries.extend(page.entries);
        whole.gaps.extend(page.gaps);
    }
}

fn messages(entries: &[v1::LogEntry]) -> Vec<&str> {
    entries.iter().map(|line| line.message.as_str()).collect()
}

fn numbered(from: usize, to: usize) -> Vec<v1::LogEntry> {
    lines(from..to)
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn lines_are_listed_in_order_page_by_page() {
    let server = Server::start().await;
    let held = running(&server).await;
    for batch in 0..5 {
        held.log(numbered(batch * 10, batch * 10 + 10)).await.expect("taken");
    }
    for page_size in [7, 20, 1_000] {
        let request = v1::ListJobLogsRequest { page_size, ..of(&held.id) };
        let found = all(&server.client(), request).await.entries;
        assert_eq!(messages(&found), numbers(0, 50));
        assert!(found.is_sorted_by(|one, next| one.sequence < next.sequence));
    }
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_beyond_the_end_of_a_log() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let held = running(&server).await;
    held.log(numbered(0, 10)).await.expect("taken");
    let after_sequence = SEQUENCE_MAX;
    let far = v1::ListJobLogsRequest { after_sequence, ..of(&held.id) };
    let page = client.logs(far.clone()).await;
    assert_eq!((page.entries.len(), page.next_sequence), (0, after_sequence));
    let list = ListLogs {
        job_id: held.id.parse().expect("an id"),
        lease_epoch: None,
        min_level: jobplane::domain::LogLevel::Debug,
        after_sequence: i64::MAX,
        page_size: 10,
    };
    let (engine, caller) = (server.engine(), Caller::anonymous());
    let log = engine.logs(&caller, list);
    assert!(within(SOON, "an answer", log).await.expect("a page").lines.is_empty());

    let farther = v1::ListJobLogsRequest { after_sequence: i64::MAX, ..far };
    assert_eq!(client.jobs.clone().list_job_logs(farther).await.reason(), "INVALID_FIELD");
    let wish = Watcher::wish(&held.id);
    let wish = v1::WatchJobRequest { include_logs: true, after_log_sequence: i64::MAX, ..wish };
    assert_eq!(client.jobs.clone().watch_job(wish).await.reason(), "INVALID_FIELD");
    server.stop().await;
}

#[tokio::test]
async fn a_line_keeps_what_its_worker_said() {
    let server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let (job, lease_epoch) = client.acquire_one("sync").await;
    let time = Some(prost_types::Timestamp { seconds: 1_750_000_000, nanos: 123_456_000 });
    let line = v1::LogEntry {
        time,
        level: LogLevel::Warning.into(),
        step: "fetch".to_owned(),
        message: "slow".to_owned(),
        data: Some(object("host", "a")),
        ..v1::LogEntry::default()
    };
    let report = v1::ReportJobRequest {
        job_id: job.id.clone(),
        lease_epoch,
        seq: 1,
        logs: vec![line.clone()],
        ..v1::ReportJobRequest::default()
    };
    for _ in 0..2 {
        client.report(report.clone()).await.expect("taken");
    }
    let kept = client.logs(of(&job.id)).await.entries;
    assert_eq!(kept.len(), 1, "the same report counts once");
    let kept = kept[0].clone();
    assert_eq!((kept.time, kept.level(), kept.attempt), (time, LogLevel::Warning, 1));
    assert_eq!((&kept.step, &kept.message, &kept.data), (&line.step, &line.message, &line.data));
    server.stop().await;
}

#[tokio::test]
async fn lines_are_listed_by_level_and_by_attempt() {
    let server = Server::start().await;
    let client = server.client();
    let held = running(&server).await;
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error];
    let leveled = |prefix: &str| {
        let line = |level: LogLevel| v1::LogEntry {
            level: level.into(),
            message: format!("{prefix}{}", i32::from(level)),
            ..v1::LogEntry::default()
        };
        levels.map(line).to_vec()
    };
    held.log(leveled("a")).await.expect("taken");
    held.fail_with(v1::JobError::default(), Some(0.0)).await.expect("taken");
    let second = held.worker.expect_assignment().await;
    second.log(leveled("b")).await.expect("taken");

    let at_least =
        |level: LogLevel| v1::ListJobLogsRequest { min_level: level.into(), ..of(&held.id) };
    let warnings = all(&client, at_least(LogLevel::Warning)).await.entries;
    assert_eq!(messages(&warnings), ["a3", "a4", "b3", "b4"]);
    let of_second = v1::ListJobLogsRequest { lease_epoch: 2, ..of(&held.id) };
    let of_second = all(&client, of_second).await.entries;
    assert_eq!(messages(&of_second), ["b1", "b2", "b3", "b4"]);
    assert!(of_second.iter().all(|line| (line.attempt, line.lease_epoch) == (2, 2)));
    let nobody = of("0197b8a0-0000-7000-8000-000000000000");
    assert_eq!(client.jobs.clone().list_job_logs(nobody).await.reason(), "JOB_NOT_FOUND");
    server.stop().await;
}

async fn follow(server: &Server, id: &str, after_log_sequence: i64) -> Watcher {
    let wish = v1::WatchJobRequest { include_logs: true, after_log_sequence, ..Watcher::wish(id) };
    Watcher::open(server.client(), wish).await
}

async fn until_lines(watcher: &Watcher, wanted: usize) -> Vec<v1::LogEntry> {
    let enough = |seen: &[Seen]| {
        let found = Watcher::lines(seen);
        (found.len() >= wanted).then_some(found)
    };
    watcher.until(&format!("{wanted} lines"), enough).await
}

#[tokio::test]
async fn a_log_is_followed_without_gap_or_repeat_across_a_restart() {
    let mut server = Server::start().await;
    let held = running(&server).await;
    held.log(numbered(0, 10)).await.expect("taken");
    let watcher = follow(&server, &held.id, 0).await;
    for batch in 1..5 {
        held.log(numbered(batch * 10, batch * 10 + 10)).await.expect("taken");
    }
    let mut found = until_lines(&watcher, 50).await;
    // It lost some of them, and goes on after what it has.
    found.truncate(37);
    let after = found.last().expect("a line").sequence;
    drop(watcher);
    server.restart().await;

    let again = server.worker("w1").same_process_as(&held.worker).has(&held.id, 1).connect().await;
    let watcher = follow(&server, &held.id, after).await;
    let held = Held { worker: again, ..held };
    held.log(numbered(50, 60)).await.expect("taken");
    held.log(numbered(60, 70)).await.expect("taken");
    held.succeed().await.expect("taken");
    let (seen, end) = watcher.end().await;
    end.expect("ends well");
    found.extend(Watcher::lines(&seen));
    assert_eq!(messages(&found), numbers(0, 70));
    assert!(matches!(seen.last(), Some(Seen::Update(_))), "the end comes after the lines");
    server.stop().await;
}

#[tokio::test]
async fn the_log_of_a_finished_job_is_in_its_watch() {
    let server = Server::start().await;
    let held = running(&server).await;
    held.log(numbered(0, 250)).await.expect("taken");
    held.succeed().await.expect("taken");
    let (seen, end) = follow(&server, &held.id, 0).await.end().await;
    end.expect("ends well");
    assert_eq!(messages(&Watcher::lines(&seen)), numbers(0, 250));
    server.stop().await;
}

#[tokio::test]
async fn a_follower_that_reads_nothing_gets_no_more_pages() {
    let server = Server::setup().in_memory().start().await;
    let held = running(&server).await;
    for batch in 0..8 {
        held.log(numbered(batch * 1_000, batch * 1_000 + 1_000)).await.expect("taken");
    }
    let wish = v1::WatchJobRequest { include_logs: true, ..Watcher::wish(&held.id) };
    let stalled = server.stalled_watch(wish).await;
    held.succeed().await.expect("taken");
    let reads = server.faults.log_reads();
    assert!(reads <= 3, "{reads} reads for somebody who reads nothing");

    let seen = stalled.read_all().await.expect("ends well");
    assert_eq!(messages(&Watcher::lines(&seen)), numbers(0, 8_000));
    assert!(matches!(seen.last(), Some(Seen::Update(_))), "the end comes after the lines");
    assert_eq!(Watcher::states(&seen).last(), Some(&v1::JobState::Succeeded));
    server.stop().await;
}

#[tokio::test]
async fn a_page_ends_by_the_bytes_of_data_too() {
    let server = Server::setup().in_memory().start().await;
    let held = running(&server).await;
    let data = Some(object("trace", &"x".repeat(8_000)));
    let line = v1::LogEntry { data, ..v1::LogEntry::default() };
    for _ in 0..25 {
        held.log(vec![line.clone(); 8]).await.expect("taken");
    }
    let request = v1::ListJobLogsRequest { page_size: 1_000, ..of(&held.id) };
    let page = server.client().logs(request.clone()).await;
    let bytes = page.encoded_len();
    assert!((RESPONSE_BYTES_MAX * 9 / 10..=RESPONSE_BYTES_MAX).contains(&bytes), "{bytes} bytes");
    assert_eq!(all(&server.client(), request).await.entries.len(), 200);
    server.stop().await;
}

#[tokio::test]
async fn of_a_long_log_head_and_tail_are_kept_and_the_gap_is_counted() {
    let server = Server::start().await;
    let client = server.client();
    let held = running(&server).await;
    for batch in 0..12 {
        held.log(numbered(batch * 1_000, batch * 1_000 + 1_000)).await.expect("taken");
    }
    let request = v1::ListJobLogsRequest { page_size: 1_000, ..of(&held.id) };
    eventually(SOON, "the middle is let go", || async {
        let found = all(&client, request.clone()).await;
        found.entries.len() <= 10_000
    })
    .await;
    let found = all(&client, request).await;
    assert_eq!(found.gaps.iter().map(|gap| gap.dropped).sum::<i64>(), 2_000);
    assert_eq!(messages(&found.entries[..1_000]), numbers(0, 1_000));
    let tail = &found.entries[found.entries.len() - 9_000..];
    assert_eq!(messages(tail), numbers(3_000, 12_000));
    assert!(found.gaps.iter().all(|gap| gap.lease_epoch == 1));
    let gap = found.gaps[0].after_sequence;
    assert!(found.entries[999].sequence <= gap && gap < tail[0].sequence, "{:?}", found.gaps);
    held.log(lines(["and on"])).await.expect("taken");
    server.stop().await;
}
