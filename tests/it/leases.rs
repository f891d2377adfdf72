//! Sessions that end under their workers, and leases across restarts.

use std::time::Duration;

use jobplane::domain::EndReason;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};
use jobplane::runtime::Clock;
use jobplane::store::SessionWrite;

use crate::harness::{
    Fault, Held, JobFacts as _, Server, Told as _, Weather, Worker, eventually, percent, spec,
};

/// Past its lease, whatever is left of it.
async fn let_lapse(server: &Server) {
    let open = server.open_sessions().await;
    let lapse = |id| SessionWrite::Shorten { id, keep: Duration::ZERO };
    server.change_sessions(open.into_iter().map(lapse).collect()).await;
}

async fn running(server: &Server) -> (Worker, Held) {
    server.client().create(spec("sync")).await;
    let worker = server.worker("w1").connect().await;
    let held = worker.expect_assignment().await;
    (worker, held)
}

async fn lost(server: &Server, id: &str) -> Duration {
    let began = Clock::monotonic();
    eventually(Duration::from_secs(100), "the lease is lost", || async {
        server.client().get(id).await.error_code() == "LEASE_LOST"
    })
    .await;
    Clock::monotonic().duration_since(began)
}

#[tokio::test]
async fn the_job_of_a_dead_worker_is_claimable_within_its_lease_and_two_seconds() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("dead").lease(10.0).connect().await;
    worker.expect_assignment().await.progress(10.0).await;
    worker.cut();
    let took = lost(&server, &id).await;
    assert!(took <= Duration::from_secs(12), "after {took:?}");
    let (job, epoch) = client.acquire_one("sync").await;
    assert_eq!((job.status().attempt, epoch), (2, 2), "without back-off the first time");
    let attempts = client.attempts(&id).await;
    assert_eq!(attempts[0].outcome(), v1::AttemptOutcome::LeaseLost);
    assert_eq!(attempts[0].progress.as_ref().and_then(|p| p.percent), Some(10.0));
    server.stop().await;
}

