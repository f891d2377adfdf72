//! Stopping jobs: by callers, by timeouts, by the end of their time to start.

use std::time::{Duration, SystemTime};

use futures_util::future::join;
use jobplane::proto::v1;
use jobplane::proto::v1::{CancelCause, JobState as State};

use crate::harness::{Held, JobFacts as _, Server, Told as _, Watcher, seconds, spec};

fn length(duration: Option<prost_types::Duration>) -> Duration {
    duration.and_then(|duration| duration.try_into().ok()).expect("a length of time")
}

async fn running(server: &Server, spec: v1::JobSpec) -> Held {
    let id = server.client().create(spec).await.id;
    let held = server.worker("w1").connect().await.expect_assignment().await;
    assert_eq!(held.id, id);
    held
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let watcher = server.watch(&id).await;
    let job = client.cancel(&id, None).await.expect("cancelled");
    assert_eq!((job.state(), job.status().attempt), (State::Cancelled, 0));
    let cancel = job.status().cancel_request.as_ref().expect("who asked is on record");
    assert_eq!((cancel.cause(), cancel.reason.as_str()), (CancelCause::Caller, "enough"));
    watcher.end().await.1.expect("ends well");
    let again = client.cancel(&id, None).await.expect("cancelled already");
    assert_eq!(again.status().revision, job.status().revision);
    server.stop().await;
}

#[tokio::test]
async fn the_worker_of_a_running_job_is_asked_to_stop() {
    let server = Server::start().await;
    let held = running(&server, spec("sync")).await;
    let watcher = server.watch(&held.id).await;
    let job = server.client().cancel(&held.id, Some(20.0)).await.expect("asked");
    assert_eq!(job.state(), State::Running);
    let asked = held.worker.expect_cancel().await;
    assert_eq!((asked.job_id.as_str(), asked.lease_epoch), (held.id.as_str(), held.epoch));
    assert_eq!((asked.cause(), asked.reason.as_str()), (CancelCause::Caller, "enough"));
    let grace = length(asked.grace);
    assert!(grace <= Duration::from_secs(20) && grace > Duration::from_secs(10), "{grace:?}");
    watcher.until_status("the wish", |status| status.cancel_request.is_some()).await;

    held.cancelled().await.expect("taken");
    let (seen, end) = watcher.end().await;
    end.expect("ends well");
    assert_eq!(Watcher::states(&seen), [State::Running, State::Cancelled]);
    server.stop().await;
}

#[tokio::test]
async fn a_script_confirms_a_cancel_by_failing_and_its_error_is_kept() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let (_, lease_epoch) = client.acquire_one("sync").await;
    client.cancel(&id, None).await.expect("asked");
    let report = v1::ReportJobRequest { job_id: id.clone(), lease_epoch, ..Default::default() };
    let told = client.report(report).await.expect("taken").cancel_request.expect("the wish");
    assert!(length(told.grace) > Duration::from_secs(20));
    let job = client.fail(&id, lease_epoch, "STOPPED").await.expect("taken");
    assert_eq!((job.state(), job.error_code()), (State::Cancelled, "STOPPED"));
    server.stop().await;
}

#[tokio::test]
async fn work_that_is_done_succeeds_although_a_cancel_was_asked() {
    let server = Server::start().await;
    let held = running(&server, spec("sync")).await;
    server.client().cancel(&held.id, None).await.expect("asked");
    held.succeed().await.expect("taken");
    assert_eq!(server.client().get(&held.id).await.state(), State::Succeeded);
    server.stop().await;
}

