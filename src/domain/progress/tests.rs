//! Figures that follow from progress, against values computed by hand.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn following(mut next: Progress, held: &Progress, start: Timestamp, now: Timestamp) -> Progress {
    next.follow(held, (start, now));
    next
}

#[test]
fn an_execution_that_counts_on_has_the_pace_of_what_it_does_itself() {
    let before = following(of(1_900, Some(3_000)), &Progress::default(), START, at(9.0)).of_next();
    assert!(!before.is_reported());
    // One in between that said nothing changes nothing.
    let first = following(of(2_000, Some(3_000)), &before.of_next(), START, at(0.02));
    let derived = first.derive(START, at(1.0));
    assert!(close(derived.average_rate_per_second, 0.0) && close(derived.rate_per_second, 0.0));
    assert_eq!((derived.percent, derived.remaining), (Some(200.0 / 3.0), None));
    let second = following(of(2_100, Some(3_000)), &first, START, at(10.02));
    let derived = second.derive(START, at(10.02));
    assert!(close(derived.rate_per_second, 10.0), "{derived:?}");
    assert_eq!(derived.remaining, Some(Duration::from_secs(90)));
    // One that counts from nothing in the middle has no pace of its own yet.
    let anew = following(of(5, Some(3_000)), &second, START, at(11.0));
    assert!(close(anew.derive(START, at(11.0)).average_rate_per_second, 0.0));
}

#[test]
fn an_execution_that_begins_anew_has_the_pace_of_all_it_does() {
    let far = following(of(5_001, None), &Progress::default(), START, at(9.0));
    for before in [Progress::default(), far] {
        let first = following(of(5_000, None), &before.of_next(), START, at(10.0));
        let derived = first.derive(START, at(10.0));
        assert!(close(derived.average_rate_per_second, 500.0), "{derived:?}");
        assert!(close(derived.rate_per_second, 500.0), "{derived:?}");
        let second = following(of(6_000, None), &first, START, at(12.0));
        assert!(close(second.derive(START, at(12.0)).average_rate_per_second, 500.0));
    }
}

const START: Timestamp = Timestamp::from_micros(1_000_000_000);

fn at(seconds: f64) -> Timestamp {
    START.plus(Duration::from_secs_f64(seconds))
}

fn of(completed: i64, total: Option<i64>) -> Progress {
    Progress { total, completed, ..Progress::default() }
}

/// A rate as after very many samples.
const fn settled(per_second: f64) -> Rate {
    Rate { weighted: per_second, weight: 1.0, ..Rate::starting(START, 0) }
}

/// Twenty units done of a hundred, 10/s, reported after 2 s.
fn reported() -> Progress {
    following(of(20, Some(100)), &Progress::default(), START, at(2.0))
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * right.abs().max(1.0)
}

fn per_second(rate: Rate) -> f64 {
    rate.per_second().expect("a sample")
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
    assert!(close(per_second(rate), 10.0));
    assert!(close(rate.weight, 1.0 - (-0.2_f64).exp()), "it weighs as much as it is long");
    assert_eq!((rate.sampled_completed, rate.sampled_at), (20, at(2.0)));
}

#[test]
fn later_samples_weigh_by_their_length() {
    // 10/s over 2 s, then 30/s over 10 s: (10·(1−e^−0.2)·e^−1 + 30·(1−e^−1)) / (1−e^−1.2).
    let rate = Rate::starting(START, 0).observe(20, at(2.0)).observe(320, at(12.0));
    assert!(close(per_second(rate), 28.091_451_719_605));
    // Then nothing for 20 s: 19.630·e^−2 / (1−e^−3.2).
    let rate = rate.observe(320, at(32.0));
    assert!(close(per_second(rate), 2.769_589_668_981));
}

#[test]
fn reports_close_together_are_one_sample() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0));
    assert_eq!(rate.observe(21, at(2.05)), rate);
    let rate = rate.observe(22, at(2.1));
    // (10·(1−e^−0.2)·e^−0.01 + 20·(1−e^−0.01)) / (1−e^−0.21).
    assert!(close(per_second(rate), 10.525_308_272_366));
}

