//! Jobs that are stuck, slow, or over their limits.

use std::time::Duration;

use jobplane::auth::Caller;
use jobplane::domain::watchdog::{Basis, Sweep};
use jobplane::engine::{SweepQuery, Swept};
use jobplane::proto::v1;
use jobplane::proto::v1::event::Facts;
use jobplane::proto::v1::report_progress_request::update::Report;
use jobplane::proto::v1::{CancelCause, JobState as State, OnStuck};

use crate::harness::{
    Held, JobFacts as _, SOON, Server, Shared, Told as _, done, eventually, lines, seconds, spec,
};

/// A sweep that a caller could not ask for: whatever has run for a moment is stuck.
fn at_once(basis: Basis) -> Sweep {
    Sweep { threshold: Duration::from_millis(1), basis, include_pending: false, types: Vec::new() }
}

async fn sweep(server: &Server, sweep: Sweep, validate_only: bool) -> Swept {
    // What was just begun is older than the threshold from now on.
    let began = server.now();
    eventually(SOON, "a moment passes", || async {
        server.now().since(began) > 2 * sweep.threshold
    })
    .await;
    let query = SweepQuery { sweep, validate_only, reason: "the host hangs".to_owned() };
    server.engine().sweep(&Caller::anonymous(), query).await.expect("swept")
}

async fn running(server: &Server, spec: v1::JobSpec) -> Held {
    let id = server.client().create(spec).await.id;
    let held = server.worker("w1").connect().await.expect_assignment().await;
    assert_eq!(held.id, id);
    held
}

/// What was told of a job, the oldest first.
async fn told(server: &Server, job_id: &str) -> Vec<Facts> {
    let request = v1::ListEventsRequest { page_size: 1_000, ..v1::ListEventsRequest::default() };
    let answer = server.client().admin.clone().list_events(request).await.expect("events");
    let events = answer.into_inner().events.into_iter();
    events.filter(|event| event.job_id == job_id).filter_map(|event| event.facts).collect()
}

fn attempts(job_type: &str, max_attempts: i32) -> v1::JobSpec {
    let retry_policy = Some(v1::RetryPolicy { max_attempts, ..v1::RetryPolicy::default() });
    v1::JobSpec { retry_policy, ..spec(job_type) }
}

fn stuck_after(span: f64, on_stuck: OnStuck) -> v1::JobSpec {
    let stuck_after = seconds(span);
    v1::JobSpec { stuck_after, on_stuck: on_stuck.into(), ..attempts("sync", 1) }
}

async fn a_sweep_counts_what_it_does(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let client = server.client();
    let last = running(&server, attempts("last", 1)).await;
    let first = running(&server, attempts("first", 3)).await;
    let told_of = v1::JobSpec { on_stuck: OnStuck::Notify.into(), ..spec("told") };
    let told_of = running(&server, told_of).await;
    let waits = client.create(spec("waits")).await.id;
    let mut all = at_once(Basis::Start);
    all.include_pending = true;

    let would = sweep(&server, all.clone(), true).await;
    assert_eq!((would.count, would.failed, would.retried, would.notified), (4, 2, 1, 1));
    assert_eq!(client.get(&last.id).await.status().cancel_request, None, "it only says so");

    let did = sweep(&server, all.clone(), false).await;
    assert_eq!((did.count, did.failed, did.retried, did.notified), (4, 2, 1, 1));
    assert_eq!(did.job_ids.len(), 4);
    let asked = last.worker.expect_cancel().await;
    assert_eq!(asked.cause(), CancelCause::Stuck);
    assert!(asked.reason.ends_with(": the host hangs"), "{}", asked.reason);
    // Nobody takes the one that is tried again.
    last.worker.capacity(0);
    first.worker.capacity(0);
    last.cancelled().await.expect("taken");
    first.cancelled().await.expect("taken");
    let job = client.get(&last.id).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "STUCK"));
    assert_eq!(client.get(&first.id).await.state(), State::Pending);
    assert_eq!(client.get(&told_of.id).await.state(), State::Running);
    let job = client.get(&waits).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "EXPIRED"));

    for (held, action) in
        [(&last, OnStuck::Fail), (&first, OnStuck::Fail), (&told_of, OnStuck::Notify)]
    {
        let events = told(&server, &held.id).await;
        let stuck = events.iter().filter_map(|facts| match facts {
            Facts::JobStuck(stuck) => Some(stuck.action()),
            _ => None,
        });
        assert_eq!(stuck.collect::<Vec<_>>(), [action], "{events:?}");
    }
    let again = sweep(&server, at_once(Basis::Start), false).await;
    assert_eq!(again.count, 0, "what was told of is told of once");
    told_of.succeed().await.expect("taken");
    server.stop_with((last, first, told_of)).await;
}