#[tokio::test]
async fn a_second_cancel_only_shortens_the_grace_and_its_end_revokes_the_job() {
    let server = Server::start().await;
    let client = server.client();
    let held = running(&server, spec("sync")).await;
    client.cancel(&held.id, Some(30.0)).await.expect("asked");
    let longer = client.cancel(&held.id, Some(300.0)).await.expect("asked");
    assert_eq!(length(longer.status().cancel_request.as_ref().and_then(|c| c.grace)).as_secs(), 30);
    assert!(length(held.worker.expect_cancel().await.grace) > Duration::from_secs(20));

    client.cancel(&held.id, Some(0.5)).await.expect("asked");
    assert!(length(held.worker.expect_cancel().await.grace) <= Duration::from_millis(500));
    let revoke = held.worker.expect_revoke().await;
    assert_eq!((revoke.job_id.as_str(), revoke.lease_epoch), (held.id.as_str(), held.epoch));
    assert_eq!(client.get(&held.id).await.state(), State::Cancelled);
    let late = held.succeed().await.expect_err("too late");
    assert_eq!((late.reason.as_str(), late.fact("state")), ("STALE_LEASE", "CANCELLED"));
    // The slot is free again.
    let next = client.create(spec("sync")).await.id;
    assert_eq!(held.worker.expect_assignment().await.id, next);
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_without_grace_ends_a_running_job_at_once() {
    let server = Server::start().await;
    let held = running(&server, spec("sync")).await;
    let job = server.client().cancel(&held.id, Some(0.0)).await.expect("cancelled");
    assert_eq!(job.state(), State::Cancelled);
    assert_eq!(held.worker.expect_revoke().await.job_id, held.id);
    server.stop().await;
}

#[tokio::test]
async fn cancel_and_complete_race_and_both_sides_hear_who_won() {
    let server = Server::start().await;
    let client = server.client();
    for _ in 0..100 {
        let id = client.create(spec("sync")).await.id;
        let (_, epoch) = client.acquire_one("sync").await;
        let watcher = server.watch(&id).await;
        let (cancelled, completed) =
            join(client.cancel(&id, Some(0.0)), client.complete(&id, epoch)).await;
        let state = client.get(&id).await.state();
        match state {
            State::Succeeded => {
                completed.expect("the winner is told");
                let loser = cancelled.refusal();
                assert_eq!(loser.reason, "ILLEGAL_TRANSITION");
                assert_eq!(loser.fact("state"), "SUCCEEDED");
            }
            State::Cancelled => {
                cancelled.expect("the winner is told");
                let loser = completed.refusal();
                assert_eq!(loser.reason, "STALE_LEASE");
                assert_eq!(loser.fact("state"), "CANCELLED");
            }
            other => panic!("nobody won: {other:?}"),
        }
        let (seen, end) = watcher.end().await;
        end.expect("ends well");
        assert_eq!(Watcher::states(&seen).last(), Some(&state));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_over_otherwise_is_not_cancelled() {
    let server = Server::start().await;
    let client = server.client();
    let held = running(&server, spec("sync")).await;
    held.succeed().await.expect("taken");
    let refused = client.cancel(&held.id, None).await.refusal();
    assert_eq!(refused.reason, "ILLEGAL_TRANSITION");
    assert_eq!(refused.fact("state"), "SUCCEEDED");
    let refused = client.delete(&client.create(spec("sync")).await.id).await.refusal();
    assert_eq!(refused.reason, "ILLEGAL_TRANSITION", "a live job is not deleted");
    server.stop().await;
}

#[tokio::test]
async fn an_attempt_past_its_timeout_is_asked_to_stop_and_tried_again() {
    let server = Server::start().await;
    let delays = vec![seconds(0.0).expect("a delay")];
    let policy = v1::RetryPolicy { max_attempts: 2, delays, ..v1::RetryPolicy::default() };
    let job = v1::JobSpec { timeout: seconds(1.0), retry_policy: Some(policy), ..spec("sync") };
    let held = running(&server, job).await;
    let asked = held.worker.expect_cancel().await;
    assert_eq!(asked.cause(), CancelCause::Timeout);
    held.cancelled().await.expect("taken");

    let again = held.worker.expect_assignment().await;
    assert_eq!((again.job.status().attempt, again.epoch), (2, 2));
    assert!(again.job.status().cancel_request.is_none());
    assert_eq!(again.worker.expect_cancel().await.cause(), CancelCause::Timeout);
    again.fail("GAVE_UP").await.expect("taken");
    let job = server.client().get(&held.id).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "TIMEOUT"));
    let attempts = server.client().attempts(&held.id).await;
    assert!(attempts.iter().all(|a| a.outcome() == v1::AttemptOutcome::TimedOut), "{attempts:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_does_not_start_in_time_expires() {
    let server = Server::start().await;
    let now = server.now();
    let at = |after: u64| {
        let micros = now.plus(Duration::from_secs(after)).as_micros();
        let micros = u64::try_from(micros).expect("after 1970");
        prost_types::Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
    };
    let job = v1::JobSpec { expire_time: Some(at(2)), ..spec("sync") };
    let id = server.client().create(job).await.id;
    let (seen, end) = server.watch(&id).await.end().await;
    end.expect("ends well");
    assert_eq!(Watcher::states(&seen), [State::Pending, State::Failed]);
    assert_eq!(server.client().get(&id).await.error_code(), "EXPIRED");
    server.stop().await;
}
