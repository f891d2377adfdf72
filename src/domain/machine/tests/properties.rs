//! Any commands in any order under any clock: what must hold holds.

use std::time::Duration;

use proptest::prelude::*;

use super::fixture::*;
use crate::domain::Timestamp;
use crate::domain::job::{JobSpec, OnStuck};
use crate::domain::machine::table::RULES;
use crate::domain::machine::{Applied, Command, CommandKind, Now, Refusal, ReleaseReason};
use crate::domain::machine::{Transition, apply, create};
use crate::domain::progress::Progress;
use crate::domain::retry::{Change, RetryRule};
use crate::domain::status::{CancelCause, JobStatus, SkipReason, State, StateKind};

/// A command whose lease is given relative to the one in force.
#[derive(Debug, Clone)]
struct Step {
    command: Command,
    epoch_off: i64,
    /// Seconds the clock moves before it, back ones included.
    clock: i64,
    chance: f64,
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), (1_u64..100).prop_map(secs), Just(secs(100_000))]
}

fn command() -> impl Strategy<Value = Command> {
    let sessions = 1_u128..4;
    let causes = prop_oneof![
        Just(CancelCause::Timeout),
        Just(CancelCause::Stuck),
        Just(CancelCause::ResourceLimit),
        Just(CancelCause::Overlap),
    ];
    let progress = prop::option::of((0_i64..20).prop_map(|sequence| Progress {
        sequence,
        completed: sequence,
        ..Progress::default()
    }));
    let reasons = prop_oneof![
        Just(ReleaseReason::Worker { reason: String::new() }),
        sessions.clone().prop_map(|number| ReleaseReason::Undelivered { session: session(number) }),
        sessions.clone().prop_map(|number| ReleaseReason::NotHeld { session: session(number) }),
        sessions.clone().prop_map(|number| ReleaseReason::Drained { session: session(number) }),
    ];
    prop_oneof![
        6 => sessions.clone().prop_map(start),
        1 => sessions.clone().prop_map(|number| adopt(0, number)),
        1 => Just(succeed(0)),
        2 => (any::<bool>(), prop::option::of(span()), progress.clone()).prop_map(
            |(non_retryable, retry_delay, progress)| {
                let mut error = error("DISK_FULL");
                error.non_retryable = non_retryable;
                Command::Fail { lease_epoch: 0, error, retry_delay, progress, usage: None }
            }
        ),
        1 => progress.prop_map(|progress| Command::ConfirmCancelled {
            lease_epoch: 0, progress, usage: None
        }),
        2 => (span(), reasons).prop_map(|(delay, reason)| Command::Release {
            lease_epoch: 0, delay, reason
        }),
        1 => (0_u64..3).prop_map(|units| report_use(0, units)),
        2 => sessions.prop_map(|number| lose_lease(0, number)),
        1 => span().prop_map(cancel),
        1 => causes.prop_map(|cause| request_stop(0, cause)),
        1 => (1_i64..10).prop_map(|revision| stop_stuck(0, revision)),
        1 => (1_i64..10).prop_map(|revision| note_stuck(0, revision)),
        1 => Just(note_slow(0)),
        1 => (1_i64..10).prop_map(expire),
        3 => Just(Command::MeetDeadline),
        1 => Just(Command::Skip { reason: SkipReason::CircuitOpen }),
        2 => (prop::option::of(-100_i64..100), any::<bool>()).prop_map(|(at, force)| {
            let schedule_time = at.map(|at| moved(START, at));
            Command::Retry { schedule_time, force }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let epoch_off = prop_oneof![8 => Just(0_i64), 1 => Just(-1_i64), 1 => Just(1_i64)];
    (command(), epoch_off, -50_i64..200, -1.0..1.0)
        .prop_map(|(command, epoch_off, clock, chance)| Step { command, epoch_off, clock, chance })
}

prop_compose! {
    fn any_spec()(
        max_attempts in 1_u32..4,
        timeout in prop::option::of(1_u64..100),
        expire in prop::option::of(1_i64..300),
        scheduled in prop::option::of(-100_i64..100),
        retry in prop::option::of(any::<bool>()),
        stuck_after in prop::option::of(1_u64..100),
        notify in any::<bool>(),
    ) -> JobSpec {
        let mut spec = spec();
        spec.retry_rules.extend(retry.map(|retry| RetryRule {
            codes: vec!["DISK_*".to_owned(), "LEASE_LOST".to_owned()],
            retry,
            delays: vec![secs(7)],
            change: Change { memory_factor: 2.0, avoid_worker: true, ..Change::default() },
        }));
        spec.limits.memory_bytes = 1;
        spec.retry_policy.max_attempts = max_attempts;
        spec.timeout = timeout.map(secs);
        spec.stuck_after = stuck_after.map(secs);
        spec.on_stuck = if notify { OnStuck::Notify } else { OnStuck::Fail };
        spec.expire_time = expire.map(|at| moved(START, at));
        spec.schedule_time = scheduled.map(|at| moved(START, at));
        spec
    }
}

fn moved(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_micros(time.as_micros() + seconds * 1_000_000)
}

/// The same command under the lease `epoch`.
fn under(command: Command, epoch: i64) -> Command {
    match command {
        Command::Adopt { session, .. } => Command::Adopt { lease_epoch: epoch, session },
        Command::ReportUse { used, .. } => Command::ReportUse { lease_epoch: epoch, used },
        Command::Succeed { result, progress, usage, .. } => {
            Command::Succeed { lease_epoch: epoch, result, progress, usage }
        }
        Command::Fail { error, retry_delay, progress, usage, .. } => {
            Command::Fail { lease_epoch: epoch, error, retry_delay, progress, usage }
        }
        Command::ConfirmCancelled { progress, usage, .. } => {
            Command::ConfirmCancelled { lease_epoch: epoch, progress, usage }
        }
        Command::Release { delay, reason, .. } => {
            Command::Release { lease_epoch: epoch, delay, reason }
        }
        Command::LoseLease { session, .. } => Command::LoseLease { lease_epoch: epoch, session },
        Command::RequestStop { cause, reason, grace, .. } => {
            Command::RequestStop { lease_epoch: epoch, cause, reason, grace }
        }
        Command::StopStuck { revision, .. } => stop_stuck(epoch, revision),
        Command::NoteStuck { revision, .. } => note_stuck(epoch, revision),
        Command::NoteSlow { .. } => note_slow(epoch),
        Command::Start { .. }
        | Command::Cancel { .. }
        | Command::Expire { .. }
        | Command::MeetDeadline
        | Command::Skip { .. }
        | Command::Retry { .. } => command,
    }
}

/// Runs a life; `look` sees each step: spec, before, command, now, answer.
fn live(
    spec: &JobSpec,
    steps: Vec<Step>,
    mut look: impl FnMut(&JobStatus, &Command, Timestamp, &Result<Applied, Refusal>),
) {
    let mut now = START;
    let mut status = create(spec, birth(), now);
    check_standing(&status);
    for step in steps {
        now = moved(now, step.clock);
        let command = under(step.command, status.lease_epoch + step.epoch_off);
        let moment = Now { time: now, chance: step.chance };
        let answer = apply(spec, &status, command.clone(), moment);
        look(&status, &command, now, &answer);
        if let Ok(Applied::Changed(transition)) = answer {
            check_standing(&transition.status);
            status = transition.status;
        }
    }
}

/// What is so in a state, whatever led there.
fn check_standing(status: &JobStatus) {
    let kind = status.kind();
    let end = status.execution.as_ref().and_then(|execution| execution.end);
    assert!(status.attempt <= status.max_attempts, "J10: {status:?}");
    assert_eq!(status.end_time.is_some(), kind.is_terminal());
    if kind.is_terminal() {
        assert_eq!(status.end_time, Some(status.update_time));
    }
    assert!(status.create_time <= status.schedule_time);
    assert!(status.create_time <= status.update_time);
    if let Some(execution) = &status.execution {
        assert!(execution.ready_time <= execution.start_time);
        assert!(execution.start_time <= status.update_time);
        assert!(end.is_none_or(|(time, _)| execution.start_time <= time));
        assert_eq!(end.is_none(), kind == StateKind::Running, "an open execution is a running job");
        assert!(end.is_some() || execution.report.is_none());
    }
    match status.state {
        State::Pending { .. } => {
            assert!(status.cancel_request.is_none());
            assert!(status.result.is_none());
            assert!(status.attempt < status.max_attempts, "room for the next attempt");
        }
        State::Running { .. } => {
            assert!(status.execution.is_some());
            assert!(status.error.is_none() && status.result.is_none());
            let number = status.execution.as_ref().map(|execution| execution.number);
            assert_eq!(number, Some(status.attempt));
            assert!(status.attempt > 0 && status.lease_epoch > 0);
        }
        State::Succeeded => assert!(status.error.is_none() && status.execution.is_some()),
        State::Failed => assert!(status.error.is_some() && status.result.is_none()),
        State::Cancelled => assert!(status.cancel_request.is_some() && status.result.is_none()),
        State::Skipped { .. } => {
            assert!(status.cancel_request.is_none() && status.result.is_none());
        }
    }
}

fn check_change(before: &JobStatus, command: &Command, now: Timestamp, transition: &Transition) {
    let after = &transition.status;
    let rule = RULES
        .iter()
        .find(|rule| rule.from == before.kind() && rule.command == command.kind())
        .expect("J3: only commands of the table change a job");
    assert!(rule.to.contains(&after.kind()), "J3: {before:?} {command:?}");
    assert_eq!(after.revision, before.revision + 1, "J4");
    assert!(after.update_time >= before.update_time && after.update_time >= now);
    assert_eq!(after.create_time, before.create_time);
    let started = i64::from(command.kind() == CommandKind::Start);
    assert_eq!(after.lease_epoch, before.lease_epoch + started, "J5");
    assert!(after.max_attempts >= before.max_attempts);
    if before.kind().is_terminal() {
        assert_eq!(command.kind(), CommandKind::Retry, "J6");
    }
    // What a rule changes is in force from a failure with another attempt on, and nothing shrinks.
    if before.effective != after.effective {
        assert_eq!((before.kind(), after.kind()), (StateKind::Running, StateKind::Pending));
        assert!(after.effective.limits.memory_bytes >= before.effective.limits.memory_bytes);
    }
    if let Some(epoch) = command.lease_epoch() {
        assert_eq!(epoch, before.lease_epoch, "J5: a stale lease changes nothing");
        assert_eq!(before.kind(), StateKind::Running);
    }
    // No execution is forgotten without a row of history, none is recorded twice.
    let is_dropped = before.execution.is_some()
        && after.execution.as_ref().map(|run| run.start_time)
            != before.execution.as_ref().map(|run| run.start_time)
        || before.execution.is_some() && started == 1;
    assert_eq!(transition.superseded.is_some(), is_dropped, "{before:?} {command:?}");
    if let Some(attempt) = &transition.superseded {
        assert_eq!(attempt.lease_epoch, before.lease_epoch);
        assert!(attempt.execution.end.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_change_keeps_the_promises(
        spec in any_spec(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        live(&spec, steps, |before, command, now, answer| {
            if let Ok(Applied::Changed(transition)) = answer {
                check_change(before, command, now, transition);
            }
        });
    }

    #[test]
    fn a_closing_report_said_again_changes_nothing(
        spec in any_spec(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        live(&spec, steps, |_, command, now, answer| {
            let Ok(Applied::Changed(transition)) = answer else { return };
            if command.report().is_some() {
                let again = apply(&spec, &transition.status, command.clone(), Now::at(now));
                assert_eq!(again, Ok(Applied::Unchanged));
            }
        });
    }

    #[test]
    fn a_job_starts_only_when_due(
        spec in any_spec(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        live(&spec, steps, |before, command, now, answer| {
            if command.kind() == CommandKind::Start && answer.is_ok() {
                assert!(before.schedule_time <= now.max(before.update_time));
            }
        });
    }

    #[test]
    fn the_deadline_tells_exactly_when_the_clock_changes_something(
        spec in any_spec(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        live(&spec, steps, |before, _, now, _| {
            let now = now.max(before.update_time);
            let due = before.deadline(spec.expire_time).is_some_and(|time| time <= now);
            let answer = apply(&spec, before, Command::MeetDeadline, Now::at(now));
            match answer {
                Ok(Applied::Changed(transition)) => {
                    assert!(due);
                    let next = transition.status.deadline(spec.expire_time);
                    assert!(next.is_none_or(|time| time > now), "it would be met for ever");
                }
                Ok(Applied::Unchanged) => assert!(!due),
                Err(refusal) => panic!("{refusal}"),
            }
        });
    }
}
