//! A breaker's life.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::Trigger;
use crate::domain::machine::{self, Applied, Birth, Command, Now, ReleaseReason};
use crate::domain::{JobError, JobSpec, JobStatus, JobType, QueueName, SessionId, WorkerName};

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus(Duration::from_secs(seconds))
}

/// Three in an hour, a probe after ten minutes.
fn three() -> CircuitSpec {
    CircuitSpec {
        max_failures: 3,
        probe_after: Some(Duration::from_secs(600)),
        ..CircuitSpec::default()
    }
}

fn after(state: &CircuitState, number: u128, report: CircuitReport, now: u64) -> CircuitState {
    state.after(&three(), job(number), report, at(now)).map_or(state.clone(), |(state, _)| state)
}

fn open() -> CircuitState {
    let closed = CircuitState::default();
    [0, 10, 20].into_iter().fold(closed, |state, now| after(&state, 1, CircuitReport::Failed, now))
}

#[test]
fn it_opens_after_so_many_failures_within_the_window() {
    let mut state = CircuitState::default();
    for (now, is_open) in [(0, false), (10, false), (3_605, false), (3_609, true)] {
        let (next, change) = state.after(&three(), job(1), CircuitReport::Failed, at(now)).unwrap();
        assert_eq!(next.revision, state.revision + 1);
        assert_eq!(next.is_open(), is_open, "{now}");
        let opened = CircuitChange::Opened { next_probe_time: at(now + 600) };
        assert_eq!(change, is_open.then_some(opened));
        state = next;
    }
    let refused = CircuitDecision::Refuse { next_probe_time: at(4_209) };
    assert_eq!(state.decide(&three(), at(3_610)), refused);
}

#[test]
fn attempts_count_only_where_asked_for() {
    let state = CircuitState::default();
    assert_eq!(state.after(&three(), job(1), CircuitReport::AttemptFailed, at(0)), None);
    let spec = CircuitSpec { counts: CircuitCounts::Attempts, ..three() };
    assert!(state.after(&spec, job(1), CircuitReport::AttemptFailed, at(0)).is_some());
    for report in [CircuitReport::Succeeded, CircuitReport::Other] {
        assert_eq!(state.after(&spec, job(1), report, at(0)), None);
    }
}

#[test]
fn one_job_tries_and_success_closes_it() {
    let state = open();
    assert_eq!(state.begin_probe(&three(), job(2), at(619)), None);
    assert_eq!(state.decide(&three(), at(620)), CircuitDecision::Probe);
    let state = state.begin_probe(&three(), job(2), at(620)).unwrap();
    assert_eq!(state.phase_name(), "HALF_OPEN");
    assert_eq!(state.begin_probe(&three(), job(3), at(2_000)), None);
    let refused = CircuitDecision::Refuse { next_probe_time: at(2_000) };
    assert_eq!(state.decide(&three(), at(2_000)), refused);
    assert_eq!(state.after(&three(), job(1), CircuitReport::Succeeded, at(700)), None);
    let (state, change) = state.after(&three(), job(2), CircuitReport::Succeeded, at(700)).unwrap();
    assert_eq!((state.is_open(), change), (false, Some(CircuitChange::Closed)));
    assert_eq!(state.decide(&three(), at(700)), CircuitDecision::Allow);
}

#[test]
fn a_probe_that_fails_an_attempt_opens_it_again() {
    for report in [CircuitReport::AttemptFailed, CircuitReport::Failed] {
        let state = open().begin_probe(&three(), job(2), at(620)).unwrap();
        let state = after(&state, 2, report, 700);
        assert_eq!(
            state.decide(&three(), at(1_299)),
            CircuitDecision::Refuse { next_probe_time: at(1_300) }
        );
        assert_eq!(state.decide(&three(), at(1_300)), CircuitDecision::Probe);
    }
}

#[test]
fn a_probe_that_says_nothing_makes_room_for_another() {
    let state = open().begin_probe(&three(), job(2), at(620)).unwrap();
    let state = after(&state, 2, CircuitReport::Other, 630);
    assert!(state.begin_probe(&three(), job(3), at(630)).is_some());
}

#[test]
fn what_ran_before_it_opened_changes_nothing() {
    let state = open();
    for report in [CircuitReport::Succeeded, CircuitReport::Failed, CircuitReport::Other] {
        assert_eq!(state.after(&three(), job(1), report, at(30)), None);
    }
}

#[test]
fn a_breaker_that_was_taken_away_refuses_nothing() {
    assert_eq!(open().decide(&CircuitSpec::default(), at(30)), CircuitDecision::Allow);
    let off = CircuitSpec::default();
    assert_eq!(CircuitState::default().after(&off, job(1), CircuitReport::Failed, at(0)), None);
}

#[test]
fn it_is_the_same_after_a_way_through_the_store() {
    let half = open().begin_probe(&three(), job(2), at(620)).unwrap();
    for state in [CircuitState::default(), open(), half] {
        let stored = rmp_serde::to_vec_named(&state).unwrap();
        assert_eq!(rmp_serde::from_slice::<CircuitState>(&stored).unwrap(), state);
    }
}

