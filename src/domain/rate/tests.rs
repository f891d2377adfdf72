//! Never more than the rate and the burst allow, and no less.

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn rate(count: u32, seconds: u64, burst: u32) -> StartRate {
    StartRate { count, period: Duration::from_secs(seconds), burst }
}

#[test]
fn a_full_bucket_gives_its_burst_and_then_the_rate() {
    let rate = rate(10, 60, 3);
    let (taken, bucket) = Bucket::full(&rate, START).take(&rate, 5, START);
    assert_eq!((taken, bucket.tokens), (3, 0.0));
    let next = bucket.next_time(&rate, START);
    assert_eq!(next.since(START), Duration::from_micros(6_000_001));
    let (taken, bucket) = bucket.take(&rate, 5, START.plus(Duration::from_secs(5)));
    assert_eq!(taken, 0);
    let (taken, _) = bucket.take(&rate, 5, next);
    assert_eq!(taken, 1);
}

#[test]
fn without_a_burst_it_holds_a_period() {
    let rate = rate(10, 60, 0);
    let late = START.plus(Duration::from_secs(86_400));
    assert_eq!(Bucket::full(&rate, START).take(&rate, 99, late).0, 10);
}

#[test]
fn a_clock_that_goes_back_fills_nothing_twice() {
    let rate = rate(1, 1, 0);
    let later = START.plus(Duration::from_secs(10));
    let (_, bucket) = Bucket::full(&rate, later).take(&rate, 1, later);
    let (taken, bucket) = bucket.take(&rate, 1, START);
    assert_eq!((taken, bucket.time), (0, later));
}

#[test]
fn a_smaller_rate_holds_at_once() {
    let full = Bucket::full(&rate(1_000, 1, 0), START);
    assert_eq!(full.take(&rate(2, 60, 0), 99, START).0, 2);
}

#[test]
fn wrong_fields_are_named_at_once() {
    let mut violations = Violations::default();
    StartRate { count: 0, period: Duration::ZERO, burst: u32::MAX }.validate("x.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["x.count", "x.period", "x.burst"]);
}

proptest! {
    #[test]
    fn over_any_time_it_gives_the_burst_and_the_rate_and_no_more(
        count in 1_u32..1_000, seconds in 1_u64..3_600, burst in 0_u32..100,
        steps in prop::collection::vec((0_u32..50, 0_u64..5_000_000), 1..200),
    ) {
        let rate = rate(count, seconds, burst);
        let mut bucket = Bucket::full(&rate, START);
        let (mut now, mut sum) = (START, 0_u32);
        for (wanted, micros) in steps {
            now = now.plus(Duration::from_micros(micros));
            let (taken, left) = bucket.take(&rate, wanted, now);
            prop_assert!(taken <= wanted);
            sum += taken;
            bucket = left;
            let most = rate.capacity() + now.since(START).as_secs_f64() * rate.per_second();
            prop_assert!(f64::from(sum) <= most + 0.01, "{} of {}", sum, most);
        }
    }

    #[test]
    fn waiting_for_the_next_token_is_never_in_vain(count in 1_u32..1_000_000, seconds in 1_u64..86_400) {
        let rate = rate(count, seconds, 1);
        let (mut bucket, mut now) = (Bucket::full(&rate, START), START);
        for _ in 0..50 {
            now = bucket.next_time(&rate, now);
            let (taken, left) = bucket.take(&rate, 1, now);
            prop_assert_eq!(taken, 1);
            bucket = left;
        }
        // And it is not slower than the rate, but for the microseconds that each wait rounds up.
        let most = 50.0 / rate.per_second() + 0.001;
        prop_assert!(now.since(START).as_secs_f64() <= most);
    }
}
