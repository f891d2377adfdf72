//! Failures, lost leases, releases, and the decision to run a job again.

use std::time::Duration;

use super::fixture::*;
use crate::domain::limits::RELEASES_IN_ROW_MAX;
use crate::domain::machine::{Command, Effect, Now, ReleaseReason, apply};
use crate::domain::progress::Progress;
use crate::domain::status::{CancelCause, Outcome, State, StateKind};

#[test]
fn a_failed_attempt_waits_for_its_back_off_and_the_last_one_fails_the_job() {
    let mut bench = Bench::running();
    let transition = bench.run(fail(1));
    assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, secs(5)));
    let at = bench.status.schedule_time;
    let scheduled = Effect::RetryScheduled { delay: secs(5) };
    let closed = Effect::Closed { session: session(1) };
    assert_eq!(transition.effects, [closed, scheduled, Effect::Ready { at }]);
    assert_eq!(transition.superseded, None);

    let attempt = bench.start_when_due(2).superseded.unwrap();
    assert_eq!((attempt.lease_epoch, attempt.execution.number), (1, 1));
    assert_eq!(attempt.error.unwrap().code, "DISK_FULL");
    assert_eq!(attempt.execution.end.unwrap().1, Outcome::Failed);
    assert_eq!(bench.status.error, None);

    bench.run(fail(2));
    assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, secs(10)));
    bench.start_when_due(3);
    bench.run(fail(3));
    assert_eq!((bench.kind(), bench.status.attempt), (StateKind::Failed, 3));
    assert_eq!(bench.status.end_time, Some(bench.now));
}

#[test]
fn chance_spreads_the_back_off() {
    let bench = Bench::running();
    let now = Now { time: bench.now, chance: -1.0 };
    let applied = apply(&bench.spec, &bench.status, fail(1), now).unwrap();
    let crate::domain::machine::Applied::Changed(transition) = applied else {
        panic!("it changes");
    };
    assert_eq!(transition.status.schedule_time.since(bench.now), Duration::from_millis(4_500));
}

#[test]
fn an_error_that_would_come_again_fails_the_job_at_once() {
    let mut bench = Bench::running();
    bench.run(fail_for_good(1));
    assert_eq!((bench.kind(), bench.status.attempt), (StateKind::Failed, 1));
}

#[test]
fn the_worker_may_choose_the_wait() {
    let mut bench = Bench::running();
    bench.run(Command::Fail {
        lease_epoch: 1,
        error: error("BUSY"),
        retry_delay: Some(secs(120)),
        progress: None,
        usage: None,
    });
    assert_eq!(bench.delay(), secs(120));
}

#[test]
fn the_first_lost_lease_costs_no_back_off_and_the_second_one_does() {
    let mut bench = Bench::running();
    let transition = bench.run(lose_lease(1, 1));
    assert!(transition.effects.contains(&Effect::LeaseLost));
    assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, Duration::ZERO));
    assert_eq!((bench.error_code(), bench.status.attempt), ("LEASE_LOST", 1));
    bench.run(start(2));
    bench.run(lose_lease(2, 2));
    assert_eq!(bench.delay(), secs(10));
    bench.start_when_due(3);
    bench.run(lose_lease(3, 3));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "LEASE_LOST"));
}

#[test]
fn a_lease_lost_while_a_rule_asked_to_stop_is_a_lost_lease_that_says_so() {
    let mut bench = Bench::running();
    bench.run(request_stop(1, CancelCause::Stuck));
    bench.run(lose_lease(1, 1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Pending, "LEASE_LOST"));
    assert!(bench.status.error.as_ref().unwrap().message.ends_with("before: a rule"));
    assert_eq!(bench.status.cancel_request, None);
}

#[test]
fn a_release_gives_the_attempt_back() {
    let mut bench = Bench::running();
    let reason = ReleaseReason::Worker { reason: "snooze".to_owned() };
    bench.run(Command::Release { lease_epoch: 1, delay: secs(60), reason });
    assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, secs(60)));
    assert_eq!((bench.status.attempt, bench.status.lease_epoch), (0, 1));
    assert_eq!(bench.status.error, None);
    let attempt = bench.start_when_due(2).superseded.unwrap();
    assert_eq!(attempt.execution.end.unwrap().1, Outcome::Released);
    assert_eq!((bench.status.attempt, bench.status.lease_epoch), (1, 2));
}

