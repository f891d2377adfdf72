//! Jobs found stuck: what happened since they were found spares them.

use super::fixture::*;
use crate::domain::machine::{Applied, Command, CommandKind, Refusal};
use crate::domain::progress::Progress;
use crate::domain::status::{CancelCause, Outcome, StateKind};

fn last_attempt() -> Bench {
    let mut spec = spec();
    spec.retry_policy.max_attempts = 1;
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    bench
}

#[test]
fn a_stuck_job_is_asked_to_stop_and_fails_as_stuck() {
    for end in [fail(1), confirm(1), release(1), Command::MeetDeadline] {
        let mut bench = last_attempt();
        bench.run(stop_stuck(1, bench.status.revision));
        let request = bench.status.cancel_request.clone().unwrap();
        assert_eq!((request.cause, request.grace), (CancelCause::Stuck, secs(30)));
        bench.wait(secs(30)).run(end);
        assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "STUCK"));
        let (_, outcome) = bench.status.execution.as_ref().unwrap().end.unwrap();
        assert_eq!(outcome, Outcome::Failed);
    }
}

#[test]
fn a_stuck_job_with_attempts_left_runs_again() {
    let mut bench = Bench::running();
    bench.run(stop_stuck(1, bench.status.revision));
    bench.run(confirm(1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Pending, "STUCK"));
}

#[test]
fn a_job_that_moves_after_it_was_found_is_left_alone() {
    let mut bench = last_attempt();
    let found = |since| Command::StopStuck {
        lease_epoch: 1,
        revision: 2,
        since,
        spare_active: true,
        reason: String::new(),
        requested_by: String::new(),
        grace: secs(30),
    };
    bench.status.progress = Progress::default().active_at(START.plus(secs(5)));
    bench.wait(secs(60));
    bench.unchanged(found(START.plus(secs(4))));
    assert!(matches!(bench.try_run(found(START.plus(secs(5)))), Ok(Applied::Changed(_))));
}

#[test]
fn a_job_that_changed_after_it_was_found_is_left_alone() {
    let mut bench = Bench::running();
    let found = stop_stuck(1, bench.status.revision);
    bench.run(adopt(1, 2));
    bench.unchanged(found.clone());
    bench.run(succeed(1));
    assert!(matches!(bench.try_run(found), Err(Refusal::StaleLease { .. })));
}

#[test]
fn a_job_that_was_asked_to_stop_is_not_asked_again() {
    let mut bench = Bench::running();
    bench.run(cancel(secs(30)));
    bench.unchanged(stop_stuck(1, bench.status.revision));
}

#[test]
fn a_sweep_ends_a_job_that_waits() {
    let mut bench = Bench::standing(StateKind::Pending);
    bench.wait(secs(7_200)).run(expire(1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "EXPIRED"));
    assert_eq!(bench.status.end_time, Some(bench.now));
}

#[test]
fn a_sweep_keeps_what_was_tried_before_in_the_history() {
    let mut bench = Bench::running();
    bench.run(fail(1));
    bench.wait(secs(7_200));
    let transition = bench.run(expire(bench.status.revision));
    assert_eq!(transition.superseded.unwrap().error.unwrap().code, "DISK_FULL");
    assert_eq!(bench.status.execution, None);
}

#[test]
fn a_sweep_spares_what_changed_and_what_runs() {
    let mut bench = Bench::standing(StateKind::Pending);
    bench.unchanged(expire(0));
    bench.run(start(1));
    let refused = bench.try_run(expire(bench.status.revision)).unwrap_err();
    let command = CommandKind::Expire;
    assert_eq!(refused, Refusal::IllegalTransition { state: StateKind::Running, command });
}
