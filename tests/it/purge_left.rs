//! Jobs that a purge cannot read or take away: they stay, keep no other, and do not fill the archive.

use std::path::Path;
use std::time::Duration;

use jobplane::domain::retention::PurgeTiming;
use jobplane::proto::v1;
use jobplane::runtime::Clock;
use tonic::Code;

use crate::harness::{Client, SOON, Server, Setup, Told as _, eventually, lines, spec};
use crate::purge::{archived, cancelled, days};

fn with_archive(folder: &Path) -> Setup {
    let archive = folder.to_owned();
    Server::setup().with(|config| config.retention.archive = Some(archive))
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("a folder").count()
}

fn ids(folder: &Path) -> Vec<String> {
    let lines = archived(folder);
    lines.iter().map(|line| line["job"]["id"].as_str().expect("an id").to_owned()).collect()
}

async fn completed(client: &Client) -> String {
    client.create(spec("sync")).await;
    let (job, lease_epoch) = client.acquire_one("sync").await;
    client.complete(&job.id, lease_epoch).await.expect("taken");
    job.id
}

async fn purge(server: &Server) -> Result<i64, Code> {
    let wish = v1::PurgeJobsRequest { days_to_keep: 1, ..Default::default() };
    let answer = server.client().admin.clone().purge_jobs(wish).await;
    answer.map(|answer| answer.into_inner().count).map_err(|status| status.code())
}

#[tokio::test]
async fn a_job_that_cannot_be_read_stays_and_keeps_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = with_archive(folder.path()).start().await;
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(cancelled(&server.client(), "sync").await);
    }
    server.set_clock(days(3));
    server.restart().await;
    let spoilt = jobs.remove(2);
    server.spoil_jobs(std::slice::from_ref(&spoilt)).await;
    assert_eq!(purge(&server).await, Err(Code::Internal), "one is left");
    for id in &jobs {
        let gone = server.client().try_get(id).await.expect_err("gone");
        assert_eq!(gone.code(), Code::NotFound);
    }
    let left = server.client().try_get(&spoilt).await.expect_err("it cannot be read");
    assert_eq!(left.code(), Code::Internal);
    assert_eq!((ids(folder.path()), files(folder.path())), (jobs, 1));
    assert_eq!(purge(&server).await, Err(Code::Internal));
    assert_eq!(files(folder.path()), 1, "nothing went, so there is nothing to keep");
    server.forgive();
    server.stop().await;
}

#[tokio::test]
async fn a_job_whose_log_is_torn_leaves_no_half_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = with_archive(folder.path()).start().await;
    let client = server.client();
    let first = completed(&client).await;
    client.create(spec("sync")).await;
    let (job, lease_epoch) = client.acquire_one("sync").await;
    // More than a frame, in more than a page.
    for _ in 0..100 {
        let logs = lines((0..14).map(|_| "x".repeat(4_400)));
        let job_id = job.id.clone();
        let report = v1::ReportJobRequest { job_id, lease_epoch, logs, ..Default::default() };
        client.report(report).await.expect("taken");
    }
    client.complete(&job.id, lease_epoch).await.expect("taken");
    let last = completed(&client).await;
    server.set_clock(days(3));
    server.restart().await;
    server.faults.tear_log(&job.id, 69);
    assert_eq!(purge(&server).await, Err(Code::Unavailable), "one is left");
    assert!(server.client().try_get(&job.id).await.is_ok());
    let mut there = ids(folder.path());
    there.sort();
    assert_eq!((there, files(folder.path())), (vec![first, last], 1));
    assert_eq!(purge(&server).await, Err(Code::Unavailable));
    assert_eq!(files(folder.path()), 1, "what was begun is taken back");
    server.faults.tear_log(&job.id, i64::MAX);
    assert_eq!(purge(&server).await, Ok(1));
    assert!(ids(folder.path()).contains(&job.id));
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_not_taken_away_keeps_no_other_and_fills_no_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new();
    let setup = with_archive(folder.path()).in_its_own_time(clock.clone()).with(|config| {
        config.retention.timing = PurgeTiming::Every(Duration::from_secs(60));
        config.periods.retention = Duration::from_secs(3600);
    });
    let server = setup.in_memory().start().await;
    let client = server.client();
    let mut jobs = Vec::new();
    for _ in 0..9 {
        jobs.push(cancelled(&client, "sync").await);
    }
    // The first run has nothing to do.
    eventually(SOON, "it has run", || async { server.logged("purge: ") > 0 }).await;
    let stuck = jobs.remove(0);
    server.faults.never_purge(&stuck);
    let step = async |seconds| {
        clock.set(server.now().plus(Duration::from_secs(seconds)));
        server.engine().retain().await.expect("a step");
        files(folder.path())
    };
    assert_eq!(step(31 * 86_400).await, 1);
    for id in &jobs {
        assert_eq!(client.try_get(id).await.reason(), "JOB_NOT_FOUND");
    }
    assert!(client.try_get(&stuck).await.is_ok());
    assert_eq!(server.logged("1 jobs were left"), 1);
    // Each run that fails is followed by a longer rest.
    assert_eq!(step(30).await, 1);
    assert_eq!(step(31).await, 2);
    assert_eq!(step(60).await, 2);
    assert_eq!(step(61).await, 3);
    server.stop().await;
}