#[test]
fn the_101st_release_in_a_row_is_a_failed_attempt() {
    let mut bench = Bench::new(spec());
    for epoch in 1..=i64::from(RELEASES_IN_ROW_MAX) {
        bench.run(start(1));
        bench.run(release(epoch));
        assert_eq!((bench.status.attempt, bench.error_code()), (0, ""));
    }
    bench.run(start(1));
    bench.run(release(101));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Pending, "RELEASED_TOO_OFTEN"));
    assert_eq!((bench.status.attempt, bench.status.releases), (1, 0));
    assert_eq!(bench.delay(), secs(5));
    bench.unchanged(release(101));
}

#[test]
fn releases_that_are_not_in_a_row_do_not_add_up() {
    let mut bench = Bench::running();
    bench.run(release(1));
    bench.run(start(1));
    bench.run(fail(2));
    assert_eq!(bench.status.releases, 0);
}

#[test]
fn a_retry_skips_the_rest_of_a_wait() {
    let mut bench = Bench::running();
    bench.run(fail(1));
    let transition = bench.wait(secs(1)).run(retry());
    assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, Duration::ZERO));
    assert_eq!(transition.effects, [Effect::Ready { at: bench.now }]);
    assert_eq!((bench.status.attempt, bench.error_code()), (1, "DISK_FULL"));
    bench.wait(secs(1)).unchanged(retry());
}

#[test]
fn a_retry_does_not_send_a_waiting_job_to_the_end_of_the_line() {
    let mut bench = Bench::new(spec());
    bench.wait(secs(60));
    bench.unchanged(retry());
    let past = Some(START.plus(secs(30)));
    bench.unchanged(Command::Retry { schedule_time: past, force: false });
    let later = bench.now.plus(secs(30));
    bench.run(Command::Retry { schedule_time: Some(later), force: false });
    assert_eq!(bench.status.schedule_time, later);
    bench.unchanged(Command::Retry { schedule_time: Some(later), force: false });
}

#[test]
fn a_running_job_is_not_retried() {
    assert!(Bench::running().try_run(force_retry()).is_err());
}

#[test]
fn a_job_that_is_over_is_retried_with_a_clean_sheet_and_a_row_of_history() {
    for state in [StateKind::Failed, StateKind::Cancelled, StateKind::Succeeded] {
        let mut bench = Bench::standing(state);
        bench.status.progress =
            Progress { completed: 7, report_time: Some(START), ..Progress::default() };
        let before = bench.status.clone();
        let transition = bench.wait(secs(9)).run(force_retry());
        let status = &bench.status;
        assert_eq!(status.state, State::Pending { ready_key: bench.now });
        assert_eq!((status.schedule_time, status.end_time), (bench.now, None));
        assert_eq!((&status.result, &status.error), (&None, &None));
        assert_eq!((&status.cancel_request, &status.execution), (&None, &None));
        assert_eq!(status.progress, Progress { base: 7, ..Progress::default() });
        assert_eq!((status.attempt, status.lease_epoch), (1, 1));
        assert_eq!(transition.effects, [Effect::Ready { at: bench.now }]);
        let attempt = transition.superseded.unwrap();
        assert_eq!(Some(&attempt), before.last_attempt().as_ref());
        assert_eq!((attempt.progress.completed, attempt.error), (7, before.error));
        bench.run(start(2));
        assert_eq!((bench.status.attempt, bench.status.lease_epoch), (2, 2));
    }
}

#[test]
fn a_job_that_never_ran_is_retried_without_a_row_of_history() {
    let mut bench = Bench::standing(StateKind::Skipped);
    assert_eq!(bench.run(retry()).superseded, None);
    assert_eq!((bench.status.attempt, bench.status.max_attempts), (0, 3));
}

#[test]
fn a_succeeded_job_is_retried_only_by_force() {
    let mut bench = Bench::standing(StateKind::Succeeded);
    assert!(bench.try_run(retry()).is_err());
    bench.run(force_retry());
    assert_eq!(bench.status.result, None);
}

#[test]
fn a_retry_makes_room_for_one_more_attempt() {
    let mut spec = spec();
    spec.retry_policy.max_attempts = 1;
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    bench.run(fail(1));
    bench.run(retry());
    assert_eq!((bench.status.attempt, bench.status.max_attempts), (1, 2));
    bench.run(start(2));
    bench.run(fail(2));
    assert_eq!((bench.kind(), bench.status.attempt), (StateKind::Failed, 2));

    let mut bench = Bench::standing(StateKind::Failed);
    bench.run(retry());
    assert_eq!(bench.status.max_attempts, 3);
}