#[test]
fn wrong_fields_are_named_at_once() {
    let spec: CircuitSpec =
        serde_json::from_str(r#"{"max_failures": 101, "window": 0, "probe_after": "11y"}"#)
            .unwrap();
    let mut violations = Violations::default();
    spec.validate("circuit.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["circuit.max_failures", "circuit.window", "circuit.probe_after"]);
}

proptest! {
    #[test]
    fn at_most_one_job_runs_while_it_is_not_closed(
        steps in prop::collection::vec((0_u128..6, 0_u8..6, 0_u64..400), 1..200),
    ) {
        let spec = three();
        let (mut state, mut now, mut probe) = (CircuitState::default(), 0, None);
        for (number, what, wait) in steps {
            now += wait;
            let report = match what {
                0 => CircuitReport::Succeeded,
                1 => CircuitReport::Failed,
                2 => CircuitReport::AttemptFailed,
                3 => CircuitReport::Other,
                _ => {
                    let may = state.decide(&spec, at(now)) == CircuitDecision::Probe;
                    let begun = state.begin_probe(&spec, job(number), at(now));
                    prop_assert_eq!(may, begun.is_some());
                    if let Some(next) = begun {
                        prop_assert_eq!(probe, None);
                        (probe, state) = (Some(number), next);
                    }
                    continue;
                }
            };
            if let Some((next, _)) = state.after(&spec, job(number), report, at(now)) {
                prop_assert_eq!(next.revision, state.revision + 1);
                prop_assert!(probe.is_none() || probe == Some(number));
                (probe, state) = (None, next);
            }
            if let CircuitPhase::Closed { failures } = &state.phase {
                prop_assert!(failures.len() < 3 && failures.is_sorted());
            }
        }
    }
}

#[test]
fn a_probe_that_ended_unheard_makes_way_once_it_was_its_time() {
    let half = open().begin_probe(&three(), job(7), at(700)).unwrap();
    assert_eq!(half.overdue_probe(at(1_299)), None);
    assert_eq!(half.after_lost_probe(job(7), at(1_299)), None, "it may only just have ended");
    assert_eq!(half.overdue_probe(at(1_300)), Some(job(7)));
    assert_eq!(half.after_lost_probe(job(8), at(1_300)), None, "another one");
    let next = half.after_lost_probe(job(7), at(1_300)).unwrap();
    assert_eq!(next.revision, half.revision + 1);
    assert_eq!(next.decide(&three(), at(1_300)), CircuitDecision::Probe);
    for state in [open(), CircuitState::default()] {
        assert_eq!(state.overdue_probe(at(9_999)), None);
        assert_eq!(state.after_lost_probe(job(7), at(9_999)), None);
    }
}

/// A job with so many attempts, in the hands of a worker.
fn running(max_attempts: u32) -> (JobSpec, JobStatus) {
    let mut spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    spec.retry_policy.max_attempts = max_attempts;
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let status = machine::create(&spec, birth, at(0));
    let session = SessionId(Uuid::from_u128(1));
    let start = Command::Start { session, worker_id: WorkerName::new("w").unwrap() };
    let status = after_command(&spec, &status, start);
    (spec, status)
}

fn after_command(spec: &JobSpec, status: &JobStatus, command: Command) -> JobStatus {
    match machine::apply(spec, status, command, Now::at(at(1))) {
        Ok(Applied::Changed(transition)) => transition.status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_ends_a_run_is_reported_by_what_became_of_the_job() {
    let session = SessionId(Uuid::from_u128(1));
    let fail = || Command::Fail {
        lease_epoch: 1,
        error: JobError::server("BOOM", String::new()),
        retry_delay: None,
        progress: None,
        usage: None,
    };
    let succeed = Command::Succeed { lease_epoch: 1, result: None, progress: None, usage: None };
    let release = Command::Release {
        lease_epoch: 1,
        delay: Duration::ZERO,
        reason: ReleaseReason::Worker { reason: String::new() },
    };
    let cancel = Command::Cancel {
        reason: String::new(),
        requested_by: String::new(),
        grace: Duration::ZERO,
    };
    let lose = Command::LoseLease { lease_epoch: 1, session };
    for (max_attempts, command, want) in [
        (3, succeed, CircuitReport::Succeeded),
        (3, fail(), CircuitReport::AttemptFailed),
        (1, fail(), CircuitReport::Failed),
        (3, release, CircuitReport::Other),
        (3, cancel, CircuitReport::Other),
        (3, lose.clone(), CircuitReport::AttemptFailed),
        (1, lose, CircuitReport::Failed),
    ] {
        let (spec, before) = running(max_attempts);
        let after = after_command(&spec, &before, command.clone());
        assert_eq!(CircuitReport::of(&before, &after), Some(want), "{command:?}");
        assert_eq!(CircuitReport::of(&after, &after), None, "{command:?}");
    }
    let (spec, before) = running(1);
    let adopter = SessionId(Uuid::from_u128(2));
    let adopt = Command::Adopt { lease_epoch: 1, session: adopter };
    assert_eq!(CircuitReport::of(&before, &after_command(&spec, &before, adopt)), None);
}
