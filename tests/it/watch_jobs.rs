//! Watching many jobs: the snapshot, what changes, and whom it does not concern.

use jobplane::domain::JobId;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::watch_jobs_response::removed::Reason;

use crate::harness::{
    JobFacts as _, JobsWatcher, SOON, Server, Told as _, eventually, percent, seconds, spec,
};

#[tokio::test]
async fn a_watch_holds_the_jobs_that_match_and_follows_them() {
    let server = Server::start().await;
    let client = server.client();
    let first = client.create(spec("sync")).await.id;
    client.create(spec("backup")).await;
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    let copy = watcher.until("the snapshot", |copy| copy.snapshots == 1).await;
    assert_eq!(copy.at_token.keys().collect::<Vec<_>>(), [&first]);

    let second = client.create(spec("sync")).await.id;
    watcher.until("a new job", |copy| copy.jobs.contains_key(&second)).await;
    let worker = server.worker("w1").job_type("sync").slots(2).connect().await;
    let (one, two) = (worker.expect_assignment().await, worker.expect_assignment().await);
    watcher
        .until("both running", |copy| copy.jobs.values().all(|job| job.state() == State::Running))
        .await;

    let one = one.progress(40.0).await;
    watcher.until("40 %", |copy| copy.jobs[&one.id].percent() == Some(40.0)).await;
    one.succeed().await.expect("taken");
    let copy = watcher.until("the end", |copy| !copy.jobs.contains_key(&one.id)).await;
    let (reason, job) = &copy.gone[&one.id];
    let job = job.as_ref().expect("the job as it is now");
    assert_eq!((*reason, job.state()), (Reason::Unmatched, State::Succeeded));
    assert_eq!(copy.jobs.keys().collect::<Vec<_>>(), [&two.id]);
    assert_eq!((copy.snapshots, copy.resets), (1, 0));
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_of_ended_jobs_hears_of_deletes_and_retries() {
    let server = Server::start().await;
    let client = server.client();
    let wish = v1::WatchJobsRequest {
        filter: Some(v1::JobFilter {
            states: vec![State::Cancelled.into()],
            ..v1::JobFilter::default()
        }),
        ..v1::WatchJobsRequest::default()
    };
    let watcher = JobsWatcher::open(&client, wish).await;
    watcher.started().await;
    let (one, two) = (client.create(spec("a")).await.id, client.create(spec("b")).await.id);
    client.cancel(&one, None).await.expect("cancelled");
    client.cancel(&two, None).await.expect("cancelled");
    watcher.until("both", |copy| copy.jobs.len() == 2).await;
    client.delete(&one).await.expect("deleted");
    client.retry(&two, false).await.expect("waits again");
    let copy = watcher.until("none", |copy| copy.jobs.is_empty()).await;
    assert_eq!(copy.gone[&one], (Reason::Deleted, None));
    assert_eq!(copy.gone[&two].0, Reason::Unmatched);
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_without_snapshot_starts_with_the_next_change() {
    let server = Server::start().await;
    let client = server.client();
    let old = client.create(spec("sync")).await.id;
    let wish = v1::WatchJobsRequest { skip_snapshot: true, ..JobsWatcher::of_type("sync") };
    let watcher = JobsWatcher::open(&client, wish).await;
    let copy = watcher.started().await;
    assert_eq!((copy.snapshots, copy.jobs.len()), (1, 0));
    client.cancel(&old, None).await.expect("cancelled");
    let copy = watcher.until("the end of a job", |copy| !copy.gone.is_empty()).await;
    assert_eq!(copy.gone[&old].0, Reason::Unmatched);
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn running_jobs_show_their_progress_to_whoever_comes_late() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    held.report(percent(10.0)).await.expect("taken");
    // The first watcher of all: nobody told the views of the job when it started.
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    let copy = watcher.started().await;
    assert_eq!(copy.jobs[&held.id].percent(), Some(10.0));
    held.report(percent(20.0)).await.expect("taken");
    watcher.until("20 %", |copy| copy.jobs[&held.id].percent() == Some(20.0)).await;
    let copy = watcher.stop().await;
    held.report(percent(30.0)).await.expect("taken");
    // No durable change, and yet news.
    let watcher = JobsWatcher::resume(&client, JobsWatcher::of_type("sync"), copy).await;
    watcher.until("30 %", |copy| copy.jobs[&held.id].percent() == Some(30.0)).await;
    let copy = watcher.stop().await;
    eventually(SOON, "nobody watches", || async { !server.engine().feed().is_on() }).await;
    // The views begin anew with a state that has it: that is no reason not to tell.
    held.report(percent(50.0)).await.expect("taken");
    let id = JobId(held.id.parse().expect("a UUID"));
    eventually(SOON, "the progress is on disk", || async {
        let stored = server.store().load(&[id]).await.expect("a read");
        stored[0].status.progress.percent == Some(50.0)
    })
    .await;
    let watcher = JobsWatcher::resume(&client, JobsWatcher::of_type("sync"), copy).await;
    watcher.until("50 %", |copy| copy.jobs[&held.id].percent() == Some(50.0)).await;
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn an_end_is_told_at_once_and_the_rest_at_the_pace_that_is_wanted() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let wish = v1::WatchJobsRequest { min_interval: seconds(60.0), ..JobsWatcher::of_type("sync") };
    let watcher = JobsWatcher::open(&client, wish).await;
    watcher.started().await;
    client.create(spec("sync")).await;
    watcher.until("the first round", |copy| copy.jobs.len() == 1).await;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    for at in 1..=50 {
        held.report(percent(f64::from(at))).await.expect("taken");
    }
    let upserts = watcher.copy().upserts;
    held.succeed().await.expect("taken");
    let copy = watcher.until("the end", |copy| copy.jobs.is_empty()).await;
    assert_eq!(upserts, 1, "nothing came within the interval: {copy:?}");
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_is_refused_with_all_that_is_wrong() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let wish = v1::WatchJobsRequest {
        resume_token: "abc".to_owned(),
        skip_snapshot: true,
        min_interval: seconds(61.0),
        view: 9,
        ..v1::WatchJobsRequest::default()
    };
    let answer = client.jobs.clone().watch_jobs(wish).await;
    assert_eq!(answer.refusal().fields, ["view", "min_interval", "skip_snapshot"]);
    let wish =
        v1::WatchJobsRequest { resume_token: "abc".to_owned(), ..v1::WatchJobsRequest::default() };
    let answer = client.jobs.clone().watch_jobs(wish).await;
    assert_eq!(answer.reason(), "INVALID_RESUME_TOKEN");
    server.stop().await;
}