#[test]
fn a_count_that_falls_starts_the_rate_anew() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0)).observe(5, at(3.0));
    assert_eq!(rate, Rate::starting(at(3.0), 5));
    assert_eq!(rate.per_second(), None);
    let rate = rate.observe(15, at(5.0));
    assert!(close(per_second(rate), 5.0));
}

#[test]
fn a_clock_that_goes_back_takes_no_sample() {
    let rate = Rate::starting(START, 0).observe(20, at(2.0));
    assert_eq!(rate.observe(30, at(1.0)), rate);
}

#[test]
fn a_report_carries_the_rate_on() {
    let first = reported();
    assert!(first.is_reported() && !Progress::default().is_reported());
    assert_eq!(first.report_time, Some(at(2.0)));
    let second = following(of(50, Some(100)), &first, START, at(5.0));
    let derived = second.derive(START, at(5.0));
    assert!(close(derived.rate_per_second, 10.0));
    assert_eq!(derived.remaining, Some(Duration::from_secs(5)));
}

#[test]
fn the_rate_of_late_tells_what_remains_and_not_the_average() {
    let mut progress = of(50, Some(100));
    progress.rate = Some(settled(25.0));
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
    progress.rate = Some(settled(1e-9));
    assert_eq!(progress.derive(START, at(1.0)).remaining, None);
}

#[test]
fn a_first_report_that_comes_at_once_tells_no_remaining_time() {
    let first = following(of(4, Some(1_000)), &Progress::default(), START, at(0.029));
    assert_eq!(first.derive(START, at(0.029)).remaining, None);
    assert_eq!(first.derive(START, at(0.999)).remaining, None);
    let second = following(of(5, Some(1_000)), &first, START, at(1.0));
    assert_eq!(second.derive(START, at(1.0)).remaining, Some(Duration::from_secs(199)));
    let by_percent = Progress { percent: Some(25.0), ..of(0, None) };
    assert_eq!(by_percent.derive(START, at(0.9)).remaining, None);
}

#[test]
fn a_burst_at_the_start_is_soon_forgotten() {
    // Four at once, then 5/s: after 20 s the four still add 4/10·e^−2/(1−e^−2) = 0.063; a first sample of
    // full weight, 40/s, would still add 35·e^−2 = 4.7.
    let first = Rate::starting(START, 0).observe(4, at(0.1));
    let rate = (1_i32..=20)
        .fold(first, |rate, tick| rate.observe(4 + 5 * i64::from(tick), at(f64::from(tick))));
    assert!((5.0..5.1).contains(&per_second(rate)), "{rate:?}");
}

#[test]
fn the_rate_falls_once_nothing_is_reported_for_longer_than_its_time_constant() {
    let rate = |seconds: f64| reported().derive(START, at(2.0 + seconds)).rate_per_second;
    assert!(close(rate(0.0), 10.0) && close(rate(10.0), 10.0));
    assert!(close(rate(20.0), 10.0 * (-1.0_f64).exp()));
    assert!(close(rate(44.0), 10.0 * (-3.4_f64).exp()));
}

#[test]
fn silence_takes_the_remaining_time_along() {
    let remaining = |seconds: f64| reported().derive(START, at(2.0 + seconds)).remaining;
    assert_eq!(remaining(0.0), Some(Duration::from_secs(8)));
    // 80 left at 10·e^−1 a second.
    let slower = remaining(20.0).expect("known").as_secs_f64();
    assert!((slower - 8.0 * 1.0_f64.exp()).abs() < 1e-6);
    assert!(remaining(30.0).is_some());
    assert_eq!(remaining(30.1), None);
}

