//! Units that are never drawn twice, and periods that begin once.

use proptest::prelude::*;

use super::*;
use crate::domain::written::moment_text;

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(at.as_microsecond())
}

fn quota(limit: u64, period: Period, zone: &str) -> Quota {
    let on_exhausted = OnExhausted::Wait;
    let spec = QuotaSpec { limit, period, time_zone: zone.to_owned(), on_exhausted };
    let mut violations = Violations::default();
    let quota = spec.compile("", &mut violations);
    assert!(violations.is_empty());
    quota.unwrap()
}

fn period(period: Period, zone: &str, now: &str) -> (String, String) {
    let (start, end) = quota(1, period, zone).period(at(now));
    (moment_text(start).unwrap(), moment_text(end).unwrap())
}

fn pair(start: &str, end: &str) -> (String, String) {
    (start.to_owned(), end.to_owned())
}

fn taken(drawn: Drawn) -> (QuotaState, QuotaDraw) {
    let Drawn::Taken { state, draw } = drawn else { panic!("{drawn:?}") };
    (state, draw)
}

#[test]
fn periods_are_those_of_the_zone() {
    let now = "2026-07-01T20:30:00Z";
    let los_angeles = "America/Los_Angeles";
    assert_eq!(period(Period::Hour, "", now), pair("2026-07-01T20:00:00Z", "2026-07-01T21:00:00Z"));
    assert_eq!(
        period(Period::Day, los_angeles, now),
        pair("2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z")
    );
    assert_eq!(period(Period::Week, "", now), pair("2026-06-29T00:00:00Z", "2026-07-06T00:00:00Z"));
    assert_eq!(
        period(Period::Month, los_angeles, now),
        pair("2026-07-01T07:00:00Z", "2026-08-01T07:00:00Z")
    );
}

