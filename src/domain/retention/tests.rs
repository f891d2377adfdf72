//! What is kept, until when, and that what is not over is never taken.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::{Job, JobSpec, Trigger};
use crate::domain::machine::{Birth, create};
use crate::domain::status::{SkipReason, State, StateKind};
use crate::domain::validate::Violations;
use crate::domain::zone::Zone;
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

fn kind(name: &str) -> JobType {
    JobType::new(name).unwrap()
}

fn job(name: &str, state: StateKind, ended: Duration) -> Job {
    let spec = JobSpec::new(kind(name), QueueName::default());
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let end = NOW.minus(ended);
    let mut status = create(&spec, birth, end);
    status.state = match state {
        StateKind::Pending => status.state,
        StateKind::Running => {
            State::Running { session: SessionId(Uuid::nil()), timeout_time: None }
        }
        StateKind::Succeeded => State::Succeeded,
        StateKind::Failed => State::Failed,
        StateKind::Cancelled => State::Cancelled,
        StateKind::Skipped => State::Skipped { reason: SkipReason::Overlap },
    };
    status.end_time = state.is_terminal().then_some(end);
    Job { id: JobId(Uuid::nil()), spec: Arc::new(spec), status }
}

fn policy() -> RetentionPolicy {
    let mut policy = RetentionPolicy::default();
    policy.states.insert(Terminal::Failed, days(90));
    let of_sync = TypeRetention {
        jobs: Some(days(2)),
        states: [(Terminal::Skipped, days(1))].into_iter().collect(),
    };
    policy.types.insert(kind("sync"), of_sync);
    policy
}

#[test]
fn the_nearer_word_wins() {
    let policy = policy();
    for (name, state, wanted) in [
        ("other", Terminal::Succeeded, 30),
        ("other", Terminal::Failed, 90),
        ("sync", Terminal::Failed, 2),
        ("sync", Terminal::Skipped, 1),
    ] {
        assert_eq!(policy.span(&kind(name), state), days(wanted), "{name} {state:?}");
    }
    let mut own = job("sync", StateKind::Failed, days(5));
    Arc::make_mut(&mut own.spec).retention = Some(days(200));
    assert_eq!(policy.span_of(&own.spec, Terminal::Failed), days(200));
}

#[test]
fn a_job_is_due_when_it_was_kept_for_its_time() {
    let policy = policy();
    assert!(policy.is_due(&job("sync", StateKind::Failed, days(2)), NOW));
    let short = days(2).saturating_sub(Duration::from_micros(1));
    assert!(!policy.is_due(&job("sync", StateKind::Failed, short), NOW));
}

