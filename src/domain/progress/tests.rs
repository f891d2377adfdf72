//! Figures that follow from progress, against values computed by hand.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_000_000_000);

fn at(seconds: f64) -> Timestamp {
    START.plus(Duration::from_secs_f64(seconds))
}

fn of(completed: i64, total: Option<i64>) -> Progress {
    Progress { total, completed, ..Progress::default() }
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * right.abs().max(1.0)
}

#[test]
fn percent_is_the_part_that_is_done() {
    let percent = |progress: Progress| progress.derive(START, at(1.0)).percent;
    assert_eq!(percent(of(1, Some(4))), Some(25.0));
    assert_eq!(percent(of(0, Some(4))), Some(0.0));
    assert_eq!(percent(of(4, Some(4))), Some(100.0));
    assert_eq!(percent(of(7, None)), None);
    assert_eq!(percent(Progress { percent: Some(12.5), ..of(7, None) }), Some(12.5));
}

#[test]
fn nothing_to_do_is_done() {
    let derived = of(0, Some(0)).derive(START, at(5.0));
    assert_eq!(derived.percent, Some(100.0));
    assert_eq!(derived.remaining, Some(Duration::ZERO));
}

#[test]
fn elapsed_and_average_count_from_the_start() {
    let derived = of(30, None).derive(START, at(60.0));
    assert_eq!(derived.elapsed, Duration::from_secs(60));
    assert!(close(derived.average_rate_per_second, 0.5));
    assert!(close(derived.rate_per_second, 0.5), "no sample yet: the average stands in");
    assert_eq!(derived.remaining, None);
}

#[test]
fn at_the_very_start_nothing_is_known() {
    let derived = of(0, Some(10)).derive(START, START);
    assert_eq!(derived.elapsed, Duration::ZERO);
    assert_eq!((derived.rate_per_second, derived.average_rate_per_second), (0.0, 0.0));
    assert_eq!(derived.remaining, None);
}

#[test]
fn a_clock_before_the_start_counts_as_the_start() {
    let derived = of(5, Some(10)).derive(START, Timestamp::from_micros(0));
    assert_eq!((derived.elapsed, derived.average_rate_per_second), (Duration::ZERO, 0.0));
}

#[test]
fn the_first_sample_is_the_rate() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0));
    assert!(rate.warm && close(rate.per_second, 10.0));
    assert_eq!((rate.sampled_completed, rate.sampled_at), (20, at(2.0)));
}

#[test]
fn later_samples_weigh_by_their_length() {
    // 10/s over 2 s, then 30/s over 10 s: the old rate weighs e^−1.
    let rate = Rate::starting(START, 0).observe(20, at(2.0)).observe(320, at(12.0));
    assert!(close(rate.per_second, 10.0 + (1.0 - (-1.0_f64).exp()) * 20.0));
    assert!(close(rate.per_second, 22.642_411_176_571_15));
    // Then nothing for 20 s: it falls by e^−2.
    let rate = rate.observe(320, at(32.0));
    assert!(close(rate.per_second, 22.642_411_176_571_15 * (-2.0_f64).exp()));
}

#[test]
fn reports_close_together_are_one_sample() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0));
    assert_eq!(rate.observe(21, at(2.05)), rate);
    let rate = rate.observe(22, at(2.1));
    let weight = 1.0 - (-0.01_f64).exp();
    assert!(close(rate.per_second, 10.0 + weight * (20.0 - 10.0)));
}

#[test]
fn a_count_that_falls_starts_the_rate_anew() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0)).observe(5, at(3.0));
    assert_eq!(rate, Rate::starting(at(3.0), 5));
    let rate = rate.observe(15, at(5.0));
    assert!(close(rate.per_second, 5.0));
}

#[test]
fn a_clock_that_goes_back_takes_no_sample() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0));
    assert_eq!(rate.observe(30, at(1.0)), rate);
}

#[test]
fn a_report_carries_the_rate_on() {
    let first = of(20, Some(100)).following(&Progress::default(), START, at(2.0));
    assert!(first.is_reported() && !Progress::default().is_reported());
    assert_eq!(first.report_time, Some(at(2.0)));
    let second = of(50, Some(100)).following(&first, START, at(5.0));
    let derived = second.derive(START, at(5.0));
    assert!(close(derived.rate_per_second, 10.0));
    assert_eq!(derived.remaining, Some(Duration::from_secs(5)));
}

#[test]
fn the_rate_of_late_tells_what_remains_and_not_the_average() {
    let mut progress = of(50, Some(100));
    progress.rate = Some(Rate { per_second: 25.0, warm: true, ..Rate::starting(START, 0) });
    let derived = progress.derive(START, at(100.0));
    assert!(close(derived.average_rate_per_second, 0.5));
    assert_eq!(derived.remaining, Some(Duration::from_secs(2)));
}

#[test]
fn a_percentage_alone_tells_what_remains() {
    let derived = Progress { percent: Some(25.0), ..of(0, None) }.derive(START, at(10.0));
    assert_eq!(derived.remaining, Some(Duration::from_secs(30)));
    let derived = Progress { percent: Some(0.0), ..of(0, None) }.derive(START, at(10.0));
    assert_eq!(derived.remaining, None);
}

#[test]
fn the_worker_knows_better() {
    let known = Some(Duration::from_secs(7));
    let progress = Progress { estimated_remaining: known, ..of(50, Some(100)) };
    assert_eq!(progress.derive(START, at(100.0)).remaining, known);
}

#[test]
fn a_rate_as_good_as_zero_tells_nothing() {
    let mut progress = of(1, Some(i64::MAX));
    progress.rate = Some(Rate { per_second: 1e-9, warm: true, ..Rate::starting(START, 0) });
    assert_eq!(progress.derive(START, at(1.0)).remaining, None);
}

proptest! {
    #[test]
    fn no_figures_whatever_stop_the_server(
        completed in 0_i64..,
        total in prop::option::of(0_i64..),
        percent in prop::option::of(prop::num::f64::ANY),
        per_second in prop::num::f64::ANY,
        start: i32,
        now: i32,
    ) {
        let micros = |micros: i32| Timestamp::from_micros(i64::from(micros));
        let rate = Some(Rate { per_second, warm: true, ..Rate::starting(START, 0) });
        let progress = Progress { percent, rate, ..of(completed, total) };
        let derived = progress.derive(micros(start), micros(now));
        if let Some(percent) = derived.percent.filter(|percent| !percent.is_nan()) {
            prop_assert!((0.0..=100.0).contains(&percent));
        }
    }

    #[test]
    fn a_steady_pace_is_the_rate(pace in 1_i64..1_000, ticks in 1_i64..50) {
        let rate = (1..=ticks).fold(Rate::starting(START, 0), |rate, tick| {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            rate.observe(pace * tick, at(tick as f64))
        });
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let wanted = pace as f64;
        prop_assert!(close(rate.per_second, wanted));
    }
}