#[test]
fn a_day_has_the_hours_its_clock_gives_it() {
    let berlin = "Europe/Berlin";
    assert_eq!(
        period(Period::Day, berlin, "2026-03-29T12:00:00Z"),
        pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
    );
    assert_eq!(
        period(Period::Day, berlin, "2026-10-25T12:00:00Z"),
        pair("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    );
    // The hour that clocks show twice is one period, and the one they skip is none.
    assert_eq!(
        period(Period::Hour, berlin, "2026-10-25T01:30:00Z"),
        pair("2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z")
    );
    assert_eq!(
        period(Period::Hour, berlin, "2026-03-29T00:30:00Z"),
        pair("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")
    );
    assert_eq!(
        period(Period::Day, "Pacific/Apia", "2011-12-30T09:00:00Z"),
        pair("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z")
    );
}

#[test]
fn a_draw_that_does_not_fit_takes_nothing() {
    let quota = quota(10, Period::Day, "");
    let now = at("2026-01-01T12:00:00Z");
    let (state, draw) = taken(quota.draw(QuotaState::default(), 7, now));
    assert_eq!((draw.units, quota.remaining(state, now)), (7, 3));
    let reset_time = at("2026-01-02T00:00:00Z");
    assert_eq!(quota.draw(state, 4, now), Drawn::Exhausted { reset_time });
    assert_eq!(quota.draw(state, 11, now), Drawn::Never);
    let (state, _) = taken(quota.draw(state, 3, now));
    assert_eq!(quota.remaining(state, now), 0);
    let (state, _) = taken(quota.draw(state, 4, reset_time));
    assert_eq!((state.used, quota.remaining(state, reset_time)), (4, 6));
}

#[test]
fn it_runs_out_when_too_little_is_left_for_another_start() {
    let quota = quota(100, Period::Day, "");
    let now = at("2026-01-01T12:00:00Z");
    let states: Vec<QuotaState> = std::iter::successors(Some(QuotaState::default()), |state| {
        match quota.draw(*state, 30, now) {
            Drawn::Taken { state, .. } => Some(state),
            Drawn::Exhausted { .. } | Drawn::Never => None,
        }
    })
    .collect();
    let runs_out = |cost| -> Vec<bool> {
        states.windows(2).map(|of| quota.runs_out(of[0], of[1], cost, now)).collect()
    };
    assert_eq!(runs_out(Some(30)), [false, false, true], "10 are left");
    assert_eq!(runs_out(Some(10)), [false; 3]);
    assert_eq!(runs_out(Some(0)), [false; 3], "what costs nothing may always start");
    let (last, none) = (states[3], QuotaState { used: 100, ..states[3] });
    assert!(quota.runs_out(last, none, None, now) && quota.runs_out(last, none, Some(0), now));
    assert!(!quota.runs_out(last, none, Some(30), now), "it had run out before");
}

fn used(draw: QuotaDraw, units: u64) -> QuotaDraw {
    QuotaDraw { used: Some(units), ..draw }
}

#[test]
fn what_was_really_used_corrects_the_draw() {
    let quota = quota(100, Period::Day, "");
    let now = at("2026-01-01T12:00:00Z");
    let (state, draw) = taken(quota.draw(QuotaState::default(), 50, now));
    let state = quota.settle(state, draw, used(draw, 20), (now, now));
    assert_eq!(state.used, 20);
    assert_eq!(quota.settle(state, used(draw, 20), used(draw, 20), (now, now)), state);
    let state = quota.settle(state, used(draw, 20), used(draw, 130), (now, now));
    assert_eq!((state.used, quota.remaining(state, now)), (130, 0));
    assert_eq!(quota.settle(state, used(draw, 130), used(draw, 0), (now, now)).used, 0);
}

#[test]
fn a_draw_of_yesterday_gives_nothing_back_today() {
    let quota = quota(100, Period::Day, "");
    let (night, morning) = (at("2026-01-01T23:59:00Z"), at("2026-01-02T00:01:00Z"));
    let (state, draw) = taken(quota.draw(QuotaState::default(), 50, night));
    let (state, other) = taken(quota.draw(state, 30, morning));
    let state = quota.settle(state, draw, used(draw, 10), (night, morning));
    assert_eq!(state.used, 30);
    let state = quota.settle(state, used(draw, 10), used(draw, 60), (night, morning));
    assert_eq!(state.used, 40);
    assert_eq!(quota.settle(state, other, used(other, 0), (night, morning)).used, 10);
}

#[test]
fn what_was_said_too_much_yesterday_takes_nothing_from_others_today() {
    let quota = quota(100, Period::Day, "");
    let days = ["2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z"].map(at);
    let (state, draw) = taken(quota.draw(QuotaState::default(), 50, days[0]));
    let state = quota.settle(state, draw, used(draw, 90), (days[0], days[1]));
    assert_eq!(state.used, 40, "beyond the draw");
    let (state, _) = taken(quota.draw(state, 70, days[2]));
    assert_eq!(quota.settle(state, used(draw, 90), used(draw, 60), (days[0], days[2])).used, 70);
}

#[test]
fn use_without_a_draw_counts_when_it_is_told() {
    let quota = quota(100, Period::Day, "");
    let now = at("2026-01-01T12:00:00Z");
    let none = QuotaDraw::default();
    let state = quota.settle(QuotaState::default(), none, used(none, 7), (now, now));
    assert_eq!(state.used, 7);
    let tomorrow = at("2026-01-02T12:00:00Z");
    let state = quota.settle(state, used(none, 7), used(none, 10), (now, tomorrow));
    assert_eq!(state.used, 3, "the rest was told yesterday");
}

#[test]
fn wrong_fields_are_named_at_once() {
    let spec: QuotaSpec =
        serde_json::from_str(r#"{"limit": 0, "period": "month", "time_zone": "Moon"}"#).unwrap();
    let mut violations = Violations::default();
    assert_eq!(spec.compile("quotas.x.", &mut violations), None);
    let fields: Vec<_> = violations.as_slice().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["quotas.x.limit", "quotas.x.time_zone"]);
}

proptest! {
    #[test]
    fn draws_of_a_period_never_pass_its_limit(
        limit in 1_u64..1_000,
        steps in prop::collection::vec((0_u64..300, 0_u64..20_000), 1..100),
    ) {
        let quota = quota(limit, Period::Hour, "Europe/Berlin");
        let mut now = at("2026-10-24T20:00:00Z");
        let mut state = QuotaState::default();
        let mut sums = std::collections::BTreeMap::<Timestamp, u64>::new();
        for (cost, wait) in steps {
            now = now.plus(std::time::Duration::from_secs(wait));
            let revision = state.revision;
            if let Drawn::Taken { state: after, draw } = quota.draw(state, cost, now) {
                prop_assert!(after.revision > revision);
                state = after;
                *sums.entry(quota.period(now).0).or_default() += draw.units;
            }
        }
        prop_assert!(sums.values().all(|sum| *sum <= limit), "{:?}", sums);
    }

    #[test]
    fn periods_follow_each_other_without_a_gap(seconds in 0_i64..4_000_000_000, which in 0_usize..4) {
        let quota = quota(1, Period::ALL[which], "Australia/Lord_Howe");
        let now = Timestamp::from_micros(seconds * 1_000_000);
        let (start, end) = quota.period(now);
        prop_assert!(start <= now && now < end);
        prop_assert_eq!(quota.period(start), (start, end));
        prop_assert_eq!(quota.period(end).0, end);
    }
}
