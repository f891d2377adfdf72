//! How far a job is: in memory first, on disk soon, never shown backwards.

use std::time::Duration;

use jobplane::domain::JobId;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};

use crate::harness::{
    Client, Held, JobFacts as _, SOON, Server, Told as _, Weather, done, eventually, percent, spec,
};

async fn running(server: &Server) -> Held {
    server.client().create(spec("sync")).await;
    server.worker("w1").connect().await.expect_assignment().await
}

async fn on_disk(server: &Server, id: &str) -> Option<f64> {
    let id: JobId = id.parse().expect("an id");
    let job = server.store().load(&[id]).await.expect("a job").remove(0);
    job.status.progress.percent
}

fn report(held: &(v1::Job, i64), sequence: i64, seq: i64, at: f64) -> v1::ReportJobRequest {
    v1::ReportJobRequest {
        job_id: held.0.id.clone(),
        lease_epoch: held.1,
        seq,
        progress: Some(v1::Progress { sequence, ..percent(at) }),
        ..v1::ReportJobRequest::default()
    }
}

#[tokio::test]
async fn older_reports_do_not_replace_newer_ones() {
    let server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let held = client.acquire_one("sync").await;
    let shown = async |request: v1::ReportJobRequest| {
        client.report(request).await.expect("taken");
        client.get(&held.0.id).await.percent()
    };
    assert_eq!(shown(report(&held, 5, 0, 50.0)).await, Some(50.0));
    assert_eq!(shown(report(&held, 3, 0, 30.0)).await, Some(50.0), "by the worker's own count");
    assert_eq!(shown(report(&held, 6, 0, 60.0)).await, Some(60.0));
    assert_eq!(shown(report(&held, 0, 0, 61.0)).await, Some(61.0), "one more than the last");
    assert_eq!(shown(report(&held, 0, 20, 70.0)).await, Some(70.0), "by the number of the report");
    assert_eq!(shown(report(&held, 0, 19, 65.0)).await, Some(70.0));
    assert_eq!(shown(report(&held, 0, 20, 71.0)).await, Some(70.0), "a number counts once");
    server.stop().await;
}

#[tokio::test]
async fn what_an_outcome_says_is_the_last_also_after_a_restart() {
    let mut server = Server::start().await;
    server.client().create(spec("sync")).await;
    let held = server.client().acquire_one("sync").await;
    for at in [10.0, 20.0, 30.0] {
        server.client().report(report(&held, 0, 0, at)).await.expect("taken");
    }
    server.restart().await;
    let client = server.client();
    let request = v1::CompleteJobRequest {
        job_id: held.0.id.clone(),
        lease_epoch: held.1,
        progress: Some(percent(100.0)),
        ..v1::CompleteJobRequest::default()
    };
    client.workers.clone().complete_job(request).await.expect("taken");
    assert_eq!(client.get(&held.0.id).await.percent(), Some(100.0));
    server.stop_with(client).await;
}

#[tokio::test]
async fn a_stale_epoch_changes_no_progress() {
    let server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let (job, epoch) = client.acquire_one("sync").await;
    let release = v1::ReleaseJobRequest {
        job_id: job.id.clone(),
        lease_epoch: epoch,
        ..v1::ReleaseJobRequest::default()
    };
    client.workers.clone().release_job(release).await.expect("taken");
    let second = client.acquire_one("sync").await;
    client.report(report(&second, 1, 0, 10.0)).await.expect("taken");
    let refused = client.report(report(&(job, epoch), 99, 0, 99.0)).await.refusal();
    assert_eq!((refused.reason.as_str(), refused.fact("held")), ("STALE_LEASE", "2"));
    assert_eq!(client.get(&second.0.id).await.percent(), Some(10.0));
    server.stop().await;
}

async fn listed(client: &Client) -> Option<f64> {
    let page = client.list(v1::ListJobsRequest::default()).await.expect("a page");
    page.jobs[0].percent()
}

#[tokio::test]
async fn reads_show_the_freshest_progress_before_it_is_on_disk() {
    let server = Server::setup().without_polling().start().await;
    let client = server.client();
    let held = running(&server).await;
    held.clone().progress(42.0).await;
    let job = client.get(&held.id).await;
    assert_eq!(job.percent(), Some(42.0));
    assert!(job.status().progress.as_ref().is_some_and(|progress| progress.live));
    assert_eq!(listed(&client).await, Some(42.0));
    let worker = client.workers().await.remove(0);
    assert_eq!(worker.running[0].percent, Some(42.0));
    assert_eq!(on_disk(&server, &held.id).await, None);
    server.stop().await;
}

