//! Who is found, by what, and who is spared.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::{Job, JobSpec, OnStuck, Trigger};
use crate::domain::machine::{Applied, Birth, Command, Now, apply, create};
use crate::domain::progress::Progress;
use crate::domain::status::{CancelCause, StateKind};
use crate::domain::validate::Violations;
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp, WorkerName};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn mins(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn at(minutes: u64) -> Timestamp {
    START.plus(mins(minutes))
}

fn waiting() -> Job {
    let spec = JobSpec::new(JobType::new("hash_file").unwrap(), QueueName::default());
    let birth = Birth {
        created_by: "ann".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let status = create(&spec, birth, START);
    Job { id: JobId(Uuid::from_u128(1)), spec: Arc::new(spec), status }
}

fn run(job: &mut Job, command: Command, now: Timestamp) {
    match apply(&job.spec, &job.status, command, Now::at(now)) {
        Ok(Applied::Changed(transition)) => job.status = transition.status,
        other => panic!("{other:?}"),
    }
}

/// A job that started at once and has reported nothing.
fn silent() -> Job {
    let mut job = waiting();
    let worker_id = WorkerName::new("w1").unwrap();
    run(&mut job, Command::Start { session: SessionId(Uuid::from_u128(7)), worker_id }, START);
    job
}

fn following(mut next: Progress, held: &Progress, start: Timestamp, now: Timestamp) -> Progress {
    next.follow(held, (start, now));
    next
}

/// A job whose last activity was `minutes` after its start.
fn active(minutes: u64) -> Job {
    let mut job = silent();
    job.status.progress = following(Progress::default(), &Progress::default(), START, at(minutes));
    job
}

fn with(mut job: Job, change: impl FnOnce(&mut JobSpec)) -> Job {
    change(Arc::make_mut(&mut job.spec));
    job
}

fn sweep(basis: Basis, minutes: u64) -> Sweep {
    Sweep { threshold: mins(minutes), basis, include_pending: false, types: Vec::new() }
}

#[test]
fn a_job_that_shows_nothing_for_too_long_is_found() {
    assert_eq!(sweep(Basis::Progress, 30).look(&active(5), at(34)), None);
    let found = sweep(Basis::Progress, 30).look(&active(5), at(35)).unwrap();
    assert_eq!((found.since, found.minutes()), (at(5), 30));
    assert_eq!((found.verdict, found.forecast), (Verdict::Stop, Forecast::Retried));
}

#[test]
fn a_job_that_never_reported_is_found_by_its_start_alone() {
    let job = silent();
    assert_eq!(sweep(Basis::Progress, 30).look(&job, at(1_000)), None);
    let found = sweep(Basis::Start, 30).look(&job, at(30)).unwrap();
    assert_eq!((found.since, found.spare_active()), (START, false));
}

#[test]
fn repeated_reports_are_no_activity_and_log_lines_are() {
    let said = |completed, step: &str, message: &str| Progress {
        completed,
        current_step: step.to_owned(),
        message: message.to_owned(),
        ..Progress::default()
    };
    let first = following(said(1, "a", "m"), &Progress::default(), START, at(1));
    assert_eq!(first.activity_time, Some(at(1)));
    let same = following(said(1, "a", "m"), &first, START, at(2));
    assert_eq!((same.activity_time, same.report_time), (Some(at(1)), Some(at(2))));
    for moved in [said(2, "a", "m"), said(1, "b", "m"), said(1, "a", "n")] {
        assert_eq!(following(moved, &same, START, at(3)).activity_time, Some(at(3)));
    }
    assert_eq!(same.clone().active_at(at(4)).activity_time, Some(at(4)));
    assert_eq!(same.active_at(START).activity_time, Some(at(1)));
    // The first report is a sign of life even if it says nothing.
    assert_eq!(active(3).status.progress.activity_time, Some(at(3)));
}

#[test]
fn a_bound_of_the_job_goes_before_the_configuration() {
    let policy = SweepPolicy {
        quiet_after: Some(mins(20)),
        run_after: Some(mins(120)),
        ..SweepPolicy::default()
    };
    let watch = Watch::new(&policy);
    assert_eq!(watch.sweep(&active(5), at(25)).unwrap().basis, Some(Basis::Progress));
    assert_eq!(watch.sweep(&silent(), at(119)), None);
    assert_eq!(watch.sweep(&silent(), at(120)).unwrap().basis, Some(Basis::Start));
    let own = with(active(5), |spec| {
        spec.stuck_after = Some(mins(600));
        spec.timeout = Some(mins(600));
    });
    assert_eq!(watch.sweep(&own, at(599)), None);
    assert_eq!(Watch::new(&SweepPolicy::default()).sweep(&active(5), at(100_000)), None);
}

#[test]
fn a_job_that_is_to_notify_runs_on() {
    let mut job = with(active(5), |spec| spec.on_stuck = OnStuck::Notify);
    let found = sweep(Basis::Progress, 30).look(&job, at(40)).unwrap();
    assert_eq!((found.verdict, found.forecast), (Verdict::Notify, Forecast::RunsOn));
    run(&mut job, found.command("ann", ""), at(40));
    assert_eq!((job.status.kind(), &job.status.cancel_request), (StateKind::Running, &None));
    job.status.progress = job.status.progress.clone().active_at(at(50));
    assert_eq!(sweep(Basis::Progress, 30).look(&job, at(99)), None, "it was told of already");
}

#[test]
fn what_is_found_is_stopped_by_the_normal_rule() {
    let mut job = active(5);
    job.status.max_attempts = 1;
    let found = sweep(Basis::Start, 30).look(&job, at(40)).unwrap();
    assert_eq!(found.forecast, Forecast::Fails);
    run(&mut job, found.command("ann", "the host hangs"), at(40));
    let request = job.status.cancel_request.clone().unwrap();
    assert_eq!((request.cause, request.requested_by.as_str()), (CancelCause::Stuck, "ann"));
    assert_eq!(request.reason, "has run for 40 min: the host hangs");
    assert_eq!(sweep(Basis::Start, 30).look(&job, at(50)), None, "it was asked already");
    run(&mut job, Command::MeetDeadline, at(41));
    assert_eq!(job.status.kind(), StateKind::Failed);
    assert_eq!(job.status.error.unwrap().code, "STUCK");
}

#[test]
fn waiting_jobs_are_swept_only_if_they_are_included_and_due() {
    let mut all = sweep(Basis::Start, 30);
    assert_eq!(all.look(&waiting(), at(1_000)), None);
    all.include_pending = true;
    assert_eq!(all.look(&waiting(), at(29)), None);
    let found = all.look(&waiting(), at(30)).unwrap();
    assert_eq!((found.verdict, found.forecast), (Verdict::Expire, Forecast::Fails));
    let mut job = waiting();
    run(&mut job, found.command("ann", ""), at(30));
    assert_eq!((job.status.kind(), all.look(&job, at(99))), (StateKind::Failed, None));
    let mut later = waiting();
    later.status.schedule_time = at(500);
    assert_eq!(all.look(&later, at(499)), None);
}

#[test]
fn a_sweep_keeps_to_its_types() {
    let mut some = sweep(Basis::Start, 30);
    some.types = vec![JobType::new("other").unwrap()];
    assert_eq!(some.look(&silent(), at(99)), None);
    some.types.push(JobType::new("hash_file").unwrap());
    assert!(some.look(&silent(), at(99)).is_some());
}

#[test]
fn a_threshold_out_of_bounds_is_named() {
    for (minutes, wanted) in [(0, 120), (30, 30), (1_440, 1_440)] {
        let mut violations = Violations::default();
        let threshold = Sweep::threshold(minutes, "threshold", &mut violations);
        assert_eq!((threshold, violations.is_empty()), (Some(mins(wanted)), true));
    }
    for minutes in [-1, 1, 29, 1_441, i64::MAX] {
        let mut violations = Violations::default();
        assert_eq!(Sweep::threshold(minutes, "threshold", &mut violations), None);
        assert_eq!(violations.as_slice()[0].field, "threshold");
    }
    let mut violations = Violations::default();
    let [short, long] = [Duration::from_secs(59), mins(24 * 60 + 1)];
    SweepPolicy { period: short, quiet_after: Some(long), run_after: None }
        .validate("sweep.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|wrong| &wrong.field).collect();
    assert_eq!(fields, ["sweep.period", "sweep.quiet_after"]);
}

proptest! {
    /// Whatever happens between the look and the deed: the command changes the job only if the finding
    /// still holds, and then only by asking it to stop.
    #[test]
    fn a_late_deed_spares_what_moved(
        by_start in any::<bool>(),
        last in 0_u64..100,
        moved in prop::option::of(0_u64..200),
        adopted in any::<bool>(),
        ended in any::<bool>(),
    ) {
        let mut job = active(last);
        let basis = if by_start { Basis::Start } else { Basis::Progress };
        let Some(found) = sweep(basis, 30).look(&job, at(100)) else {
            prop_assert!(!by_start && last > 70);
            return Ok(());
        };
        if let Some(moved) = moved {
            job.status.progress = job.status.progress.clone().active_at(at(moved));
        }
        if adopted {
            let session = SessionId(Uuid::from_u128(8));
            run(&mut job, Command::Adopt { lease_epoch: 1, session }, at(100));
        }
        if ended {
            let done =
                Command::Succeed { lease_epoch: 1, result: None, progress: None, usage: None };
            run(&mut job, done, at(100));
        }
        let answer =
            apply(&job.spec, &job.status, found.command("", ""), Now::at(at(101)));
        let changed = matches!(answer, Ok(Applied::Changed(_)));
        let spared = adopted || ended || (!by_start && moved.is_some_and(|moved| moved > last));
        prop_assert_eq!(changed, !spared);
        if let Ok(Applied::Changed(transition)) = answer {
            prop_assert_eq!(transition.status.kind(), StateKind::Running);
            prop_assert_eq!(transition.status.cancel_request.unwrap().cause, CancelCause::Stuck);
        }
    }
}