#[test]
fn a_retry_may_be_for_later_and_is_never_for_the_past() {
    let mut bench = Bench::standing(StateKind::Failed);
    let later = bench.now.plus(secs(60));
    bench.clone().run(Command::Retry { schedule_time: Some(later), force: false });
    bench.wait(secs(9));
    let now = bench.now;
    bench.run(Command::Retry { schedule_time: Some(START), force: false });
    assert_eq!(bench.status.schedule_time, now);
}

fn ruled(json: &str) -> Bench {
    let mut spec = spec();
    spec.retry_rules = serde_json::from_str(json).unwrap();
    spec.limits.memory_bytes = 1_000;
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    bench
}

#[test]
fn a_rule_may_say_that_another_attempt_makes_no_sense() {
    let mut bench = ruled(r#"[{"codes": ["DISK_*"], "retry": false}]"#);
    bench.run(fail(1));
    assert_eq!((bench.kind(), bench.status.attempt), (StateKind::Failed, 1));
    let mut bench = ruled(r#"[{"codes": ["NET_*"], "retry": false}]"#);
    bench.run(fail(1));
    assert_eq!(bench.kind(), StateKind::Pending);
}

#[test]
fn a_worker_that_says_it_would_not_help_is_believed_whatever_a_rule_says() {
    let mut bench = ruled(r#"[{"codes": ["*"], "retry": true}]"#);
    bench.run(fail_for_good(1));
    assert_eq!(bench.kind(), StateKind::Failed);
}

#[test]
fn a_rule_goes_before_the_policy_and_the_worker_before_the_rule() {
    let mut bench = ruled(r#"[{"codes": ["DISK_FULL"], "delays": [60, 300]}]"#);
    bench.run(fail(1));
    assert_eq!(bench.delay(), secs(60));
    bench.start_when_due(2);
    bench.clone().run(fail(2));
    bench.run(Command::Fail {
        lease_epoch: 2,
        error: error("DISK_FULL"),
        retry_delay: Some(secs(7)),
        progress: None,
        usage: None,
    });
    assert_eq!(bench.delay(), secs(7));
}

#[test]
fn a_rule_changes_what_is_in_force_and_the_spec_stays() {
    let mut bench = ruled(
        r#"[{"codes": ["DISK_FULL", "LEASE_LOST"], "change": {"memory_factor": 1.5,
            "queue": "roomy", "priority": "URGENT", "avoid_worker": true}}]"#,
    );
    bench.run(fail(1));
    let effective = &bench.status.effective;
    assert_eq!((effective.queue.as_str(), effective.limits.memory_bytes), ("roomy", 1_500));
    assert_eq!(effective.avoid_worker.as_ref().unwrap().as_str(), "worker");
    assert_eq!(bench.spec.limits.memory_bytes, 1_000);
    // Its new priority is the one it stands in line by.
    let ready_key = bench.status.schedule_time.minus(secs(3_600));
    assert_eq!(bench.status.state, State::Pending { ready_key });
    bench.start_when_due(2);
    bench.run(lose_lease(2, 2));
    assert_eq!((bench.status.effective.limits.memory_bytes, bench.delay()), (2_250, secs(0)));
    // The last attempt leaves all as it was.
    bench.run(start(3));
    bench.run(fail(3));
    assert_eq!(
        (bench.kind(), bench.status.effective.limits.memory_bytes),
        (StateKind::Failed, 2_250)
    );
}

#[test]
fn a_rule_with_a_wait_holds_for_the_first_lost_lease_too() {
    let mut bench = ruled(r#"[{"codes": ["LEASE_LOST"], "delays": [60, 300]}]"#);
    for (epoch, wait) in [(1, 60), (2, 300)] {
        bench.run(lose_lease(epoch, u128::from(epoch.unsigned_abs())));
        assert_eq!((bench.kind(), bench.delay()), (StateKind::Pending, secs(wait)));
        bench.start_when_due(u128::from(epoch.unsigned_abs()) + 1);
    }
}

#[test]
fn a_failure_without_a_rule_ends_the_keeping_away() {
    let mut bench = ruled(r#"[{"codes": ["DISK_FULL"], "change": {"avoid_worker": true}}]"#);
    bench.run(fail(1));
    assert!(bench.status.effective.avoid_worker.is_some());
    bench.start_when_due(2);
    bench.run(Command::Fail {
        lease_epoch: 2,
        error: error("OTHER"),
        retry_delay: None,
        progress: None,
        usage: None,
    });
    assert_eq!(bench.status.effective.avoid_worker, None);
}
