//! The plain course of a job: birth, start, success, adoption, repeats.

use std::collections::BTreeMap;

use super::fixture::*;
use crate::domain::admission;
use crate::domain::ids::Category;
use crate::domain::job::Priority;
use crate::domain::machine::{Birth, Command, Effect, Refusal, create};
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::quota::QuotaDraw;
use crate::domain::status::{Outcome, Report, SkipReason, State, StateKind};
use crate::domain::{QuotaName, Timestamp, WorkerName};

#[test]
fn a_job_is_born_pending_with_nothing_done() {
    let mut spec = spec();
    spec.priority = Priority::High;
    let birth = Birth { category: Some(Category::new("sync").unwrap()), ..birth() };
    let status = create(&spec, birth, START);
    let ready_key = admission::ready_key(START, Priority::High);
    assert_eq!(status.state, State::Pending { ready_key });
    assert_eq!((status.revision, status.attempt, status.lease_epoch), (1, 0, 0));
    assert_eq!(status.max_attempts, 3);
    assert_eq!((status.create_time, status.update_time), (START, START));
    assert_eq!(status.schedule_time, START);
    assert_eq!(status.category, Some(Category::new("sync").unwrap()));
    assert_eq!((status.end_time, status.execution), (None, None));
}

#[test]
fn a_job_is_never_scheduled_before_it_was_made() {
    let mut spec = spec();
    spec.schedule_time = Some(START.minus(secs(60)));
    assert_eq!(create(&spec, birth(), START).schedule_time, START);
    spec.schedule_time = Some(START.plus(secs(60)));
    assert_eq!(create(&spec, birth(), START).schedule_time, START.plus(secs(60)));
}

#[test]
fn a_job_may_be_tried_once_whatever_its_policy_says() {
    let mut spec = spec();
    spec.retry_policy.max_attempts = 0;
    let mut bench = Bench::new(spec);
    bench.run(start(1));
    assert_eq!((bench.status.attempt, bench.status.max_attempts), (1, 1));
}

#[test]
fn a_refused_job_is_recorded_as_skipped_without_an_attempt() {
    for reason in [
        SkipReason::CircuitOpen,
        SkipReason::Overlap,
        SkipReason::TypeDisabled,
        SkipReason::QuotaExhausted,
        SkipReason::Missed,
    ] {
        let birth = Birth { skipped: Some(reason), ..birth() };
        let status = create(&spec(), birth, START);
        assert_eq!(status.state, State::Skipped { reason });
        assert_eq!(status.end_time, Some(START));
        assert_eq!((status.attempt, status.execution, status.error), (0, None, None));
        let mut bench = Bench::new(spec());
        bench.run(Command::Skip { reason });
        assert_eq!(bench.status.state, State::Skipped { reason });
    }
}

#[test]
fn what_it_really_used_stands_beside_what_it_drew() {
    let youtube = QuotaName::new("youtube").unwrap();
    let draw = QuotaDraw { units: 50, period_start: START, used: None };
    let draws = BTreeMap::from([(youtube.clone(), draw)]);
    let mut bench = Bench::new(spec());
    bench.status = bench.run(start(1)).drawing(draws).status;
    let mut given_back = bench.clone();
    bench.run(report_use(1, 7));
    assert_eq!(bench.status.quota_draws[&youtube], QuotaDraw { used: Some(7), ..draw });
    bench.unchanged(report_use(1, 7));
    bench.run(release(1));
    assert_eq!(bench.status.quota_draws[&youtube].used, Some(7));
    bench.run(start(2));
    assert!(bench.status.quota_draws.is_empty());
    // What nobody used goes back.
    given_back.run(undelivered(1, 1));
    assert_eq!(given_back.status.quota_draws[&youtube].used, Some(0));
}

#[test]
fn a_start_opens_an_execution_under_a_new_epoch() {
    let mut spec = spec();
    spec.timeout = Some(secs(60));
    let mut bench = Bench::new(spec);
    bench.status.progress =
        Progress { completed: 7, report_time: Some(START), ..Progress::default() };
    bench.wait(secs(5));
    let transition = bench.run(start(1));
    let status = &bench.status;
    let timeout_time = Some(START.plus(secs(65)));
    assert_eq!(status.state, State::Running { session: session(1), timeout_time });
    assert_eq!((status.attempt, status.lease_epoch, status.revision), (1, 1, 2));
    assert_eq!(status.progress, Progress { base: 7, ..Progress::default() });
    let execution = status.execution.as_ref().unwrap();
    assert_eq!(execution.worker_id, WorkerName::new("worker").unwrap());
    assert_eq!((execution.ready_time, execution.start_time), (START, START.plus(secs(5))));
    assert_eq!((execution.end, execution.report), (None, None));
    assert_eq!(transition.effects, [Effect::Started { attempt: 1 }]);
    assert_eq!(transition.superseded, None);
    assert_eq!(status.wait_duration(bench.now), secs(5));
}

#[test]
fn a_job_does_not_start_before_its_time() {
    let mut spec = spec();
    let schedule_time = START.plus(secs(60));
    spec.schedule_time = Some(schedule_time);
    let mut bench = Bench::new(spec);
    bench.wait(secs(59));
    assert_eq!(bench.try_run(start(1)), Err(Refusal::NotDue { schedule_time }));
    bench.wait(secs(1)).run(start(1));
}