async fn what_moves_or_ends_meanwhile_is_not_counted(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let held = running(&server, spec("sync")).await;
    held.report(done(1, 10)).await.expect("taken");
    let found = sweep(&server, at_once(Basis::Progress), true).await;
    assert_eq!(found.count, 1);
    let mut quiet = at_once(Basis::Progress);
    quiet.threshold = Duration::from_secs(1_800);
    held.log(lines(["still here"])).await.expect("taken");
    assert_eq!(sweep_now(&server, quiet).await.count, 0);
    assert_eq!(sweep(&server, at_once(Basis::Progress), false).await.count, 1);
    assert_eq!(sweep(&server, at_once(Basis::Progress), false).await.count, 0, "it was asked");
    held.succeed().await.expect("taken");
    server.stop_with(held).await;
}

async fn sweep_now(server: &Server, sweep: Sweep) -> Swept {
    let query = SweepQuery { sweep, validate_only: false, reason: String::new() };
    server.engine().sweep(&Caller::anonymous(), query).await.expect("swept")
}

async fn a_jobs_own_bound_is_kept_near_its_time(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let client = server.client();
    let held = running(&server, stuck_after(1.0, OnStuck::Fail)).await;
    held.report(done(1, 10)).await.expect("taken");
    // The same again is no activity.
    held.report(done(1, 10)).await.expect("taken");
    let asked = held.worker.expect_cancel().await;
    assert_eq!(asked.cause(), CancelCause::Stuck);
    assert!(asked.reason.starts_with("showed no activity for "), "{}", asked.reason);
    held.fail("HUNG").await.expect("taken");
    let job = client.get(&held.id).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "STUCK"));
    server.stop_with(held).await;
}

async fn one_that_logs_or_never_reported_is_not_stuck(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let client = server.client();
    let silent = running(&server, stuck_after(4.0, OnStuck::Fail)).await;
    let logs = running(&server, stuck_after(4.0, OnStuck::Fail)).await;
    let began = server.now();
    let mut line = 0;
    while server.now().since(began) < Duration::from_secs(6) {
        line += 1;
        logs.log(lines([line])).await.expect("taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for held in [&silent, &logs] {
        assert_eq!(client.get(&held.id).await.status().cancel_request, None);
    }
    // From its last line on it is.
    assert_eq!(logs.worker.expect_cancel().await.cause(), CancelCause::Stuck);
    logs.succeed().await.expect("taken");
    silent.succeed().await.expect("taken");
    server.stop_with((silent, logs)).await;
}

async fn one_that_is_to_notify_runs_on_and_is_told_of_once(store: Shared) {
    let server = Server::setup().over(store).start().await;
    let held = running(&server, stuck_after(1.0, OnStuck::Notify)).await;
    held.report(done(1, 10)).await.expect("taken");
    eventually(SOON, "it is told of", || async { server.logged("job stuck") > 0 }).await;
    held.report(done(2, 10)).await.expect("taken");
    let began = server.now();
    eventually(SOON, "it could be stuck again", || async {
        server.now().since(began) > Duration::from_millis(1_500)
    })
    .await;
    assert_eq!(server.logged("job stuck"), 1);
    assert!(matches!(told(&server, &held.id).await.as_slice(), [Facts::JobStuck(_)]));
    let job = server.client().get(&held.id).await;
    assert_eq!((job.state(), &job.status().cancel_request), (State::Running, &None));
    held.succeed().await.expect("taken");
    server.stop_with(held).await;
}

async fn a_job_over_its_limit_fails_with_resource_limit(store: Shared) {
    let setup = Server::setup().over(store);
    let setup = setup.with(|config| config.house.usage.sustain = Duration::from_millis(200));
    let server = setup.start().await;
    let client = server.client();
    let limits = Some(v1::ResourceLimits { memory_bytes: 1_000, ..v1::ResourceLimits::default() });
    let held = running(&server, v1::JobSpec { limits, ..attempts("sync", 1) }).await;
    let uses = |memory_bytes| {
        let usage = v1::ResourceUsage { memory_bytes: Some(memory_bytes), ..Default::default() };
        held.send(Report::ResourceUsage(usage))
    };
    // A peak is no leak.
    uses(5_000);
    uses(10);
    let began = server.now();
    while server.now().since(began) < Duration::from_millis(250) {
        let seq = uses(999);
        held.worker.settled(seq).await.expect("taken");
    }
    assert_eq!(client.get(&held.id).await.status().cancel_request, None);
    let stop = async {
        loop {
            held.worker.settled(uses(3 << 20)).await.expect("taken");
            let asked = client.get(&held.id).await.status().cancel_request.clone();
            if let Some(asked) = asked {
                return asked;
            }
        }
    };
    let asked = crate::harness::within(SOON, "it is asked to stop", stop).await;
    assert_eq!(asked.cause(), CancelCause::ResourceLimit);
    assert!(asked.reason.contains("3.0 MiB") && asked.reason.contains("limit"), "{}", asked.reason);
    held.cancelled().await.expect("taken");
    let job = client.get(&held.id).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "RESOURCE_LIMIT"));
    let events = told(&server, &held.id).await;
    assert!(
        matches!(events.as_slice(), [Facts::ResourceLimit(_), Facts::JobFailed(_)]),
        "{events:?}"
    );
    server.stop_with(held).await;
}

