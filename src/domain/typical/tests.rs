//! What is told of a run by those before it.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::Trigger;
use crate::domain::machine::{Applied, Birth, Command, Now, apply, create};
use crate::domain::{JobType, QueueName, SessionId, WorkerName};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn of(seconds: &[u64]) -> Typical {
    let mut runs = Histogram::default();
    for seconds in seconds {
        runs.record(secs(*seconds));
    }
    Typical::from(runs)
}

fn spec() -> JobSpec {
    JobSpec::new(JobType::new("hash_file").unwrap(), QueueName::default())
}

fn pending() -> JobStatus {
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    create(&spec(), birth, START)
}

fn running() -> JobStatus {
    let worker_id = WorkerName::new("w1").unwrap();
    let start = Command::Start { session: SessionId(Uuid::from_u128(7)), worker_id };
    match apply(&spec(), &pending(), start, Now::at(START)) {
        Ok(Applied::Changed(transition)) => transition.status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_is_slow_after_twice_what_nearly_all_take() {
    let typical = of(&[100; 20]);
    let after = typical.slow_after().unwrap();
    assert!((194..=206).contains(&after.as_secs()), "{after:?}");
    assert_eq!(typical.slow(&running(), START.plus(after)), None);
    let slow = typical.slow(&running(), START.plus(secs(210))).unwrap();
    assert_eq!(slow.run, secs(210));
    assert!((97..=103).contains(&slow.p95.as_secs()), "{slow:?}");
}

#[test]
fn nothing_is_slow_with_too_few_runs_on_record_or_if_it_does_not_run() {
    assert_eq!(of(&[1; 19]).slow_after(), None);
    assert_eq!(of(&[1; 19]).slow(&running(), START.plus(secs(9_999))), None);
    assert_eq!(of(&[1; 20]).slow(&pending(), START.plus(secs(9_999))), None);
}

#[test]
fn short_runs_are_not_slow_at_once() {
    let typical = of(&[1; 100]);
    assert_eq!(typical.slow_after(), Some(SLOW_AFTER_MIN));
    assert_eq!(typical.slow(&running(), START.plus(secs(10))), None);
    assert!(typical.slow(&running(), START.plus(secs(11))).is_some());
}

#[test]
fn the_remaining_time_goes_by_the_runs_that_took_as_long() {
    // Ten of a minute, ten of an hour: who has run for ten minutes is one of the latter.
    let runs: Vec<_> = [60; 10].into_iter().chain([3_600; 10]).collect();
    let typical = of(&runs);
    assert!(typical.remaining(Duration::ZERO).unwrap() <= secs(62));
    let left = typical.remaining(secs(600)).unwrap();
    assert!((2_880..=3_120).contains(&left.as_secs()), "{left:?}");
    assert_eq!(typical.remaining(secs(4_000)), None);
}

#[test]
fn what_the_progress_says_goes_before_history_and_history_before_hope() {
    let typical = of(&[100; 10]);
    let mut hopeful = spec();
    hopeful.estimated_duration = Some(secs(30));
    let derived = Derived { elapsed: secs(10), ..Derived::default() };
    let known = Derived { remaining: Some(secs(7)), ..derived };
    assert_eq!(remaining(&known, Some(&typical), &hopeful), Some(secs(7)));
    let told = remaining(&derived, Some(&typical), &hopeful).unwrap();
    assert!((85..=95).contains(&told.as_secs()), "{told:?}");
    assert_eq!(remaining(&derived, None, &hopeful), Some(secs(20)));
    let late = Derived { elapsed: secs(30), ..Derived::default() };
    assert_eq!(remaining(&late, None, &hopeful), None);
    assert_eq!(remaining(&derived, None, &spec()), None);
}

proptest! {
    #[test]
    fn what_remains_plus_what_passed_is_a_run_on_record(
        runs in prop::collection::vec(1_u64..100_000, 5..100),
        elapsed in 0_u64..100_000,
    ) {
        let typical = of(&runs);
        if let Some(remaining) = typical.remaining(secs(elapsed)) {
            let longest = secs(*runs.iter().max().unwrap());
            prop_assert!(secs(elapsed) + remaining <= longest.mul_f64(1.04) + secs(1));
        }
    }
}