#[test]
fn spans_out_of_bounds_are_named() {
    let mut policy = policy();
    policy.logs = Duration::from_secs(3600);
    policy.states.insert(Terminal::Failed, days(366));
    policy.types.entry(kind("sync")).or_default().states.insert(Terminal::Skipped, days(0));
    let mut violations = Violations::default();
    policy.validate("retention.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|wrong| wrong.field.as_str()).collect();
    let wanted =
        ["retention.logs", "retention.states[FAILED]", "retention.types[sync].states[SKIPPED]"];
    assert_eq!(fields, wanted);
    let mut violations = Violations::default();
    RetentionPolicy::default().validate("retention.", &mut violations);
    assert!(violations.is_empty());
}

fn purge(days: i64, states: &[StateKind]) -> Result<Purge, Vec<String>> {
    let mut violations = Violations::default();
    let purge = Purge::new(days, states, &mut violations);
    assert_eq!(purge.is_some(), violations.is_empty());
    let fields = violations.as_slice().iter().map(|wrong| wrong.field.clone());
    purge.ok_or_else(|| fields.collect())
}

#[test]
fn a_purge_by_hand_is_bounded_and_names_what_is_wrong() {
    let all = purge(0, &[]).unwrap();
    assert_eq!((all.keep, all.states), (days(30), Terminal::ALL.to_vec()));
    assert_eq!(purge(1, &[StateKind::Failed]).unwrap().states, [Terminal::Failed]);
    assert_eq!(purge(365, &[StateKind::Failed, StateKind::Failed]).unwrap().states.len(), 1);
    for wrong in [-1, 366, i64::MAX, i64::MIN] {
        assert_eq!(purge(wrong, &[]), Err(vec!["days_to_keep".to_owned()]));
    }
    let mixed = [StateKind::Failed, StateKind::Running];
    assert_eq!(purge(1, &mixed), Err(vec!["states[1]".to_owned()]));
    assert_eq!(purge(1, &[StateKind::Pending]), Err(vec!["states[0]".to_owned()]));
}

#[test]
fn a_purge_by_hand_goes_by_the_end_alone() {
    let purge = purge(30, &[StateKind::Failed]).unwrap();
    let late = days(30) + Duration::from_micros(1);
    let mut own = job("sync", StateKind::Failed, late);
    Arc::make_mut(&mut own.spec).retention = Some(days(365));
    assert!(purge.takes(&own, NOW));
    assert!(!purge.takes(&job("sync", StateKind::Failed, days(30)), NOW));
    assert!(!purge.takes(&job("sync", StateKind::Succeeded, late), NOW));
}

#[test]
fn a_purge_says_what_it_did_and_what_nobody_knows() {
    assert!(PurgeRun::default().is_nothing());
    let run = PurgeRun { jobs: 4, archived: 2, logs: 6, batches: 2, in_doubt: 0, left: 0 };
    let known = "4 jobs (2 archived) and 6 log batches taken away in 2 batches";
    assert_eq!(run.summary(), known);
    let run = PurgeRun { in_doubt: 9, ..run };
    assert_eq!(run.summary(), format!("{known}, and perhaps 9 jobs more"));
    assert!(!PurgeRun { in_doubt: 1, ..PurgeRun::default() }.is_nothing());
}

fn utc(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(moment.as_microsecond())
}

fn daily(at: &str, time_zone: &str) -> PurgeTiming {
    PurgeTiming::Daily { at: at.parse().unwrap(), time_zone: Zone::named(time_zone).unwrap() }
}

#[test]
fn a_daily_purge_goes_by_the_clock_on_the_wall() {
    let next = |timing: &PurgeTiming, last: &str| timing.next(Some(utc(last)), NOW);
    let berlin = daily("02:00", "Europe/Berlin");
    assert_eq!(next(&berlin, "2026-01-10T00:59:59Z"), utc("2026-01-10T01:00:00Z"));
    assert_eq!(next(&berlin, "2026-01-10T01:00:00Z"), utc("2026-01-11T01:00:00Z"));
    // The clock is set from two to three: the day has its purge all the same.
    assert_eq!(next(&berlin, "2026-03-28T01:00:00Z"), utc("2026-03-29T01:00:00Z"));
    assert_eq!(next(&berlin, "2026-03-29T01:00:00Z"), utc("2026-03-30T00:00:00Z"));
    // The clock is set back from three to two: once is enough.
    assert_eq!(next(&berlin, "2026-10-24T00:00:00Z"), utc("2026-10-25T00:00:00Z"));
    assert_eq!(next(&berlin, "2026-10-25T00:00:00Z"), utc("2026-10-26T01:00:00Z"));
    let default = PurgeTiming::default();
    assert_eq!(next(&default, "2026-01-10T02:00:00Z"), utc("2026-01-11T02:00:00Z"));
    let first = default.next(None, utc("2026-01-10T01:00:00Z"));
    assert_eq!(first, utc("2026-01-10T02:00:00Z"));
}

#[test]
fn a_purge_every_so_often_comes_after_its_pause() {
    let timing = PurgeTiming::Every(Duration::from_secs(3600));
    assert_eq!(timing.next(None, NOW), NOW);
    assert_eq!(timing.next(Some(NOW), NOW), NOW.plus(Duration::from_secs(3600)));
}

#[test]
fn a_timing_that_is_none_is_named() {
    for wrong in ["24:00", "2:00", "02:60", "02", "+2:00", "02:0x", "", "02:00:00"] {
        assert!(wrong.parse::<TimeOfDay>().is_err(), "{wrong}");
    }
    let mut violations = Violations::default();
    PurgeTiming::Every(Duration::from_secs(59)).validate("retention.", &mut violations);
    assert_eq!(violations.as_slice()[0].field, "retention.every");
}

fn any_span() -> impl Strategy<Value = Duration> {
    (1_u64..=365).prop_map(days)
}

prop_compose! {
    fn any_policy()(
        jobs in any_span(),
        states in prop::collection::btree_map(prop::sample::select(Terminal::ALL.to_vec()), any_span(), 0..4),
        own in prop::option::of(any_span()),
        of_type in prop::collection::btree_map(prop::sample::select(Terminal::ALL.to_vec()), any_span(), 0..4),
    ) -> RetentionPolicy {
        let mut policy = RetentionPolicy { jobs, states, ..RetentionPolicy::default() };
        policy.types.insert(kind("sync"), TypeRetention { jobs: own, states: of_type });
        policy
    }
}

proptest! {
    /// J13: whatever the policy, the purge and the time, a job that is not over is not taken, and one
    /// that is over not before its time; and the bounds for the database say the same.
    #[test]
    fn retention_never_touches_a_job_that_is_not_over(
        policy in any_policy(),
        name in prop::sample::select(vec!["sync", "other"]),
        state in prop::sample::select(StateKind::ALL.to_vec()),
        ended in 0_u64..800,
        retention in prop::option::of(any_span()),
        by_hand in 1_i64..=365,
    ) {
        let mut job = job(name, state, days(ended));
        Arc::make_mut(&mut job.spec).retention = retention;
        let hand = purge(by_hand, &[]).unwrap();
        if state.is_terminal() {
            prop_assert_eq!(hand.takes(&job, NOW), i64::try_from(ended).unwrap() > by_hand);
        } else {
            // Even if some earlier end were still on record.
            job.status.end_time = Some(NOW.minus(days(ended)));
            prop_assert_eq!(policy.purge_time(&job), None);
            prop_assert!(!policy.is_due(&job, NOW) && !hand.takes(&job, NOW));
        }
        let cutoffs = policy.cutoffs(&[], NOW);
        let named = cutoffs.iter().any(|cutoff| cutoff.job_type.as_ref() == Some(&job.spec.job_type));
        let by_bounds = cutoffs.iter().any(|cutoff| {
            let means = match &cutoff.job_type {
                Some(job_type) => *job_type == job.spec.job_type,
                None => !named,
            };
            means
                && cutoff.state.kind() == state
                && job.status.end_time.is_some_and(|end| end < cutoff.end_before)
        });
        if retention.is_none() {
            prop_assert_eq!(by_bounds, policy.is_due(&job, NOW));
        }
    }
}