#[tokio::test]
async fn progress_is_on_disk_soon_and_there_after_a_restart() {
    let mut server = Server::start().await;
    let held = running(&server).await;
    held.clone().progress(42.0).await;
    eventually(SOON, "it is on disk", || async { on_disk(&server, &held.id).await == Some(42.0) })
        .await;
    server.restart().await;
    let job = server.client().get(&held.id).await;
    assert_eq!((job.state(), job.percent()), (State::Running, Some(42.0)));
    assert!(job.status().progress.as_ref().is_some_and(|progress| !progress.live));
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_loses_no_progress() {
    let hour = Duration::from_secs(3600);
    let server = Server::setup().with(|config| config.periods.flush = hour).start().await;
    let held = running(&server).await;
    held.clone().progress(42.0).await;
    let job = server.client().cancel(&held.id, None).await.expect("asked");
    assert_eq!(job.percent(), Some(42.0));
    assert_eq!(on_disk(&server, &held.id).await, Some(42.0));
    held.cancelled().await.expect("taken");
    assert_eq!(server.client().get(&held.id).await.percent(), Some(42.0));
    server.stop().await;
}

#[tokio::test]
async fn more_done_than_there_is_to_do_is_rejected_and_the_job_goes_on() {
    let server = Server::start().await;
    let held = running(&server).await;
    held.report(done(1, 4)).await.expect("taken");
    let refused = held.report(done(5, 4)).await.expect_err("wrong");
    assert_eq!(refused.reason, "INVALID_FIELD");
    assert_eq!(refused.fields, ["update.progress.completed"]);
    assert_eq!(server.client().get(&held.id).await.percent(), Some(25.0));
    held.report(done(4, 4)).await.expect("taken");
    held.succeed().await.expect("taken");
    let job = server.client().get(&held.id).await;
    assert_eq!((job.state(), job.percent()), (State::Succeeded, Some(100.0)));
    server.stop().await;
}

#[tokio::test]
async fn figures_follow_from_the_reports() {
    let server = Server::start().await;
    let held = running(&server).await;
    held.report(done(25, 100)).await.expect("taken");
    held.report(done(50, 100)).await.expect("taken");
    let job = server.client().get(&held.id).await;
    let progress = job.status().progress.clone().expect("progress");
    assert_eq!(progress.percent, Some(50.0));
    assert!(progress.average_rate_per_second > 0.0 && progress.rate_per_second > 0.0);
    assert!(progress.elapsed.is_some() && progress.report_time.is_some());
    held.report(done(100, 100)).await.expect("taken");
    let job = server.client().get(&held.id).await;
    let progress = job.status().progress.clone().expect("progress");
    assert_eq!(progress.remaining, Some(prost_types::Duration::default()));
    server.stop().await;
}

#[tokio::test]
async fn a_new_attempt_starts_without_progress() {
    let server = Server::start().await;
    let held = running(&server).await;
    held.clone().progress(80.0).await;
    held.fail_with(v1::JobError::default(), Some(0.0)).await.expect("taken");
    let again = held.worker.expect_assignment().await;
    assert_eq!((again.epoch, again.job.percent()), (2, None));
    again.clone().progress(5.0).await;
    assert_eq!(server.client().get(&held.id).await.percent(), Some(5.0));
    server.stop().await;
}

#[tokio::test]
async fn an_execution_is_measured_by_what_it_does_itself() {
    let server = Server::start().await;
    let pace = async |held: &Held, completed| {
        held.report(done(completed, 10_000)).await.expect("taken");
        let job = server.client().get(&held.id).await;
        job.status().progress.as_ref().expect("progress").average_rate_per_second
    };
    let held = running(&server).await;
    held.release(0.0).await.expect("taken");
    let second = held.worker.expect_assignment().await;
    assert!(pace(&second, 5_000).await > 0.0, "nothing was done before it");
    second.fail_with(v1::JobError::default(), Some(0.0)).await.expect("taken");
    let third = held.worker.expect_assignment().await;
    assert!(pace(&third, 5_001).await.abs() < f64::EPSILON, "it goes on from there");
    third.fail_with(v1::JobError::default(), Some(0.0)).await.expect("taken");
    let fourth = held.worker.expect_assignment().await;
    assert!(pace(&fourth, 5_000).await > 0.0, "it begins anew");
    server.stop().await;
}

#[tokio::test]
async fn no_state_is_shown_before_it_is_durable() {
    let server = Server::setup().store_timeout(Duration::from_secs(1)).start().await;
    let held = running(&server).await;
    let watcher = server.watch(&held.id).await;
    server.faults.set(Weather::Hanging);
    held.send(Report::Progress(percent(90.0)));
    held.send(Report::Succeeded(Succeeded::default()));
    // Progress is told at once, and says that it comes from memory.
    let status = watcher.until_status("90 %", |status| status.percent() == Some(90.0)).await;
    assert_eq!(status.state(), State::Running);
    assert!(status.progress.is_some_and(|progress| progress.live));
    let refused = server.client().cancel(&held.id, None).await.reason();
    assert_eq!(refused, "OUTCOME_UNKNOWN", "the store hangs");
    watcher.until_status("nothing more", |status| status.state() == State::Running).await;
    server.faults.set(Weather::Fair);
    watcher.until_state(State::Succeeded).await;
    watcher.end().await.1.expect("ends well");
    server.stop().await;
}