#[test]
fn success_keeps_result_newest_progress_and_usage() {
    let mut bench = Bench::running();
    bench.status.progress = Progress { sequence: 5, completed: 50, ..Progress::default() };
    bench.wait(secs(9));
    let progress = Progress { sequence: 6, completed: 60, ..Progress::default() };
    let usage = ResourceUsage { cpu_percent: 80.0, memory_bytes: 1, peak_memory_bytes: 2 };
    let transition = bench.run(Command::Succeed {
        lease_epoch: 1,
        result: Some("result".into()),
        progress: Some(progress.clone()),
        usage: Some(usage),
    });
    assert_eq!(bench.kind(), StateKind::Succeeded);
    assert_eq!(bench.status.result, Some("result".into()));
    assert_eq!(bench.status.progress, progress);
    assert_eq!(bench.status.resource_usage, Some(usage));
    assert_eq!(bench.status.end_time, Some(bench.now));
    assert_eq!(bench.status.run_duration(bench.now.plus(secs(99))), Some(secs(9)));
    let execution = bench.status.execution.as_ref().unwrap();
    assert_eq!(execution.end, Some((bench.now, Outcome::Succeeded)));
    assert_eq!(execution.report, Some(Report::Succeeded));
    let ended = Effect::Ended { state: StateKind::Succeeded };
    assert_eq!(transition.effects, [Effect::Closed { session: session(1) }, ended]);
}

#[test]
fn progress_told_with_the_end_alone_knows_what_was_done_before() {
    for (completed, base) in [(60, 60), (50, 50), (49, 0)] {
        let mut bench = Bench::running();
        bench.status.progress = Progress { base: 50, ..Progress::default() };
        let progress = Some(Progress { sequence: 1, completed, ..Progress::default() });
        bench.run(Command::ConfirmCancelled { lease_epoch: 1, progress, usage: None });
        assert_eq!(
            (bench.status.progress.completed, bench.status.progress.base),
            (completed, base)
        );
    }
}

#[test]
fn an_outcome_does_not_take_progress_back() {
    let mut bench = Bench::running();
    bench.status.progress = Progress { sequence: 5, completed: 50, ..Progress::default() };
    let progress = Some(Progress { sequence: 4, completed: 40, ..Progress::default() });
    bench.run(Command::ConfirmCancelled { lease_epoch: 1, progress, usage: None });
    assert_eq!(bench.status.progress.completed, 50);
}

#[test]
fn adoption_moves_the_same_lease_to_another_session() {
    let mut bench = Bench::running();
    bench.unchanged(adopt(1, 1));
    let before = bench.status.clone();
    bench.run(adopt(1, 2));
    assert_eq!(bench.status.session(), Some(session(2)));
    assert_eq!(bench.status.execution, before.execution);
    assert_eq!((bench.status.attempt, bench.status.lease_epoch), (1, 1));
    bench.run(lose_lease(1, 2));
}

#[test]
fn what_was_found_about_an_older_session_does_not_touch_the_job_of_a_newer_one() {
    let mut bench = Bench::running();
    bench.run(adopt(1, 2));
    for news in [lose_lease(1, 1), undelivered(1, 1), not_held(1, 1)] {
        bench.unchanged(news);
    }
    bench.run(not_held(1, 2));
    assert_eq!((bench.kind(), bench.status.attempt), (StateKind::Pending, 0));
}

#[test]
fn a_late_worker_cannot_finish_a_requeued_job() {
    let mut bench = Bench::running();
    bench.run(lose_lease(1, 1));
    bench.run(start(2));
    let stale = Refusal::StaleLease { held: 2, presented: 1, state: StateKind::Running };
    assert_eq!(bench.try_run(succeed(1)), Err(stale));
    bench.run(succeed(2));
    let stale = Refusal::StaleLease { held: 2, presented: 1, state: StateKind::Succeeded };
    assert_eq!(bench.try_run(succeed(1)), Err(stale));
    bench.unchanged(succeed(2));
}

#[test]
fn a_failure_said_again_after_the_next_start_is_found_in_the_history() {
    let mut bench = Bench::running();
    bench.run(fail(1));
    bench.unchanged(fail(1));
    let attempt = bench.start_when_due(2).superseded.unwrap();
    assert!(bench.try_run(fail(1)).is_err());
    assert!(attempt.was_closed_by(1, Report::Failed));
    assert!(!attempt.was_closed_by(1, Report::Succeeded));
    assert!(!attempt.was_closed_by(2, Report::Failed));
}

#[test]
fn a_worker_that_stops_unasked_fails_the_job_for_good() {
    let mut bench = Bench::running();
    bench.run(confirm(1));
    assert_eq!((bench.kind(), bench.error_code()), (StateKind::Failed, "CANCELLED_BY_WORKER"));
    let end = bench.status.execution.as_ref().unwrap().end;
    assert_eq!(end, Some((bench.now, Outcome::Failed)));
    bench.unchanged(confirm(1));
}

#[test]
fn a_policy_may_skip_a_job_that_waits() {
    let mut bench = Bench::standing(StateKind::Skipped);
    assert_eq!(bench.status.state, State::Skipped { reason: SkipReason::QuotaExhausted });
    assert_eq!((bench.status.attempt, bench.status.lease_epoch), (0, 0));
    bench.run(retry());
    assert_eq!(bench.kind(), StateKind::Pending);
}

#[test]
fn a_clock_that_goes_back_does_not_take_the_job_along() {
    let mut bench = Bench::running();
    bench.now = Timestamp::from_micros(0);
    bench.run(succeed(1));
    assert_eq!(bench.status.update_time, START);
    assert_eq!(bench.status.end_time, Some(START));
}