#[test]
fn the_worker_s_estimate_counts_down_and_is_dropped_after_a_long_silence() {
    let estimated_remaining = Some(Duration::from_secs(25));
    let progress = Progress { estimated_remaining, ..reported() };
    let remaining = |seconds: f64| progress.derive(START, at(2.0 + seconds)).remaining;
    assert_eq!(remaining(0.0), estimated_remaining);
    assert_eq!(remaining(5.0), Some(Duration::from_secs(20)));
    assert_eq!(remaining(28.0), Some(Duration::ZERO));
    assert_eq!(remaining(30.1), None);
}

#[test]
fn nothing_remains_when_all_is_done_however_soon_and_however_long_ago() {
    let done = following(of(100, Some(100)), &Progress::default(), START, at(0.05));
    for seconds in [0.05, 2.0, 100.0] {
        assert_eq!(done.derive(START, at(seconds)).remaining, Some(Duration::ZERO));
    }
}

#[test]
fn a_rate_of_another_shape_is_read_as_one_without_samples() {
    let old = r#"{"per_second": 5.0, "c": 7, "a": 9, "warm": true}"#;
    let rate: Rate = serde_json::from_str(old).expect("readable");
    assert_eq!(rate, Rate::starting(Timestamp::from_micros(9), 7));
}

proptest! {
    #[test]
    fn no_figures_whatever_stop_the_server(
        completed in 0_i64..,
        total in prop::option::of(0_i64..),
        percent in prop::option::of(prop::num::f64::ANY),
        estimated in prop::option::of(any::<Duration>()),
        weighted in prop::num::f64::ANY,
        weight in prop::num::f64::ANY,
        start: i32,
        reported: i32,
        now: i32,
    ) {
        let micros = |micros: i32| Timestamp::from_micros(i64::from(micros));
        let rate = Some(Rate { weighted, weight, ..Rate::starting(START, 0) });
        let report_time = Some(micros(reported));
        let estimated_remaining = estimated;
        let progress =
            Progress { percent, estimated_remaining, rate, report_time, ..of(completed, total) };
        let derived = progress.derive(micros(start), micros(now));
        if let Some(percent) = derived.percent.filter(|percent| !percent.is_nan()) {
            prop_assert!((0.0..=100.0).contains(&percent));
        }
    }

    #[test]
    fn a_steady_pace_is_the_rate_however_uneven_the_samples(
        pace_per_ms in 0_i64..1_000,
        spans_ms in prop::collection::vec(1_u32..60_000, 1..50),
    ) {
        let (mut rate, mut now_ms) = (Rate::starting(START, 0), 0);
        for span_ms in spans_ms {
            now_ms += i64::from(span_ms);
            let now = Timestamp::from_micros(START.as_micros() + now_ms * 1_000);
            rate = rate.observe(pace_per_ms * now_ms, now);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let wanted = (pace_per_ms * 1_000) as f64;
            prop_assert!(rate.per_second().is_none_or(|found| close(found, wanted)));
        }
        prop_assert_eq!(rate.per_second().is_some(), now_ms >= 100);
    }

    #[test]
    fn silence_lowers_the_rate_and_never_raises_it(
        reports in prop::collection::vec((100_u32..60_000, 0_i64..1_000), 1..20),
        silences_ms in prop::collection::vec(0_u32..100_000, 1..20),
    ) {
        let (mut held, mut now) = (Progress::default(), START);
        for (span_ms, more) in reports {
            now = now.plus(Duration::from_millis(span_ms.into()));
            held = following(of(held.completed + more, None), &held, START, now);
        }
        let mut last = held.derive(START, now).rate_per_second;
        for silence_ms in silences_ms {
            now = now.plus(Duration::from_millis(silence_ms.into()));
            let rate = held.derive(START, now).rate_per_second;
            prop_assert!(rate <= last, "{rate} after {last}");
            last = rate;
        }
        // Nor does a report that nothing was done.
        let rate = following(of(held.completed, None), &held, START, now);
        let rate = rate.derive(START, now).rate_per_second;
        prop_assert!(rate <= last || close(rate, last), "{rate} after {last}");
    }
}