#[tokio::test]
async fn traffic_after_the_session_ended_opens_another_and_late_reports_are_rejected() {
    let server = Server::start().await;
    let client = server.client();
    let ids = [client.create(spec("sync")).await.id, client.create(spec("sync")).await.id];
    let worker = server.worker("w1").slots(2).connect().await;
    let held = [worker.expect_assignment().await, worker.expect_assignment().await];
    worker.capacity(0);
    let_lapse(&server).await;
    for id in &ids {
        client.until(id, |job| job.error_code() == "LEASE_LOST").await;
    }
    eventually(Duration::from_secs(10), "its row is ended", || async {
        server.open_sessions().await.is_empty()
    })
    .await;
    assert_eq!(worker.expect_revoke().await.lease_epoch, 1);

    let reports = [
        held[0].send(Report::Progress(percent(50.0))),
        held[0].send(Report::Succeeded(Succeeded::default())),
        held[1].send(Report::Logs(v1::LogBatch { entries: crate::harness::lines(["late"]) })),
        held[1].send(Report::Succeeded(Succeeded::default())),
    ];
    let welcome = worker.expect_welcome().await;
    assert!(welcome.session_id != worker.welcome.session_id && welcome.adopted.is_empty());
    for seq in reports {
        let refused = worker.settled(seq).await.expect_err("late");
        assert_eq!(refused.reason, "STALE_LEASE");
    }
    // It goes on as a worker like any other.
    worker.capacity(1);
    let next = worker.expect_assignment().await;
    assert_eq!((next.epoch, next.job.status().attempt), (2, 2));
    next.succeed().await.expect("taken");
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_ended_unseen_is_noticed_by_its_renewal() {
    let server = Server::start().await;
    let worker = server.worker("w1").lease(10.0).slots(0).connect().await;
    let open = server.open_sessions().await;
    let end = |id| SessionWrite::End { id, reason: EndReason::Expired };
    server.change_sessions(open.into_iter().map(end).collect()).await;
    eventually(Duration::from_secs(60), "traffic opens another", || async {
        worker.heartbeat();
        server.open_sessions().await.len() == 1
    })
    .await;
    worker.expect_welcome().await;
    server.stop().await;
}

#[tokio::test]
async fn a_job_whose_session_ended_still_takes_its_outcome_while_nobody_else_has_it() {
    let hour = Duration::from_secs(3600);
    let server = Server::setup().with(|config| config.periods.leases = hour).start().await;
    let (worker, held) = running(&server).await;
    let_lapse(&server).await;
    held.succeed().await.expect("taken");
    assert_eq!(server.client().get(&held.id).await.state(), State::Succeeded);
    drop(worker);
    server.stop().await;
}

#[tokio::test]
async fn no_lease_is_judged_before_workers_could_be_heard_again() {
    let grace = Duration::from_secs(1);
    let mut server =
        Server::setup().with(|config| config.periods.lease_grace = grace).start().await;
    // After a start.
    let (worker, held) = running(&server).await;
    let_lapse(&server).await;
    drop(worker);
    server.halt().await;
    let began = Clock::monotonic();
    server.resume().await;
    lost(&server, &held.id).await;
    let took = Clock::monotonic().duration_since(began);
    assert!(took >= grace, "judged after {took:?}");

    // After an outage.
    let (job, _) = server.client().acquire_one("sync").await;
    assert_eq!(job.id, held.id);
    let sessions = server.store().sessions(server.now()).await.expect("sessions");
    server.faults.set(Weather::Failing);
    eventually(Duration::from_secs(10), "the watchdog meets the outage", || async {
        server.logged("lease_watchdog") > 0
    })
    .await;
    let unary = sessions.into_iter().filter(|session| session.unary && session.end.is_none());
    let lapse = unary.map(|session| SessionWrite::Shorten { id: session.id, keep: Duration::ZERO });
    server.change_sessions(lapse.collect()).await;
    let began = Clock::monotonic();
    server.faults.set(Weather::Fair);
    let client = server.client();
    client.until(&held.id, |job| job.status().attempt == 2 && job.state() == State::Pending).await;
    let took = Clock::monotonic().duration_since(began);
    assert!(took >= grace, "judged after {took:?}");
    server.stop().await;
}

#[tokio::test]
async fn no_lease_is_judged_while_nothing_can_be_written_and_for_a_grace_after_it() {
    let grace = Duration::from_secs(1);
    let server = Server::setup().with(|config| config.periods.lease_grace = grace).start().await;
    let (worker, held) = running(&server).await;
    server.faults.set(Weather::ReadOnly);
    let_lapse(&server).await;
    eventually(Duration::from_secs(10), "the watchdog meets the outage", || async {
        server.logged("lease_watchdog") > 0
    })
    .await;
    let began = Clock::monotonic();
    server.faults.set(Weather::Fair);
    lost(&server, &held.id).await;
    let took = Clock::monotonic().duration_since(began);
    assert!(took >= grace.mul_f64(0.5), "judged after {took:?}");
    drop(worker);
    server.stop().await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_at_once() {
    let server = Server::start().await;
    let worker = server.worker("w1").lease(10.0).slots(0).connect().await;
    let lease = || async {
        let sessions = server.store().sessions(server.now()).await.expect("sessions");
        sessions[0].expire_time
    };
    let before = lease().await;
    let renews = |batch: &jobplane::store::Batch| {
        batch.sessions.iter().any(|write| matches!(write, SessionWrite::Renew { .. }))
    };
    server.faults.plan(Fault::Refused, renews);
    worker.heartbeat();
    eventually(Duration::from_secs(10), "a renewal fails", || async { server.faults.happened() })
        .await;
    let began = Clock::monotonic();
    eventually(Duration::from_secs(10), "the next one is made", || async {
        lease().await > before
    })
    .await;
    let took = Clock::monotonic().duration_since(began);
    assert!(took < Duration::from_secs(2), "a third of the lease later: {took:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_comes_back_after_a_restart_keeps_its_jobs() {
    let mut server = Server::start().await;
    let (worker, held) = running(&server).await;
    held.clone().progress(60.0).await;
    server.restart().await;
    let job = server.client().get(&held.id).await;
    assert_eq!((job.state(), job.percent()), (State::Running, Some(60.0)));
    let again = server.worker("w1").same_process_as(&worker).has(&held.id, 1).connect().await;
    assert_eq!(again.welcome.adopted.len(), 1);
    let seq = again.update(&held.id, 1, Report::Succeeded(Succeeded::default()));
    again.settled(seq).await.expect("taken");
    assert_eq!(server.client().get(&held.id).await.status().attempt, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_report_renews_the_lease_of_a_single_call_and_only_that_of_its_job() {
    let server = Server::start().await;
    let client = server.client();
    for _ in 0..2 {
        client.create(spec("sync")).await;
    }
    let (silent, _) = client.acquire_one("sync").await;
    let (heard, lease_epoch) = client.acquire_one("sync").await;
    let sessions = server.store().sessions(server.now()).await.expect("sessions");
    let lapse = |keep| move |id| SessionWrite::Shorten { id, keep };
    let ids: Vec<_> = sessions.into_iter().map(|session| session.id).collect();
    assert_eq!(ids.len(), 2, "each assignment has a session of its own");
    server.change_sessions(ids.into_iter().map(lapse(Duration::from_secs(1))).collect()).await;
    let job_id = heard.id.clone();
    let report = v1::ReportJobRequest { job_id, lease_epoch, ..v1::ReportJobRequest::default() };
    client.report(report).await.expect("taken");
    client.until(&silent.id, |job| job.error_code() == "LEASE_LOST").await;
    assert_eq!(client.get(&heard.id).await.state(), State::Running);
    assert_eq!(client.complete(&silent.id, 1).await.reason(), "STALE_LEASE");
    client.complete(&heard.id, lease_epoch).await.expect("taken");
    server.stop().await;
}
