//! Old jobs are taken away: by hand, by the policy, into the archive, and never one that is not over.

use std::collections::BTreeSet;
use std::time::Duration;

use jobplane::domain::retention::PurgeTiming;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState;
use jobplane::runtime::Clock;
use tonic::Code;

use crate::harness::{
    Client, JobFacts as _, SOON, Server, Told as _, Weather, eventually, lines, spec,
};

const DAY: i64 = 86_400;

/// A clock that is some days ahead.
pub(super) fn days(days: i64) -> Clock {
    Clock::ahead_by(days * DAY * 1_000_000)
}

pub(super) async fn purge(client: &Client, request: v1::PurgeJobsRequest) -> v1::PurgeJobsResponse {
    client.admin.clone().purge_jobs(request).await.expect("purged").into_inner()
}

pub(super) async fn cancelled(client: &Client, job_type: &str) -> String {
    let id = client.create(spec(job_type)).await.id;
    client.cancel(&id, None).await.expect("cancelled");
    id
}

async fn there(client: &Client) -> BTreeSet<String> {
    let request = v1::ListJobsRequest { page_size: 1_000, ..Default::default() };
    let page = client.list(request).await.expect("a page");
    page.jobs.into_iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn purge_removes_only_old_terminal_jobs() {
    let mut server = Server::start().await;
    let client = server.client();
    let old_done = cancelled(&client, "sync").await;
    let waits = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    assert_eq!(held.job.id, waits);
    held.log(lines(["one", "two"])).await.expect("kept");
    let old_failed = {
        let id = client.create(spec("backup")).await.id;
        client.cancel(&id, None).await.expect("cancelled");
        id
    };
    drop(worker);
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    let new_done = cancelled(&client, "sync").await;
    let count = |days_to_keep, validate_only| v1::PurgeJobsRequest {
        days_to_keep,
        validate_only,
        ..Default::default()
    };
    assert_eq!(purge(&client, count(0, true)).await.count, 0, "30 days are kept");
    let answer = purge(&client, count(2, true)).await;
    assert_eq!((answer.count, there(&client).await.len()), (2, 4), "only counted");
    let cutoff = answer.cutoff_time.expect("a moment").seconds;
    let expected = server.now().as_micros() / 1_000_000 - 2 * DAY;
    assert!((cutoff - expected).abs() < 60, "{cutoff} is not {expected}");
    assert_eq!(purge(&client, count(2, false)).await.count, 2);
    let left = there(&client).await;
    assert!(!left.contains(&old_done) && !left.contains(&old_failed));
    assert_eq!(left, [waits, new_done].into());
    assert_eq!(purge(&client, count(2, false)).await.count, 0);
    let info = client.admin.clone().get_server_info(v1::GetServerInfoRequest {}).await;
    let loops = info.expect("info").into_inner().loops;
    let told = loops.iter().find(|it| it.name == "retention").expect("its line");
    assert!(told.period.is_some());
    server.stop().await;
}

#[tokio::test]
async fn every_number_of_a_purge_out_of_range_names_its_field() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let running = JobState::Running as i32;
    for (request, field) in [
        (v1::PurgeJobsRequest { days_to_keep: -1, ..Default::default() }, "days_to_keep"),
        (v1::PurgeJobsRequest { days_to_keep: 366, ..Default::default() }, "days_to_keep"),
        (v1::PurgeJobsRequest { days_to_keep: i32::MIN, ..Default::default() }, "days_to_keep"),
        (v1::PurgeJobsRequest { states: vec![running], ..Default::default() }, "states[0]"),
        (v1::PurgeJobsRequest { states: vec![0], ..Default::default() }, "states[0]"),
        (v1::PurgeJobsRequest { states: vec![2, 99], ..Default::default() }, "states[1]"),
        (v1::PurgeJobsRequest { states: vec![2; 65], ..Default::default() }, "states"),
        (v1::PurgeJobsRequest { reason: "x".repeat(1_025), ..Default::default() }, "reason"),
    ] {
        let refused = client.admin.clone().purge_jobs(request.clone()).await.refusal();
        assert_eq!(refused.code, Code::InvalidArgument);
        assert_eq!(refused.fields, [field], "{request:?}");
    }
    server.stop().await;
}

