//! Failing, trying again, and running again what is over.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::{AttemptOutcome, JobState as State};

use crate::harness::{JobFacts as _, Server, Told as _, percent, seconds, spec};

fn wait_of(job: &v1::Job) -> Duration {
    let micros = |time: &Option<prost_types::Timestamp>| {
        time.map_or(0, |time| time.seconds * 1_000_000 + i64::from(time.nanos / 1_000))
    };
    let status = job.status();
    let wait = micros(&status.schedule_time) - micros(&status.update_time);
    Duration::from_micros(u64::try_from(wait).unwrap_or(0))
}

fn with_delays(attempts: i32, delays: &[f64]) -> v1::JobSpec {
    let delays = delays.iter().filter_map(|delay| seconds(*delay)).collect();
    let policy = v1::RetryPolicy { max_attempts: attempts, delays, ..v1::RetryPolicy::default() };
    v1::JobSpec { retry_policy: Some(policy), ..spec("sync") }
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_after_the_delays_of_its_list() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(with_delays(4, &[0.0, 0.3])).await.id;
    let worker = server.worker("w1").connect().await;
    for (attempt, delay) in [(1, 0.0), (2, 0.3), (3, 0.3)] {
        let held = worker.expect_assignment().await;
        assert_eq!(held.job.status().attempt, attempt);
        let began = server.now();
        held.progress(f64::from(attempt)).await.fail(&format!("E{attempt}")).await.expect("taken");
        let next = client.until(&id, |job| job.status().attempt >= attempt).await;
        if next.state() == State::Pending {
            assert_eq!(next.error_code(), format!("E{attempt}"));
        }
        client.until(&id, |job| job.status().attempt > attempt).await;
        let waited = server.now().since(began);
        assert!(waited >= Duration::from_secs_f64(delay), "{waited:?} before {attempt} + 1");
    }
    worker.expect_assignment().await.fail("E4").await.expect("taken");
    let job = client.get(&id).await;
    assert_eq!((job.state(), job.error_code()), (State::Failed, "E4"));

    let attempts = client.attempts(&id).await;
    let codes: Vec<_> = attempts.iter().map(|a| a.error.as_ref().map_or("", |e| &e.code)).collect();
    assert_eq!(codes, ["E1", "E2", "E3", "E4"]);
    assert!(attempts.iter().all(|attempt| attempt.outcome() == AttemptOutcome::Failed));
    assert_eq!(attempts[1].progress.as_ref().and_then(|progress| progress.percent), Some(2.0));
    assert_eq!(
        attempts.iter().map(|attempt| attempt.lease_epoch).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    server.stop().await;
}

#[tokio::test]
async fn an_error_that_may_not_be_retried_fails_the_job_at_once() {
    let server = Server::start().await;
    let id = server.client().create(spec("sync")).await.id;
    let held = server.worker("w1").connect().await.expect_assignment().await;
    let error = v1::JobError { non_retryable: true, ..v1::JobError::default() };
    held.fail_with(error, None).await.expect("taken");
    let job = server.client().get(&id).await;
    assert_eq!((job.state(), job.status().attempt), (State::Failed, 1));
    server.stop().await;
}

#[tokio::test]
async fn a_worker_may_choose_the_wait_before_the_next_attempt() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let (_, lease_epoch) = client.acquire_one("sync").await;
    let retry_delay = seconds(120.0);
    let failed =
        v1::FailJobRequest { job_id: id.clone(), lease_epoch, retry_delay, ..Default::default() };
    let job = client.fail_with(failed).await.expect("taken");
    assert_eq!((job.state(), wait_of(&job)), (State::Pending, Duration::from_secs(120)));

    // RetryJob skips the rest of the wait.
    let now = client.retry(&id, false).await.expect("now instead of later");
    assert_eq!((now.state(), wait_of(&now)), (State::Pending, Duration::ZERO));
    let (again, _) = client.acquire_one("sync").await;
    assert_eq!(again.status().attempt, 2);
    server.stop().await;
}

#[tokio::test]
async fn the_back_off_grows_within_its_jitter() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    for (attempt, expected) in [(1, 5.0), (2, 10.0)] {
        let (_, epoch) = client.acquire_one("sync").await;
        let job = client.fail(&id, epoch, "E").await.expect("taken");
        let wait = wait_of(&job).as_secs_f64();
        assert!((expected * 0.9..=expected * 1.1).contains(&wait), "{attempt}: {wait}");
        client.retry(&id, false).await.expect("now");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_retry_runs_again_what_is_over_and_keeps_it_as_an_attempt() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(with_delays(1, &[])).await.id;
    let worker = server.worker("w1").connect().await;
    worker.expect_assignment().await.progress(50.0).await.fail("E").await.expect("taken");
    assert_eq!(client.get(&id).await.state(), State::Failed);

    let watcher = {
        let job = client.retry(&id, false).await.expect("retried");
        assert_eq!((job.state(), job.error_code()), (State::Pending, ""));
        assert_eq!((job.status().attempt, job.status().max_attempts), (1, 2));
        assert!(job.status().end_time.is_none() && job.percent().is_none());
        server.watch(&id).await
    };
    let held = worker.expect_assignment().await;
    assert_eq!((held.epoch, held.job.status().attempt), (2, 2));
    held.succeed().await.expect("taken");
    watcher.end().await.1.expect("ends well");

    assert_eq!(client.retry(&id, false).await.reason(), "ILLEGAL_TRANSITION", "not without force");
    client.retry(&id, true).await.expect("with force");
    let held = worker.expect_assignment().await;
    client.cancel(&id, None).await.expect("asked");
    held.cancelled().await.expect("taken");
    assert_eq!(client.get(&id).await.state(), State::Cancelled);
    client.retry(&id, false).await.expect("retried");
    worker.expect_assignment().await.succeed().await.expect("taken");

    let outcomes: Vec<_> = client.attempts(&id).await.iter().map(v1::Attempt::outcome).collect();
    let wanted = [
        AttemptOutcome::Failed,
        AttemptOutcome::Succeeded,
        AttemptOutcome::Cancelled,
        AttemptOutcome::Succeeded,
    ];
    assert_eq!(outcomes, wanted);
    server.stop().await;
}

#[tokio::test]
async fn a_released_execution_uses_no_attempt() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let worker = server.worker("w1").connect().await;
    for round in 1..=3 {
        let held = worker.expect_assignment().await;
        assert_eq!((held.job.status().attempt, held.epoch), (1, round));
        held.release(0.0).await.expect("taken");
    }
    let held = worker.expect_assignment().await;
    held.release(120.0).await.expect("taken");
    let job = client.get(&id).await;
    assert_eq!((job.state(), job.status().attempt), (State::Pending, 0));
    assert_eq!(wait_of(&job), Duration::from_secs(120));
    let attempts = client.attempts(&id).await;
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().all(|attempt| attempt.outcome() == AttemptOutcome::Released));
    server.stop().await;
}

#[tokio::test]
async fn an_outcome_carries_the_last_progress() {
    let server = Server::start().await;
    let client = server.client();
    let id = client.create(spec("sync")).await.id;
    let (_, lease_epoch) = client.acquire_one("sync").await;
    let progress = Some(percent(77.0));
    let request =
        v1::CompleteJobRequest { job_id: id.clone(), lease_epoch, progress, ..Default::default() };
    client.workers.clone().complete_job(request).await.expect("taken");
    assert_eq!(client.get(&id).await.percent(), Some(77.0));
    server.stop().await;
}
