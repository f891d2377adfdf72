//! Jobs found stuck: what happened since they were found spares them.

use super::fixture::*;
use crate::domain::job::OnStuck;
use crate::domain::machine::{Applied, Command, CommandKind, Effect, Refusal};
use crate::domain::progress::Progress;
use crate::domain::status::{CancelCause, Outcome, StateKind};
use crate::domain::typical::Slow;

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

fn watched(on_stuck: OnStuck) -> Bench {
    let mut spec = spec();
    (spec.stuck_after, spec.on_stuck) = (Some(secs(60)), on_stuck);
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    bench
}

fn active(bench: &mut Bench, seconds: u64) {
    let progress = bench.status.progress.clone();
    bench.status.progress = progress.active_at(START.plus(secs(seconds)));
}

fn look_time(bench: &Bench) -> Option<u64> {
    bench.status.deadline(None).map(|time| time.since(START).as_secs())
}

#[test]
fn its_own_bound_is_kept_near_its_time() {
    let mut bench = watched(OnStuck::Fail);
    assert_eq!(look_time(&bench), Some(60));
    // It was active at 40 s, so it can be stuck at 100 s at the earliest.
    active(&mut bench, 40);
    bench.wait(secs(60)).run(Command::MeetDeadline);
    assert_eq!((look_time(&bench), &bench.status.cancel_request), (Some(100), &None));
    bench.wait(secs(40));
    let effects = bench.run(Command::MeetDeadline).effects;
    let since = START.plus(secs(40));
    assert_eq!(effects.first(), Some(&Effect::FoundStuck { since, spare_active: true }));
    let request = bench.status.cancel_request.clone().unwrap();
    assert_eq!(
        (request.cause, request.reason.as_str()),
        (CancelCause::Stuck, "showed no activity for 60 s")
    );
    assert_eq!(look_time(&bench), Some(130));
}

#[test]
fn one_that_never_reported_is_not_stuck_and_is_looked_at_again() {
    let mut bench = watched(OnStuck::Fail);
    bench.wait(secs(1_000)).run(Command::MeetDeadline);
    assert_eq!((look_time(&bench), &bench.status.cancel_request), (Some(1_060), &None));
}

#[test]
fn one_that_is_to_notify_is_told_of_once_in_an_attempt() {
    let mut bench = watched(OnStuck::Notify);
    active(&mut bench, 1);
    bench.wait(secs(61)).run(Command::MeetDeadline);
    assert_eq!((look_time(&bench), bench.kind()), (None, StateKind::Running));
    active(&mut bench, 62);
    bench.wait(secs(600)).unchanged(Command::MeetDeadline);
    bench.unchanged(note_stuck(1, bench.status.revision));
    bench.run(fail(1));
    bench.start_when_due(2);
    assert!(look_time(&bench).is_some(), "another attempt is another matter");
}

#[test]
fn that_one_is_slow_is_told_once_in_an_attempt() {
    let mut bench = Bench::running();
    bench.wait(secs(30));
    let effects = bench.run(note_slow(1)).effects;
    let slow = Slow { run: secs(30), p95: secs(10) };
    assert_eq!(effects, [Effect::FoundSlow { slow }]);
    bench.unchanged(note_slow(1));
    let mut asked = Bench::running();
    asked.run(cancel(secs(30)));
    asked.unchanged(note_slow(1));
}
