//! What the clock does to a job: timeout, expiry, and the rules that ask it to stop.

use super::fixture::*;
use crate::domain::machine::{Applied, Command, CommandKind, Refusal};
use crate::domain::status::{CancelCause, Outcome, StateKind};

fn timed(max_attempts: u32) -> Bench {
    let mut spec = spec();
    spec.timeout = Some(secs(60));
    spec.retry_policy.max_attempts = max_attempts;
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    bench
}

fn timed_out(max_attempts: u32) -> Bench {
    let mut bench = timed(max_attempts);
    bench.wait(secs(60)).run(Command::MeetDeadline);
    bench
}

fn expiring() -> Bench {
    let mut spec = spec();
    spec.expire_time = Some(START.plus(secs(60)));
    Bench::new(spec)
}

#[test]
fn an_attempt_that_runs_too_long_is_asked_to_stop() {
    let mut bench = timed(3);
    assert_eq!(bench.status.deadline(None), Some(START.plus(secs(60))));
    bench.wait(secs(59));
    bench.unchanged(Command::MeetDeadline);
    let bench = timed_out(3);
    assert_eq!(bench.kind(), StateKind::Running);
    let request = bench.status.cancel_request.unwrap();
    assert_eq!(request.cause, CancelCause::Timeout);
    assert_eq!(request.end_time(), START.plus(secs(90)));
}

#[test]
fn a_timeout_is_a_failed_attempt_with_back_off() {
    for end in [fail(1), confirm(1), release(1), Command::MeetDeadline] {
        let mut bench = timed_out(3);
        bench.wait(secs(30)).run(end);
        assert_eq!((bench.kind(), bench.error_code()), (StateKind::Pending, "TIMEOUT"));
        assert_eq!(bench.delay(), secs(5));
        assert_eq!((bench.status.attempt, bench.status.cancel_request.clone()), (1, None));
        let (_, outcome) = bench.status.execution.as_ref().unwrap().end.unwrap();
        assert_eq!(outcome, Outcome::TimedOut);
    }
}

#[test]
fn the_last_attempt_that_times_out_fails_the_job() {
    let mut bench = timed_out(1);
    bench.wait(secs(30)).run(Command::MeetDeadline);
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "TIMEOUT"));
    assert!(bench.status.cancel_request.is_some());
}

#[test]
fn a_worker_that_fails_when_timed_out_still_says_whether_to_try_again() {
    let mut bench = timed_out(3);
    bench.run(fail_for_good(1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "TIMEOUT"));
    let message = &bench.status.error.as_ref().unwrap().message;
    assert!(message.ends_with("the worker said: BAD_INPUT went wrong"), "{message}");

    let mut bench = timed_out(3);
    bench.run(Command::Fail {
        lease_epoch: 1,
        error: error("DISK_FULL"),
        retry_delay: Some(secs(7)),
        progress: None,
        usage: None,
    });
    assert_eq!(bench.delay(), secs(7));
}

#[test]
fn rules_fail_the_attempt_with_their_code() {
    for (cause, code) in
        [(CancelCause::Stuck, "STUCK"), (CancelCause::ResourceLimit, "RESOURCE_LIMIT")]
    {
        let mut bench = Bench::running();
        bench.run(request_stop(1, cause));
        bench.wait(secs(30)).run(Command::MeetDeadline);
        assert_eq!((bench.kind(), bench.error_code()), (StateKind::Pending, code));
    }
}

#[test]
fn a_new_attempt_has_its_timeout_anew() {
    let mut bench = timed_out(3);
    bench.run(fail(1));
    bench.start_when_due(2);
    assert_eq!(bench.status.deadline(None), Some(bench.now.plus(secs(60))));
}

#[test]
fn a_job_that_has_not_started_in_time_expires() {
    let mut bench = expiring();
    assert_eq!(bench.status.deadline(bench.spec.expire_time), bench.spec.expire_time);
    bench.wait(secs(59));
    bench.unchanged(Command::MeetDeadline);
    bench.wait(secs(1)).run(Command::MeetDeadline);
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "EXPIRED"));
    assert_eq!(bench.status.attempt, 0);
}

#[test]
fn an_expired_job_does_not_start_even_if_nobody_told_it_yet() {
    let mut bench = expiring();
    bench.wait(secs(60));
    let (state, command) = (StateKind::Pending, CommandKind::Start);
    assert_eq!(bench.try_run(start(1)), Err(Refusal::IllegalTransition { state, command }));
}

#[test]
fn a_job_that_has_started_does_not_expire() {
    let mut bench = expiring();
    bench.run(start(1));
    bench.wait(secs(59)).run(fail(1));
    assert_eq!(bench.status.deadline(bench.spec.expire_time), None);
    bench.wait(secs(60));
    bench.unchanged(Command::MeetDeadline);
    bench.run(start(2));
}

#[test]
fn a_job_that_was_only_given_back_expires_and_keeps_that_execution_in_its_history() {
    let mut bench = expiring();
    bench.run(start(1));
    bench.wait(secs(59)).run(undelivered(1, 1));
    let transition = bench.wait(secs(1)).run(Command::MeetDeadline);
    assert_eq!(bench.error_code(), "EXPIRED");
    let attempt = transition.superseded.unwrap();
    assert_eq!((attempt.lease_epoch, attempt.error), (1, None));
    assert_eq!(attempt.execution.end.unwrap().1, Outcome::Released);
    assert_eq!(bench.status.execution, None);
}

#[test]
fn an_expired_job_that_is_retried_runs() {
    let mut bench = expiring();
    bench.wait(secs(60)).run(Command::MeetDeadline);
    bench.wait(secs(60)).run(retry());
    assert_eq!(bench.status.deadline(bench.spec.expire_time), None);
    bench.unchanged(Command::MeetDeadline);
    bench.run(start(1));
    bench.wait(secs(60)).run(undelivered(1, 1));
    bench.unchanged(Command::MeetDeadline);
    bench.run(start(2));
}

#[test]
fn after_a_deadline_is_met_it_has_passed() {
    let mut timed = timed(1);
    for expected in [60, 90] {
        let deadline = timed.status.deadline(None).unwrap();
        assert_eq!(deadline, START.plus(secs(expected)));
        timed.now = deadline;
        assert!(matches!(timed.try_run(Command::MeetDeadline), Ok(Applied::Changed(_))));
        timed.run(Command::MeetDeadline);
    }
    assert_eq!(timed.status.deadline(None), None);
}
