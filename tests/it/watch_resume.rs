//! Watches that come back: over restarts, too late, to the wrong place, and from far behind.

use std::collections::BTreeSet;
use std::time::Duration;

use jobplane::auth::Caller;
use jobplane::domain::{JobFilter, JobId, JobType, Position, Timestamp};
use jobplane::engine::{JobsWatch, Resume, Sent, Start, WatchJobs};
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::watch_jobs_response::removed::Reason;
use jobplane::store::Prune;

use crate::harness::{
    Client, Fault, JobFacts as _, JobsWatcher, Mirror, Read, SOON, Server, Shared, Told as _,
    eventually, percent, spec, within,
};
use crate::on_each_shared_store;

async fn watched(server: &Server) -> Mirror {
    let watcher = JobsWatcher::open(&server.client(), JobsWatcher::of_type("sync")).await;
    watcher.started().await;
    watcher.stop().await
}

async fn many(client: &Client, count: usize) {
    for from in (0..count).step_by(1_000) {
        let requests = (from..count.min(from + 1_000)).map(|_| v1::CreateJobRequest {
            spec: Some(spec("sync")),
            ..v1::CreateJobRequest::default()
        });
        let request = v1::BatchCreateJobsRequest { requests: requests.collect() };
        client.jobs.clone().batch_create_jobs(request).await.expect("created");
    }
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_as_if_it_had_been_there() {
    let mut server = Server::start().await;
    let client = server.client();
    let ids = [(); 5].map(|()| client.create(spec("sync")));
    let jobs = futures_util::future::join_all(ids).await;
    let [same, ended, deleted, retried, running] = &jobs[..] else { panic!("five jobs") };
    client.cancel(&retried.id, None).await.expect("cancelled");
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    let copy = watcher.until("four jobs", |copy| copy.at_token.len() == 4).await;
    assert_eq!(copy.snapshots, 1);
    let copy = watcher.stop().await;

    client.cancel(&deleted.id, None).await.expect("cancelled");
    client.delete(&deleted.id).await.expect("deleted");
    client.retry(&retried.id, false).await.expect("waits again");
    client.create(spec("backup")).await;
    server.restart().await;
    let client = server.client();
    client.cancel(&ended.id, None).await.expect("cancelled");
    let new = client.create(spec("sync")).await;

    let watcher = JobsWatcher::resume(&client, JobsWatcher::of_type("sync"), copy).await;
    let copy = watcher.until("a bookmark", |copy| copy.bookmarks > 0).await;
    let held: BTreeSet<&String> = copy.at_token.keys().collect();
    assert_eq!(held, [&same.id, &retried.id, &running.id, &new.id].into());
    assert_eq!((copy.snapshots, copy.resets), (1, 0), "it was no new snapshot");
    let why = |id: &str| copy.gone.get(id).map(|(reason, _)| *reason);
    assert_eq!(why(&ended.id), Some(Reason::Unmatched));
    assert_eq!(why(&deleted.id), Some(Reason::Deleted));
    let ended = copy.gone[&ended.id].1.as_ref().expect("the job as it is");
    assert_eq!(ended.state(), State::Cancelled);
    // And it lives on.
    client.cancel(&new.id, None).await.expect("cancelled");
    watcher.until("the end of a job", |copy| !copy.jobs.contains_key(&new.id)).await;
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_watch_that_goes_on_after_a_restart_shows_how_far_jobs_are() {
    let mut server = Server::start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let (job, lease_epoch) = client.acquire_one("sync").await;
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    let runs =
        |copy: &Mirror| copy.at_token.get(&job.id).is_some_and(|job| job.state() == State::Running);
    watcher.until("that it runs", runs).await;
    let copy = watcher.stop().await;
    // Nobody watches, and nobody reports again.
    let (job_id, progress) = (job.id.clone(), Some(percent(80.0)));
    let request = v1::ReportJobRequest { job_id, lease_epoch, progress, ..Default::default() };
    client.report(request).await.expect("taken");
    server.restart().await;
    let client = server.client();
    let is_told =
        |copy: &Mirror| copy.jobs.get(&job.id).is_some_and(|job| job.percent() == Some(80.0));
    // Not to the first watcher only, nor only where its view is new.
    let other = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    other.until("the progress", is_told).await;
    for _ in 0..2 {
        let watcher =
            JobsWatcher::resume(&client, JobsWatcher::of_type("sync"), copy.clone()).await;
        watcher.until("the progress", is_told).await;
    }
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_is_too_old_starts_over_with_a_snapshot() {
    let server = Server::start().await;
    let client = server.client();
    let old = client.create(spec("sync")).await;
    let copy = watched(&server).await;
    client.cancel(&old.id, None).await.expect("cancelled");
    let new = client.create(spec("sync")).await;
    let all = server.now().plus(Duration::from_secs(1));
    let never = Timestamp::from_micros(0);
    let prune = Prune {
        changes_before: all,
        sessions_before: never,
        requests_before: never,
        buckets_before: never,
        events_before: never,
        audit_before: never,
        limit: 10_000,
    };
    server.store().prune(prune).await.expect("pruned");
    let watcher = JobsWatcher::resume(&client, JobsWatcher::of_type("sync"), copy).await;
    let copy =
        watcher.until("a new snapshot", |copy| copy.resets == 1 && copy.snapshots == 1).await;
    assert_eq!((copy.resets, copy.at_token.keys().collect::<Vec<_>>()), (1, vec![&new.id]));
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_token_of_another_store_starts_over_with_a_snapshot() {
    let (server, other) = (Server::start().await, Server::setup().in_memory().start().await);
    let copy = watched(&other).await;
    let job = server.client().create(spec("sync")).await;
    let watcher = JobsWatcher::resume(&server.client(), JobsWatcher::of_type("sync"), copy).await;
    let copy =
        watcher.until("a new snapshot", |copy| copy.resets == 1 && copy.snapshots == 1).await;
    assert_eq!((copy.resets, copy.at_token.keys().collect::<Vec<_>>()), (1, vec![&job.id]));
    drop(watcher);
    server.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_token_for_another_filter_or_view_is_refused() {
    let server = Server::setup().in_memory().start().await;
    let token = watched(&server).await.token;
    let resumed = |wish: v1::WatchJobsRequest| {
        let client = server.client();
        let wish = v1::WatchJobsRequest { resume_token: token.clone(), ..wish };
        async move { client.jobs.clone().watch_jobs(wish).await }
    };
    let full =
        v1::WatchJobsRequest { view: v1::JobView::Full.into(), ..JobsWatcher::of_type("sync") };
    for other in [JobsWatcher::of_type("backup"), full, v1::WatchJobsRequest::default()] {
        let refusal = resumed(other).await.refusal();
        assert_eq!(refusal.reason, "INVALID_RESUME_TOKEN");
        assert_eq!(refusal.fields, ["resume_token"]);
    }
    // The same filter written in another way is the same filter.
    let mut same = JobsWatcher::of_type("sync");
    let filter = same.filter.as_mut().expect("a filter");
    filter.types.push("sync".to_owned());
    filter.states = vec![State::Running.into(), State::Pending.into()];
    resumed(same).await.expect("a watch");
    server.stop().await;
}

fn wish(start: Start) -> WatchJobs {
    WatchJobs {
        filter: WatchJobs::normalized(JobFilter::default()),
        full: false,
        start,
        min_interval: Duration::ZERO,
    }
}

async fn open(server: &Server, start: Start) -> JobsWatch {
    let caller = Caller::anonymous();
    server.engine().watch_jobs(&caller, wish(start)).await.expect("a watch")
}

/// All that comes up to the first end of a snapshot or bookmark.
async fn to_token(watch: &mut JobsWatch) -> Vec<Sent> {
    let look = async {
        let mut all = Vec::new();
        loop {
            all.extend(watch.next().await.expect("something"));
            if all.iter().any(|sent| matches!(sent, Sent::SnapshotEnd(_) | Sent::Bookmark(_))) {
                return all;
            }
        }
    };
    within(6 * SOON, "a token comes", look).await
}

fn jobs(sent: &[Sent]) -> BTreeSet<JobId> {
    let job = |sent: &Sent| match sent {
        Sent::Job(snapshot) => Some(snapshot.job.id),
        _ => None,
    };
    sent.iter().filter_map(job).collect()
}

on_each_shared_store! {
    how_far_a_run_was_is_not_told_when_it_just_ended
}

async fn how_far_a_run_was_is_not_told_when_it_just_ended(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let (job, lease_epoch) = client.acquire_one("sync").await;
    // Another watch keeps the view, which knows of the start alone.
    let mut other = open(&server, Start::Snapshot).await;
    let sent = to_token(&mut other).await;
    let token = |sent| if let Sent::SnapshotEnd(here) = sent { Some(here) } else { None };
    let here = sent.into_iter().find_map(token).expect("a token");
    let request = v1::ReportJobRequest {
        job_id: job.id.clone(),
        lease_epoch,
        progress: Some(percent(80.0)),
        ..Default::default()
    };
    client.report(request).await.expect("taken");
    let is_on_disk = async || {
        let id = job.id.parse().expect("an id");
        !server.store().progress(&[id]).await.expect("a read").is_empty()
    };
    eventually(SOON, "it is on disk", is_on_disk).await;
    let mut again = open(&server, Start::After(here)).await;
    for what in ["the change log", "the jobs"] {
        assert_eq!(jobs(&again.next().await.expect(what)), BTreeSet::new(), "nothing since");
    }
    // The views have come as far as this, without having been asked how far the job is.
    let types = vec![JobType::new("backup").expect("a name")];
    let filter = WatchJobs::normalized(JobFilter { types, ..JobFilter::default() });
    let beside = WatchJobs { filter, ..wish(Start::Snapshot) };
    let beside = server.engine().watch_jobs(&Caller::anonymous(), beside).await;
    to_token(&mut beside.expect("a watch")).await;
    // From here on they hear nothing, and the job ends.
    server.faults.hold_back(Read::CatchUp);
    client.complete(&job.id, lease_epoch).await.expect("taken");
    let told = within(SOON, "a token", async {
        let mut told = Vec::new();
        while !told.iter().any(|sent| matches!(sent, Sent::Bookmark(_))) {
            told.extend(again.next().await.expect("something"));
        }
        // What it was unsure of.
        told.extend(again.next().await.expect("something"));
        told
    });
    assert_eq!(jobs(&told.await), BTreeSet::new(), "it was further than at its start");
    server.faults.let_go(Read::CatchUp);
    let ended = within(SOON, "its end", async {
        loop {
            let sent = again.next().await.expect("something");
            if let Some(Sent::Removed { job: Some(last), .. }) = sent.first() {
                return last.job.status.progress.clone();
            }
        }
    });
    assert_eq!(ended.await.percent, Some(80.0));
    drop((again, other));
    server.stop_with(client).await;
}

#[tokio::test]
async fn a_token_of_another_timeline_or_ahead_of_the_store_starts_over() {
    let server = Server::start().await;
    server.client().create(spec("sync")).await;
    let origin = server.store().origin().await.expect("an origin");
    let ahead = Resume { origin, position: Position::Sequence(1_000_000) };
    let here = server.store().position().await.expect("a position");
    let elsewhere = Resume {
        origin: jobplane::domain::Origin { timeline: origin.timeline + 1, ..origin },
        position: here,
    };
    for resume in [ahead, elsewhere] {
        let mut watch = open(&server, Start::After(resume)).await;
        let sent = to_token(&mut watch).await;
        assert!(matches!(sent.first(), Some(Sent::Reset)), "{sent:?}");
        assert!(matches!(sent.last(), Some(Sent::SnapshotEnd(_))), "{sent:?}");
        assert_eq!(jobs(&sent).len(), 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_watcher_that_falls_far_behind_goes_on_from_the_change_log() {
    const JOBS: usize = 10_500;
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let mut watch = open(&server, Start::Snapshot).await;
    to_token(&mut watch).await;
    // Nobody asks the watch for anything meanwhile.
    many(&client, JOBS).await;
    let mut seen = BTreeSet::new();
    while seen.len() < JOBS {
        let sent = to_token(&mut watch).await;
        assert!(!sent.iter().any(|sent| matches!(sent, Sent::Reset)), "no new snapshot");
        seen.extend(jobs(&sent));
    }
    server.stop_with(watch).await;
}

#[tokio::test]
async fn a_commit_whose_outcome_nobody_heard_is_shown_all_the_same() {
    let server = Server::start().await;
    let client = server.client();
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    watcher.started().await;
    server.faults.plan(Fault::AnswerLost, |batch| !batch.creates.is_empty());
    let lost = client.create(spec("sync")).await;
    let next = client.create(spec("sync")).await;
    assert!(server.faults.happened());
    watcher
        .until("both", |copy| copy.at_token.contains_key(&lost.id) && copy.jobs.len() == 2)
        .await;
    client.cancel(&next.id, None).await.expect("cancelled");
    watcher.until("what follows", |copy| copy.jobs.len() == 1).await;
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_says_when_to_come_back() {
    let mut server = Server::start().await;
    let client = server.client();
    let job = client.create(spec("sync")).await;
    let watcher = JobsWatcher::open(&client, JobsWatcher::of_type("sync")).await;
    watcher.started().await;
    let (_, (copy, end)) = tokio::join!(server.halt(), watcher.end());
    let refusal = end.refusal();
    assert_eq!(refusal.reason, "SERVER_DRAINING");
    assert!(refusal.retry_after.is_some());
    server.resume().await;
    let watcher = JobsWatcher::resume(&server.client(), JobsWatcher::of_type("sync"), copy).await;
    server.client().cancel(&job.id, None).await.expect("cancelled");
    watcher.until("the end", |copy| copy.jobs.is_empty()).await;
    drop(watcher);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_different_filters_cost_a_change_no_more_than_one() {
    const WATCHERS: usize = 1_000;
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let labelled = |run: usize| [("run".to_owned(), run.to_string())].into();
    let mut watches = Vec::new();
    for run in 0..WATCHERS {
        let filter = JobFilter { labels: labelled(run), ..JobFilter::default() };
        let wish = WatchJobs { filter: WatchJobs::normalized(filter), ..wish(Start::Now) };
        let caller = Caller::anonymous();
        watches.push(server.engine().watch_jobs(&caller, wish).await.expect("a watch"));
    }
    assert_eq!((server.engine().feed().watchers(), server.engine().feed().views()), (1_000, 1_000));
    for watch in &mut watches {
        to_token(watch).await;
    }
    let before = server.engine().feed().tried();
    for run in 0..100 {
        let spec = v1::JobSpec { labels: labelled(run * 10), ..spec("sync") };
        client.create(spec).await;
    }
    for run in 0..100 {
        let sent = to_token(&mut watches[run * 10]).await;
        assert_eq!(jobs(&sent).len(), 1);
    }
    let after = server.engine().feed().tried();
    assert_eq!(after.changes - before.changes, 100);
    assert!(after.filters - before.filters <= 100, "{before:?} {after:?}");
    server.stop_with(watches).await;
}