super::on_each_shared_store!(
    a_sweep_counts_what_it_does
    what_moves_or_ends_meanwhile_is_not_counted
    a_jobs_own_bound_is_kept_near_its_time
    one_that_logs_or_never_reported_is_not_stuck
    one_that_is_to_notify_runs_on_and_is_told_of_once
    a_job_over_its_limit_fails_with_resource_limit
);

#[tokio::test]
async fn sweep_returns_the_true_count() {
    const JOBS: usize = 120;
    let server = Server::start().await;
    let client = server.client();
    for _ in 0..JOBS {
        client.create(attempts("sync", 1)).await;
    }
    let worker = server.worker("w1").slots(150).connect().await;
    let mut held = Vec::new();
    for _ in 0..JOBS {
        held.push(worker.expect_assignment().await);
    }
    // Some end while the sweep is under way: each is either counted or done.
    let ends = async {
        for held in held.iter().step_by(3) {
            held.succeed().await.expect("taken");
        }
    };
    let (swept, ()) =
        futures_util::future::join(sweep(&server, at_once(Basis::Start), false), ends).await;
    let mut asked = 0;
    let mut spared = 0;
    for held in &held {
        let job = client.get(&held.id).await;
        let cause = job.status().cancel_request.as_ref().map(v1::CancelRequest::cause);
        if cause == Some(CancelCause::Stuck) {
            asked += 1;
        } else {
            assert_eq!(job.state(), State::Succeeded);
            spared += 1;
        }
    }
    assert_eq!((swept.count, swept.failed), (asked, asked));
    assert_eq!(asked + spared, JOBS as u64);
    assert_eq!(swept.job_ids.len() as u64, asked);
    worker.goodbye().await.expect("ends well");
    server.stop_with(held).await;
}

#[tokio::test]
async fn activity_outlives_the_server_and_a_lively_job_is_not_stuck_after_it() {
    let mut server = Server::start().await;
    let held = running(&server, spec("sync")).await;
    held.report(done(1, 10)).await.expect("taken");
    let before = server.client().get(&held.id).await;
    let active = before.status().progress.as_ref().expect("reported").activity_time;
    assert!(active.is_some());
    server.restart().await;
    let after = server.client().get(&held.id).await;
    assert_eq!(after.status().progress.as_ref().expect("reported").activity_time, active);
    server.stop_with(held).await;
}

#[tokio::test]
async fn every_number_out_of_range_names_its_field() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    for minutes in [-1, 1, 29, 1_441] {
        let threshold = Some(prost_types::Duration { seconds: minutes * 60, nanos: 0 });
        let request = v1::SweepStuckJobsRequest { threshold, ..Default::default() };
        let refused = client.sweep(request).await.refusal();
        assert_eq!(
            (refused.reason.as_str(), refused.fields),
            ("INVALID_FIELD", vec!["threshold".to_owned()])
        );
    }
    let refused = client.drain("w1", 3_601.0).await.refusal();
    assert_eq!(refused.fields, ["grace"]);
    let refused = client.sweep(v1::SweepStuckJobsRequest { basis: 9, ..Default::default() }).await;
    assert_eq!(refused.refusal().fields, ["basis"]);
    let answer = client.sweep(v1::SweepStuckJobsRequest::default()).await.expect("swept");
    assert_eq!(answer.count, 0);
    server.stop().await;
}
