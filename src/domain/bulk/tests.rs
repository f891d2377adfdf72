//! What may be asked, what is done, how fast, and that a crash repeats nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::filter::JobFilter;
use crate::domain::job::{Job, JobSpec, Trigger};
use crate::domain::limits::{BULK_BATCH_JOBS, BULK_RATE_DEFAULT, BULK_SAMPLE_MAX};
use crate::domain::machine::{Birth, create};
use crate::domain::status::{SkipReason, State, StateKind};
use crate::domain::validate::Violations;
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const ACTIONS: [BulkAction; 3] =
    [BulkAction::Cancel { grace: Duration::from_secs(30) }, BulkAction::Retry, BulkAction::Delete];

fn id(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn job(number: u128, state: StateKind) -> Job {
    let spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let mut status = create(&spec, birth, NOW);
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
    Job { id: id(number), spec: Arc::new(spec), status }
}

fn ask(action: BulkAction) -> BulkAsk {
    let filter = JobFilter { owner: Some("ann".to_owned()), ..JobFilter::default() };
    BulkAsk {
        action,
        filter,
        reason: "a bad deploy".to_owned(),
        expected_max: 1_000,
        rate: 0.0,
        requested_by: "bob".to_owned(),
        validate_only: false,
    }
}

fn checked(ask: BulkAsk) -> Result<BulkSpec, Vec<String>> {
    let mut violations = Violations::default();
    let spec = BulkSpec::new(ask, &mut violations);
    assert_eq!(spec.is_some(), violations.is_empty());
    spec.ok_or_else(|| violations.as_slice().iter().map(|wrong| wrong.field.clone()).collect())
}

fn spec(action: BulkAction) -> BulkSpec {
    checked(ask(action)).unwrap()
}

#[test]
fn what_is_missing_or_out_of_bounds_is_named_all_at_once() {
    let mut bad = ask(BulkAction::Retry);
    bad.filter = JobFilter::default();
    bad.reason = "x".repeat(1_025);
    bad.expected_max = 0;
    bad.rate = -1.0;
    assert_eq!(
        checked(bad),
        Err(["filter", "reason", "expected_max", "rate"].map(String::from).to_vec())
    );
    for (expected_max, rate) in [(-1, 1.0), (10_000_001, 1.0), (1, f64::NAN), (1, 10_001.0)] {
        let bad = BulkAsk { expected_max, rate, ..ask(BulkAction::Retry) };
        assert_eq!(checked(bad).unwrap_err().len(), 1, "{expected_max} {rate}");
    }
}

#[test]
fn to_look_needs_neither_filter_nor_expectation() {
    let mut look = ask(BulkAction::Delete);
    (look.filter, look.expected_max, look.validate_only) = (JobFilter::default(), 0, true);
    let spec = checked(look).unwrap();
    assert_eq!(spec.filter.states.len(), 4);
    assert_eq!(spec.rate.to_bits(), BULK_RATE_DEFAULT.to_bits());
}

#[test]
fn states_in_which_nothing_can_be_done_are_refused() {
    for (action, wrong) in [
        (ACTIONS[0], vec![StateKind::Succeeded, StateKind::Failed, StateKind::Cancelled]),
        (ACTIONS[1], vec![StateKind::Running, StateKind::Succeeded]),
        (ACTIONS[2], vec![StateKind::Pending, StateKind::Running]),
    ] {
        for state in wrong {
            let mut bad = ask(action);
            bad.filter.states = vec![action.states()[0], state];
            assert_eq!(checked(bad), Err(vec!["filter.states[1]".to_owned()]));
        }
    }
}

#[test]
fn each_action_does_to_each_state_what_the_machine_says() {
    for (action, state) in ACTIONS.iter().flat_map(|a| StateKind::ALL.map(|state| (*a, state))) {
        let mut job = job(1, state);
        if state == StateKind::Pending {
            // One that waits for its next attempt: a retry has something to do.
            job.status.schedule_time = NOW.plus(Duration::from_secs(60));
        }
        let planned = action.plan(&job, NOW);
        assert_eq!(planned == Planned::Changes, action.is_for(state), "{action:?} {state:?}");
    }
    assert_eq!(ACTIONS[0].plan(&job(1, StateKind::Cancelled), NOW), Planned::Nothing);
    assert_eq!(ACTIONS[2].plan(&job(1, StateKind::Running), NOW), Planned::NotOver);
    assert!(matches!(ACTIONS[1].plan(&job(1, StateKind::Succeeded), NOW), Planned::Refused(_)));
}

#[test]
fn a_command_that_means_everything_does_not_mean_itself() {
    let mut all = ask(ACTIONS[0]);
    all.filter = JobFilter { queues: vec![QueueName::default()], ..JobFilter::default() };
    let mut spec = checked(all).unwrap();
    let mut own = job(7, StateKind::Running);
    assert!(spec.means(&own));
    Arc::make_mut(&mut own.spec).job_type = JobType::bulk();
    assert!(!spec.means(&own));
    spec.filter.job_ids = vec![own.id];
    assert!(spec.means(&own));
}

#[test]
fn more_jobs_than_expected_are_too_many() {
    let spec = spec(BulkAction::Retry);
    assert_eq!(spec.check_count(1_000), Ok(()));
    let error = spec.check_count(1_001).unwrap_err();
    assert_eq!(error.to_string(), "1001 jobs match, 1000 at most were expected");
}

#[test]
fn it_stops_when_it_has_changed_what_was_expected() {
    let spec = spec(BulkAction::Retry);
    let mut state = BulkState::starting(1_000);
    state.changed = 995;
    let later = NOW.plus(Duration::from_secs(100));
    assert_eq!(Pace::starting(NOW).next(&spec, &state, later), BulkNext::Take(5));
    state.changed = 1_000;
    assert_eq!(Pace::starting(NOW).next(&spec, &state, later), BulkNext::Full);
}

#[test]
fn a_slow_pace_takes_one_after_the_other() {
    let slow = BulkSpec { rate: 0.5, ..spec(BulkAction::Retry) };
    let state = BulkState::starting(10);
    let mut pace = Pace::starting(NOW);
    assert_eq!(pace.next(&slow, &state, NOW), BulkNext::Take(1));
    pace.took(1);
    let then = NOW.plus(Duration::from_secs(2));
    assert_eq!(pace.next(&slow, &state, NOW), BulkNext::Wait(then));
    assert_eq!(pace.next(&slow, &state, then), BulkNext::Take(1));
}

#[test]
fn lost_time_is_not_made_up_for_by_more_than_a_batch() {
    let slow = BulkSpec { rate: 10.0, ..spec(BulkAction::Retry) };
    let state = BulkState::starting(10_000);
    let mut pace = Pace::starting(NOW);
    let later = NOW.plus(Duration::from_secs(3_600));
    assert_eq!(pace.next(&slow, &state, later), BulkNext::Take(BULK_BATCH_JOBS));
    pace.took(BULK_BATCH_JOBS);
    assert!(matches!(pace.next(&slow, &state, later), BulkNext::Wait(_)));
}

#[test]
fn what_became_of_the_jobs_is_shown() {
    let mut state = BulkState::starting(40);
    for number in (1..=40_u128).rev() {
        let outcome = match number % 4 {
            0 => BulkOutcome::Changed,
            1 => BulkOutcome::Nothing,
            _ => BulkOutcome::Refused("it runs".to_owned()),
        };
        state.record(id(number), outcome);
    }
    let progress = state.progress(BulkAction::Retry);
    assert_eq!((progress.total, progress.completed), (Some(40), 40));
    assert_eq!((progress.succeeded, progress.failed), (20, 20));
    assert_eq!(progress.message, "retry: 10 done, 10 had nothing to do, 20 refused");
    assert_eq!(state.refusals.len(), BULK_SAMPLE_MAX);
    state.record(id(0), BulkOutcome::Changed);
    assert_eq!(state.progress(BulkAction::Retry).total, Some(41), "one more came to match");
}

proptest! {
    /// However often it is cut off between two batches, and a batch repeated whose commit was in doubt:
    /// each job that matched at the start is taken exactly once, and none that was made since.
    #[test]
    fn it_goes_on_after_a_crash_where_it_was(
        count in 1_u128..300,
        crashes in prop::collection::vec(0_usize..20, 0..10),
        repeats in prop::collection::vec(any::<bool>(), 20),
    ) {
        let spec = spec(BulkAction::Retry);
        let mut kept = BulkState::starting(u64::try_from(count).unwrap());
        let mut taken: BTreeMap<JobId, u32> = BTreeMap::new();
        let (mut now, mut made) = (NOW, count);
        let mut pace = Pace::starting(now);
        for step in 0..2_000 {
            now = now.plus(Duration::from_millis(100));
            if crashes.contains(&step) {
                let stored = rmp_serde::to_vec_named(&kept).unwrap();
                kept = rmp_serde::from_slice(&stored).unwrap();
                pace = Pace::starting(now);
            }
            made += 1;
            let BulkNext::Take(most) = pace.next(&spec, &kept, now) else { continue };
            let top = kept.cursor.map_or(count, |cursor| cursor.0.as_u128() - 1);
            let page: Vec<_> = (1..=top).rev().take(most).map(id).collect();
            if page.is_empty() {
                break;
            }
            let twice = repeats[step % repeats.len()];
            for job_id in page.iter().chain(page.iter().filter(|_| twice)) {
                if kept.is_ahead(*job_id) {
                    *taken.entry(*job_id).or_default() += 1;
                    kept.record(*job_id, BulkOutcome::Changed);
                }
            }
            pace.took(page.len());
        }
        prop_assert!(taken.values().all(|times| *times == 1));
        prop_assert_eq!(taken.len() as u128, count);
        prop_assert!(made > count && !taken.contains_key(&id(made)));
    }

    /// No second has more jobs than the rate and one batch allow.
    #[test]
    fn the_pace_is_kept(rate in 0.5_f64..5_000.0, looks in prop::collection::vec(1_u64..3_000, 1..200)) {
        let spec = BulkSpec { rate, expected_max: 10_000_000, ..spec(BulkAction::Retry) };
        let state = BulkState::starting(0);
        let (mut pace, mut now, mut taken) = (Pace::starting(NOW), NOW, 0.0);
        for gap in looks {
            now = now.plus(Duration::from_millis(gap));
            match pace.next(&spec, &state, now) {
                BulkNext::Take(jobs) => {
                    prop_assert!((1..=BULK_BATCH_JOBS).contains(&jobs));
                    pace.took(jobs);
                    taken += f64::from(u32::try_from(jobs).unwrap());
                }
                BulkNext::Wait(then) => prop_assert!(then > now),
                BulkNext::Full => prop_assert!(false, "nothing was changed"),
            }
            let most = now.since(NOW).as_secs_f64() * rate + 2.0;
            prop_assert!(taken <= most, "{taken} of {most}");
        }
    }
}
