//! Waits between attempts.

mod rules;

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn exact() -> RetryPolicy {
    RetryPolicy { jitter: 0.0, ..RetryPolicy::default() }
}

fn listed(seconds: &[u64]) -> RetryPolicy {
    RetryPolicy { delays: seconds.iter().copied().map(Duration::from_secs).collect(), ..exact() }
}

#[test]
fn the_wait_doubles_up_to_its_cap() {
    let waits: Vec<_> = (1..=12).map(|attempt| exact().delay(attempt, 0.0).as_secs()).collect();
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600]);
}

#[test]
fn a_list_of_delays_goes_in_order_and_repeats_its_last() {
    let policy = listed(&[1, 60, 10]);
    let waits: Vec<_> = (1..=5).map(|attempt| policy.delay(attempt, 0.0).as_secs()).collect();
    assert_eq!(waits, [1, 60, 10, 10, 10]);
}

#[test]
fn chance_moves_the_wait_by_the_jitter_either_way() {
    let policy =
        RetryPolicy { initial_backoff: Duration::from_secs(100), ..RetryPolicy::default() };
    assert_eq!(policy.delay(1, -1.0), Duration::from_secs(90));
    assert_eq!(policy.delay(1, 0.0), Duration::from_secs(100));
    assert_eq!(policy.delay(1, 1.0), Duration::from_secs(110));
    assert_eq!(policy.delay(1, 7.0), Duration::from_secs(110));
}

#[test]
fn the_cap_counts_before_the_jitter() {
    let policy = RetryPolicy::default();
    assert_eq!(policy.delay(50, 1.0), Duration::from_secs(3_960));
}

#[test]
fn attempt_zero_counts_as_the_first() {
    assert_eq!(exact().delay(0, 0.0), Duration::from_secs(5));
    assert_eq!(listed(&[7]).delay(0, 0.0), Duration::from_secs(7));
}

#[test]
fn growth_beyond_every_number_ends_at_the_cap() {
    let policy = RetryPolicy { backoff_multiplier: 1e300, ..exact() };
    assert_eq!(policy.delay(u32::MAX, 0.0), Duration::from_secs(3_600));
    let never = RetryPolicy { max_backoff: Duration::MAX, ..policy };
    assert_eq!(never.delay(u32::MAX, 0.0), RETRY_DELAY_MAX);
}

#[test]
fn no_wait_stays_none_however_it_grows() {
    let policy =
        RetryPolicy { initial_backoff: Duration::ZERO, backoff_multiplier: 1e300, ..exact() };
    assert_eq!(policy.delay(u32::MAX, 0.0), Duration::ZERO);
}

proptest! {
    #[test]
    fn the_wait_lies_within_the_jitter_of_the_exact_one(
        attempt in 1_u32..100, chance in -1.0_f64..=1.0, jitter in 0.0_f64..=1.0,
    ) {
        let base = exact().delay(attempt, 0.0).as_secs_f64();
        let wait = RetryPolicy { jitter, ..exact() }.delay(attempt, chance).as_secs_f64();
        prop_assert!((wait - base).abs() <= base * jitter + 1e-6, "{} of {}", wait, base);
    }

    #[test]
    fn no_figures_whatever_stop_the_machine(
        attempt: u32,
        chance in prop::num::f64::ANY,
        jitter in prop::num::f64::ANY,
        backoff_multiplier in prop::num::f64::ANY,
        initial in 0_u64.., cap in 0_u64..,
    ) {
        let policy = RetryPolicy {
            initial_backoff: Duration::from_secs(initial),
            max_backoff: Duration::from_secs(cap),
            backoff_multiplier,
            jitter,
            ..RetryPolicy::default()
        };
        prop_assert!(policy.delay(attempt, chance) <= RETRY_DELAY_MAX);
    }
}