/// What is due by its own word or the policy goes by itself, watchers see it, and the archive has it.
#[tokio::test]
async fn the_policy_takes_away_what_is_due() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    let setup = Server::setup().with(|config| {
        config.retention.timing = PurgeTiming::Every(Duration::from_secs(60));
        config.retention.archive = Some(archive.clone());
        config.periods.retention = Duration::from_millis(100);
    });
    let mut server = setup.start().await;
    let client = server.client();
    let kept = cancelled(&client, "sync").await;
    let day = prost_types::Duration { seconds: DAY, nanos: 0 };
    let labels = [("k".to_owned(), "v".to_owned())].into();
    let goes = client.create(v1::JobSpec { retention: Some(day), labels, ..spec("sync") }).await.id;
    let (job, epoch) = client.acquire_one("sync").await;
    assert_eq!(job.id, goes);
    let logs = lines(["one", "two"]);
    let report = v1::ReportJobRequest {
        job_id: goes.clone(),
        lease_epoch: epoch,
        logs,
        ..Default::default()
    };
    client.report(report).await.expect("taken");
    client.complete(&goes, epoch).await.expect("taken");
    server.set_clock(days(2));
    server.halt().await;
    server.resume().await;
    let client = server.client();
    eventually(SOON, "it is gone", || async { client.try_get(&goes).await.is_err() }).await;
    assert_eq!(client.try_get(&goes).await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(client.get(&kept).await.state(), JobState::Cancelled);
    let line = archived(&archive);
    assert_eq!(line.len(), 1, "{line:?}");
    assert_eq!(line[0]["job"]["id"], goes);
    assert_eq!(line[0]["job"]["spec"]["labels"]["k"], "v");
    assert_eq!(line[0]["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!(line[0]["logs"][1]["message"], "two");
    // Eight days later the logs of what stays are gone, and thirty-one days later all of it.
    server.set_clock(days(33));
    server.restart().await;
    let client = server.client();
    eventually(SOON, "it is gone", || async { client.try_get(&kept).await.is_err() }).await;
    assert_eq!(archived(&archive).len(), 2);
    server.stop().await;
}

/// A job that stays loses the lines of its log after their time.
#[tokio::test]
async fn logs_go_by_their_own_age() {
    let setup = Server::setup().with(|config| {
        config.retention.timing = PurgeTiming::Every(Duration::from_secs(60));
        config.periods.retention = Duration::from_millis(100);
    });
    let mut server = setup.start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let (_, lease_epoch) = client.acquire_one("sync").await;
    let logs = lines(["one", "two"]);
    let report =
        v1::ReportJobRequest { job_id: id.clone(), lease_epoch, logs, ..Default::default() };
    client.report(report).await.expect("taken");
    client.complete(&id, lease_epoch).await.expect("taken");
    for (day, left) in [(6, 2), (8, 0)] {
        server.set_clock(days(day));
        server.restart().await;
        let client = server.client();
        let entries = || async {
            let request = v1::ListJobLogsRequest { job_id: id.clone(), ..Default::default() };
            let log = client.jobs.clone().list_job_logs(request).await.expect("a log");
            log.into_inner().entries.len()
        };
        let what = format!("{left} lines on day {day}");
        eventually(SOON, &what, || async { entries().await == left }).await;
        assert_eq!(client.get(&id).await.state(), JobState::Succeeded);
    }
    server.stop().await;
}

/// How many purges by hand are on record.
pub(super) async fn recorded(client: &Client) -> usize {
    let actions = vec!["purge_jobs".to_owned()];
    let request = v1::ListAuditEventsRequest { actions, ..Default::default() };
    let answer = client.admin.clone().list_audit_events(request).await;
    answer.expect("a list").into_inner().events.len()
}

#[tokio::test]
async fn a_purge_that_is_given_up_goes_on_and_is_recorded() {
    let mut server = Server::start().await;
    let goes = cancelled(&server.client(), "sync").await;
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    server.faults.set(Weather::Hanging);
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    let given_up = tokio::time::timeout(Duration::from_millis(300), purge(&client, wish)).await;
    assert!(given_up.is_err());
    // The server has heard of it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.faults.set(Weather::Fair);
    eventually(SOON, "it is recorded", || async { recorded(&client).await == 1 }).await;
    assert!(client.try_get(&goes).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn a_record_that_the_store_does_not_take_is_written_later() {
    let setup = Server::setup().with(|it| it.periods.retention = Duration::from_millis(100));
    let mut server = setup.start().await;
    cancelled(&server.client(), "sync").await;
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    server.faults.set(Weather::ReadOnly);
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    assert_eq!(purge(&client, wish).await.count, 1);
    assert_eq!(recorded(&client).await, 0);
    server.faults.set(Weather::Fair);
    eventually(SOON, "it is recorded", || async { recorded(&client).await == 1 }).await;
    server.stop().await;
}

#[tokio::test]
async fn a_record_that_waits_is_written_before_the_server_stops() {
    let hour = Duration::from_secs(3600);
    let mut server = Server::setup().with(|it| it.periods.retention = hour).start().await;
    cancelled(&server.client(), "sync").await;
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    server.faults.set(Weather::ReadOnly);
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    assert_eq!(purge(&client, wish).await.count, 1);
    assert_eq!(recorded(&client).await, 0);
    server.faults.set(Weather::Fair);
    server.restart().await;
    assert_eq!(recorded(&server.client()).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_that_takes_too_long_is_taken_away_in_parts() {
    let mut server = Server::start().await;
    for _ in 0..10 {
        cancelled(&server.client(), "sync").await;
    }
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    server.faults.purge_at_most(0);
    let refused = client.admin.clone().purge_jobs(wish.clone()).await.refusal();
    assert_eq!(refused.code, Code::Unavailable);
    server.faults.purge_at_most(3);
    assert_eq!(purge(&client, wish).await.count, 10);
    assert!(there(&client).await.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_counted_and_recorded() {
    let mut server = Server::start().await;
    for _ in 0..2 {
        cancelled(&server.client(), "sync").await;
    }
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    server.faults.lose_purges(1);
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    assert_eq!(purge(&client, wish).await.count, 2);
    assert_eq!(recorded(&client).await, 1);
    assert!(there(&client).await.is_empty());
    server.stop().await;
}

/// The lines of every file of an archive.
pub(super) fn archived(folder: &std::path::Path) -> Vec<serde_json::Value> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let packed = std::fs::read(file.expect("a file").path()).expect("read");
        let text = zstd::decode_all(&packed[..]).expect("zstd");
        let text = String::from_utf8(text).expect("text");
        lines.extend(text.lines().map(|line| serde_json::from_str(line).expect("JSON")));
    }
    lines
}

#[tokio::test]
async fn an_archive_that_cannot_be_written_keeps_the_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("archive");
    let setup = Server::setup().with(|config| config.retention.archive = Some(archive.clone()));
    let mut server = setup.start().await;
    let goes = cancelled(&server.client(), "sync").await;
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    std::fs::remove_dir(&archive).expect("it is empty");
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    let refused = client.admin.clone().purge_jobs(wish.clone()).await.refusal();
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "ARCHIVE_FAILED"));
    assert_eq!(client.get(&goes).await.state(), JobState::Cancelled);
    std::fs::create_dir(&archive).expect("made");
    assert_eq!(purge(&client, wish).await.count, 1);
    assert_eq!(archived(&archive).len(), 1);
    server.stop().await;
}

/// J13: each job is either taken away or runs again, whoever was first, and none of those that are not over goes.
#[tokio::test]
async fn retries_race_a_purge_and_no_live_job_goes() {
    let mut server = Server::start().await;
    let client = server.client();
    let mut over = Vec::new();
    for number in 0..120 {
        over.push(cancelled(&client, if number % 2 == 0 { "sync" } else { "backup" }).await);
    }
    let waits = client.create(spec("sync")).await.id;
    server.set_clock(days(3));
    server.restart().await;
    let client = server.client();
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    let retries = over.iter().step_by(3).map(|id| client.retry(id, false));
    let retries = futures_util::future::join_all(retries);
    let (purged, retried) = futures_util::future::join(purge(&client, wish), retries).await;
    let left = there(&client).await;
    assert!(left.contains(&waits));
    let mut again = 0;
    for (id, answer) in over.iter().step_by(3).zip(retried) {
        match answer {
            Ok(_) => {
                again += 1;
                assert_eq!(client.get(id).await.state(), JobState::Pending);
            }
            Err(refused) => assert_eq!(refused.code(), Code::NotFound),
        }
    }
    assert_eq!(left.len(), 1 + again);
    assert_eq!(purged.count, i64::try_from(over.len() - again).expect("few"));
    server.stop().await;
}
