//! Quantiles against the exact ones.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn of(millis: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    for span in millis {
        histogram.record(Duration::from_millis(*span));
    }
    histogram
}

/// The exact quantile: the lowest value that `quantile` of all are at or below.
fn exact(millis: &[u64], quantile: f64) -> Duration {
    let mut sorted = millis.to_vec();
    sorted.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank in a short list"
    )]
    let rank = ((quantile * sorted.len() as f64).ceil() as usize).max(1);
    Duration::from_millis(sorted[rank - 1])
}

#[test]
fn an_empty_one_knows_nothing() {
    let histogram = Histogram::default();
    assert_eq!((histogram.count(), histogram.mean()), (0, None));
    assert_eq!(histogram.quantile(0.5), None);
}

#[test]
fn the_mean_is_exact() {
    let mut histogram = of(&[1_000, 2_000]);
    histogram.record(Duration::from_micros(999));
    assert_eq!(histogram.count(), 3);
    assert_eq!(histogram.mean(), Some(Duration::from_micros(3_000_999 / 3)));
}

#[test]
fn quantiles_beyond_the_ends_are_the_ends() {
    let histogram = of(&[1, 100]);
    assert_eq!(histogram.quantile(-1.0), histogram.quantile(0.0));
    assert_eq!(histogram.quantile(2.0), histogram.quantile(1.0));
}

#[test]
fn buckets_meet_without_a_gap() {
    let mut last = 0;
    for millis in 0..100_000 {
        let bucket = bucket_of(millis);
        assert!(bucket == last || bucket == last + 1, "at {millis} ms");
        last = bucket;
    }
}

#[test]
fn the_longest_span_there_is_has_a_bucket() {
    let mut histogram = Histogram::default();
    histogram.record(Duration::MAX);
    histogram.record(Duration::MAX);
    assert_eq!(histogram.count(), 2);
    assert!(histogram.quantile(0.5).is_some());
}

fn spans() -> impl Strategy<Value = Vec<u64>> {
    // From milliseconds to years, all orders of magnitude alike.
    prop::collection::vec(
        (0_u32..35, any::<u64>()).prop_map(|(bits, any)| any & ((1 << bits) - 1)),
        1..200,
    )
}

proptest! {
    #[test]
    fn a_quantile_is_off_by_a_thirty_second_at_most(
        millis in spans(),
        quantile in 0.0_f64..=1.0,
    ) {
        let told = of(&millis).quantile(quantile).unwrap().as_secs_f64();
        let wanted = exact(&millis, quantile).as_secs_f64();
        // Half a millisecond more, for the resolution of the record.
        prop_assert!((told - wanted).abs() <= wanted / 32.0 + 0.000_5 + 1e-9, "{told} {wanted}");
    }

    #[test]
    fn merged_is_as_if_recorded_together(left in spans(), right in spans()) {
        let together: Vec<_> = left.iter().chain(&right).copied().collect();
        let mut merged = of(&left);
        merged.merge(&of(&right));
        prop_assert_eq!(merged, of(&together));
    }

    #[test]
    fn it_is_the_same_after_a_way_through_the_store(millis in spans()) {
        let histogram = of(&millis);
        let stored = rmp_serde::to_vec(&histogram).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<Histogram>(&stored).unwrap(), histogram);
    }
}

#[test]
fn a_part_taken_away_leaves_the_rest() {
    let (all, part) = (of(&[1, 20, 20, 300]), of(&[20, 300]));
    assert_eq!(all.without(&part), of(&[1, 20]));
    assert_eq!(all.without(&all), Histogram::default());
    assert_eq!(all.without(&Histogram::default()), all);
}

#[test]
fn beyond_a_span_there_are_the_longer_ones_alone() {
    let histogram = of(&[5, 5, 5, 1_000, 2_000, 2_000]);
    let (count, median) = histogram.beyond(Duration::from_millis(5)).unwrap();
    assert_eq!((count, Some(median)), (3, of(&[2_000]).quantile(0.5)));
    assert_eq!(histogram.beyond(Duration::from_secs(3)), None);
    assert_eq!(Histogram::default().beyond(Duration::ZERO), None);
}

proptest! {
    /// What the statistics tell, over many buckets merged as the windows do, is within 3.2 % or a
    /// millisecond of what an exact count says.
    #[test]
    fn the_percentiles_told_are_within_their_error(
        parts in prop::collection::vec(prop::collection::vec(0_u64..10_000_000, 1..50), 1..20),
    ) {
        let mut merged = Histogram::default();
        for part in &parts {
            merged.merge(&of(part));
        }
        let all: Vec<_> = parts.concat();
        for quantile in [0.5, 0.95, 0.99] {
            let exact = exact(&all, quantile).as_secs_f64();
            let told = merged.quantile(quantile).unwrap().as_secs_f64();
            prop_assert!((told - exact).abs() <= 0.032 * exact + 0.001, "{told} for {exact}");
        }
    }
}
