//! A running job that is asked to stop.

use std::time::Duration;

use super::fixture::*;
use crate::domain::machine::{Applied, Command, Effect, Refusal, Transition};
use crate::domain::status::{CancelCause, Outcome, StateKind};

fn asked(grace: u64) -> Bench {
    let mut bench = Bench::running();
    bench.run(cancel(secs(grace)));
    bench
}

fn is_revoked(transition: &Transition) -> bool {
    transition.effects.iter().any(|effect| matches!(effect, Effect::Revoked { .. }))
}

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let mut bench = Bench::standing(StateKind::Pending);
    bench.run(cancel(secs(30)));
    assert_eq!(bench.kind(), StateKind::Cancelled);
    assert_eq!(bench.status.cancel_request.as_ref().unwrap().requested_by, "ann");
    assert_eq!((bench.status.end_time, bench.status.attempt), (Some(bench.now), 0));
    bench.unchanged(cancel(secs(30)));
}

#[test]
fn a_finished_job_refuses_a_cancel_with_its_state() {
    for state in [StateKind::Succeeded, StateKind::Failed, StateKind::Skipped] {
        let refused = Bench::standing(state).try_run(cancel(secs(30))).unwrap_err();
        let Refusal::IllegalTransition { state: told, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(told, state);
    }
}

#[test]
fn a_running_job_is_asked_and_given_time() {
    let mut bench = Bench::running();
    let transition = bench.run(cancel(secs(30)));
    assert_eq!(bench.kind(), StateKind::Running);
    let request = bench.status.cancel_request.clone().unwrap();
    assert_eq!((request.cause, request.end_time()), (CancelCause::Caller, START.plus(secs(30))));
    assert_eq!(transition.effects, [Effect::AskToStop { session: session(1), request }]);
    assert_eq!(bench.status.deadline(None), Some(START.plus(secs(30))));
    bench.unchanged(Command::MeetDeadline);
}

#[test]
fn when_the_grace_is_over_the_server_ends_it() {
    let mut bench = asked(30);
    let transition = bench.wait(secs(30)).run(Command::MeetDeadline);
    assert_eq!(bench.kind(), StateKind::Cancelled);
    assert!(is_revoked(&transition));
    let execution = bench.status.execution.as_ref().unwrap();
    assert_eq!(execution.end, Some((bench.now, Outcome::Cancelled)));
    assert!(matches!(bench.try_run(succeed(1)), Err(Refusal::StaleLease { .. })));
}

#[test]
fn without_grace_it_ends_at_once() {
    let mut bench = Bench::running();
    let transition = bench.run(cancel(Duration::ZERO));
    assert_eq!(bench.kind(), StateKind::Cancelled);
    assert!(is_revoked(&transition));
}

#[test]
fn a_second_cancel_may_only_shorten_the_grace() {
    let mut bench = asked(30);
    bench.wait(secs(10));
    bench.unchanged(cancel(secs(20)));
    bench.unchanged(cancel(secs(3_600)));
    let shorter = Command::Cancel {
        reason: "hurry".to_owned(),
        requested_by: "bob".to_owned(),
        grace: secs(5),
    };
    bench.run(shorter);
    let request = bench.status.cancel_request.clone().unwrap();
    assert_eq!(request.end_time(), START.plus(secs(15)));
    assert_eq!((request.time, request.requested_by.as_str()), (START, "ann"));
    bench.run(cancel(Duration::ZERO));
    let request = bench.status.cancel_request.unwrap();
    assert_eq!((request.time, request.end_time()), (START, START.plus(secs(10))));
    assert_eq!(bench.status.state.kind(), StateKind::Cancelled);
}

#[test]
fn a_caller_replaces_any_other_cause_and_shortens_only() {
    for cause in [CancelCause::Timeout, CancelCause::Stuck, CancelCause::Overlap] {
        let mut bench = Bench::running();
        bench.run(request_stop(1, cause));
        bench.wait(secs(10)).run(cancel(secs(3_600)));
        let request = bench.status.cancel_request.clone().unwrap();
        assert_eq!(request.cause, CancelCause::Caller);
        assert_eq!(request.end_time(), START.plus(secs(30)));
        bench.run(confirm(1));
        assert_eq!(bench.kind(), StateKind::Cancelled);
    }
}

#[test]
fn a_rule_does_not_replace_a_cause_that_stands() {
    let bench = asked(30);
    bench.unchanged(request_stop(1, CancelCause::Stuck));
    bench.unchanged(request_stop(1, CancelCause::Overlap));
}

#[test]
fn an_overlap_replaces_a_cause_that_would_let_the_job_come_back() {
    for cause in [CancelCause::Timeout, CancelCause::Stuck, CancelCause::ResourceLimit] {
        let mut bench = Bench::running();
        bench.run(request_stop(1, cause));
        let transition = bench.wait(secs(10)).run(request_stop(1, CancelCause::Overlap));
        let request = bench.status.cancel_request.clone().unwrap();
        assert_eq!((request.cause, request.time), (CancelCause::Overlap, bench.now));
        assert_eq!(request.end_time(), START.plus(secs(30)), "it has no more time than before");
        assert_eq!(transition.effects, [Effect::AskToStop { session: session(1), request }]);
        bench.unchanged(request_stop(1, cause));
        bench.unchanged(request_stop(1, CancelCause::Overlap));
        bench.run(fail(1));
        assert_eq!(bench.kind(), StateKind::Cancelled, "{cause:?}");
    }
}

#[test]
fn what_ends_a_cancelled_execution_is_kept_as_its_error() {
    for (end, code, outcome) in [
        (fail(1), "DISK_FULL", Outcome::Cancelled),
        (release(1), "", Outcome::Cancelled),
        (undelivered(1, 1), "", Outcome::Cancelled),
        (confirm(1), "", Outcome::Cancelled),
        (lose_lease(1, 1), "LEASE_LOST", Outcome::Cancelled),
    ] {
        let mut bench = asked(30);
        bench.run(end);
        assert_eq!((bench.kind(), bench.error_code()), (StateKind::Cancelled, code));
        assert_eq!(bench.status.execution.as_ref().unwrap().end.unwrap().1, outcome);
        assert!(bench.status.cancel_request.is_some());
        assert_eq!(bench.status.end_time, Some(bench.now));
    }
}

#[test]
fn an_overlap_ends_cancelled_too() {
    let mut bench = Bench::running();
    bench.run(request_stop(1, CancelCause::Overlap));
    bench.run(fail(1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Cancelled, "DISK_FULL"));
}

#[test]
fn work_that_is_done_is_done_whatever_was_asked() {
    let mut bench = asked(30);
    bench.run(succeed(1));
    assert_eq!(bench.kind(), StateKind::Succeeded);
    assert!(bench.status.cancel_request.is_some());
}

#[test]
fn cancel_and_completion_race_and_one_of_them_wins() {
    let mut done = Bench::standing(StateKind::Succeeded);
    done.wait(secs(1));
    assert!(done.try_run(cancel(Duration::ZERO)).is_err());
    let mut gone = Bench::running();
    gone.run(cancel(Duration::ZERO));
    let lost = Refusal::StaleLease { held: 1, presented: 1, state: StateKind::Cancelled };
    assert_eq!(gone.try_run(succeed(1)), Err(lost));
}

#[test]
fn a_worker_that_does_not_have_the_job_is_told_so_even_while_it_is_asked_to_stop() {
    let mut bench = asked(30);
    assert!(is_revoked(&bench.run(undelivered(1, 1))));
    let mut bench = asked(30);
    assert!(!is_revoked(&bench.run(release(1))));
}

#[test]
fn adoption_keeps_the_wish_to_stop() {
    let mut bench = asked(30);
    bench.run(adopt(1, 2));
    assert!(bench.status.cancel_request.is_some());
    let Ok(Applied::Changed(transition)) = bench.try_run(cancel(secs(1))) else {
        panic!("the grace is shortened");
    };
    assert!(
        matches!(transition.effects[0], Effect::AskToStop { session: to, .. } if to == session(2))
    );
}
