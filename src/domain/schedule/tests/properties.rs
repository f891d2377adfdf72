//! Schedules by chance, against clocks read second by second.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::schedule::expected::Expected;
use crate::domain::schedule::{Cron, Cursor, Side};
use crate::domain::zone::Zone;

const ZONES: [&str; 6] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
];

/// Moments around which clocks are changed somewhere.
const AROUND: [&str; 10] = [
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-03-08T07:00:00Z",
    "2026-11-01T06:00:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    "2026-02-15T02:00:00Z",
    "2026-03-22T02:00:00Z",
    "2011-12-30T10:00:00Z",
    "2026-07-01T00:00:00Z",
];

const HOURS: u64 = 40;

/// The rule, said the slow way: each minute that a clock fits the first time it shows it; and what no
/// clock shows, at the first moment after.
fn slowly(minute: u32, step: u32, zone: &str, from: Timestamp) -> BTreeSet<Timestamp> {
    let clock = Zone::named(zone).unwrap();
    let fits = |local: jiff::civil::DateTime| {
        u32::try_from(local.minute()).unwrap() == minute
            && u32::try_from(local.hour()).unwrap() % step == 0
    };
    let mut found = BTreeSet::new();
    // What was shown before `from` counts as shown, too.
    let start = from.minus(secs(36 * 3_600));
    let mut latest = clock.local(start).unwrap();
    for minute in 1..=(36 + HOURS) * 60 {
        let moment = start.plus(secs(minute * 60));
        let shown = clock.local(moment).unwrap();
        while latest < shown {
            latest = latest.checked_add(jiff::SignedDuration::from_mins(1)).unwrap();
            if fits(latest) {
                found.insert(moment);
            }
        }
    }
    found.into_iter().filter(|moment| *moment > from).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn times_are_as_a_clock_read_minute_by_minute_says(
        zone in prop::sample::select(&ZONES[..]),
        around in prop::sample::select(&AROUND[..]),
        before in 0_u64..30 * 60,
        minute in prop::sample::select(&[0_u32, 1, 10, 30, 45, 59][..]),
        step in 1_u32..6,
    ) {
        let from = at(around).minus(secs(before * 60));
        let spec = cron(&format!("{minute} */{step} * * *"), zone);
        let until = from.plus(secs(HOURS * 3_600));
        let schedule = compile(&spec);
        let first = schedule.next(from);
        let found: BTreeSet<_> = std::iter::successors(first, |time| schedule.next(*time))
            .take_while(|time| *time <= until)
            .collect();
        prop_assert_eq!(found, slowly(minute, step, zone, from));
    }

    #[test]
    fn each_time_is_settled_once_whenever_one_looks(
        interval in 1_u64..7_200,
        jitter in 0_u64..3_600,
        looks in prop::collection::vec(1_u64..20_000, 1..40),
    ) {
        let spec = ScheduleSpec { jitter: Some(secs(jitter)), ..every(interval) };
        let schedule = compile(&spec);
        let start = at("2026-01-01T00:00:07Z");
        let (mut now, mut through, mut seen) = (start, start, Vec::new());
        for look in looks {
            now = now.plus(secs(look));
            let due = schedule.due(&sync(), Cursor::at(through), now);
            through = due.through;
            seen.extend(due.times.into_iter().map(|one| one.nominal));
        }
        prop_assert_eq!(&seen, &schedule.fire_times(&sync(), start, seen.len()));
    }

    #[test]
    fn a_change_loses_nothing_that_both_name_and_adds_nothing_that_only_the_new_one_names(
        periods in (1_u64..40, 1_u64..40),
        jitter in 0_u64..3_600,
        change in 1_u64..7_200,
        end in 7_200_u64..14_400,
    ) {
        let spec = |minutes: u64| {
            ScheduleSpec { jitter: Some(secs(jitter)), ..every(minutes * 60) }
        };
        let start = at("2026-01-01T00:00:07Z");
        let (before, after) = (compile(&spec(periods.0)), compile(&spec(periods.1)));
        let (changed, end) = (start.plus(secs(change)), start.plus(secs(end)));
        let first = before.due(&sync(), Cursor::at(start), changed);
        let cursor = Cursor::at(first.through);
        let (old, new) =
            (Side { schedule: &before, acts: true }, Side { schedule: &after, acts: true });
        let next = cursor.after_change(old, new, changed);
        prop_assert!(cursor.through <= next.through && next.through <= changed);
        let named = |schedule: &Schedule, time: Timestamp| {
            schedule.next(time.minus(std::time::Duration::from_micros(1))) == Some(time)
        };
        let all = after.fire_times(&sync(), cursor.through, 1_000).into_iter();
        let past: Vec<_> = all.map(|one| one.time).filter(|time| *time <= end).collect();
        let is_new = |time: &Timestamp| *time <= changed && !named(&before, *time);
        let last_new = past.iter().rposition(is_new);
        let wanted = &past[last_new.map_or(0, |last| last + 1)..];
        let found: Vec<_> = after
            .fire_times(&sync(), next.through, 1_000)
            .into_iter()
            .map(|one| one.time)
            .filter(|time| *time <= end)
            .collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_owed_from_before_a_rest_is_settled_after_it_and_nothing_of_the_rest(
        interval in 1_u64..3_600,
        jitter in 0_u64..7_200,
        rest in (1_u64..20_000, 1_u64..20_000),
    ) {
        let spec = ScheduleSpec { jitter: Some(secs(jitter)), ..every(interval) };
        let schedule = compile(&spec);
        let side = |acts| Side { schedule: &schedule, acts };
        let start = at("2026-01-01T00:00:07Z");
        let stop = start.plus(secs(rest.0));
        let again = stop.plus(secs(rest.1));
        let end = again.plus(secs(20_000));
        let settle = |mut cursor: Cursor, now: Timestamp| {
            let mut seen = Vec::new();
            loop {
                let due = schedule.due(&sync(), cursor, now);
                cursor = cursor.moved(due.through);
                seen.extend(due.times.into_iter().map(|one| one.nominal.time));
                if !due.more {
                    return (cursor, seen);
                }
            }
        };
        let (cursor, mut seen) = settle(Cursor::at(start), stop);
        let cursor = cursor.after_change(side(true), side(false), stop);
        // A change while it rests is none of its times.
        let cursor = cursor.after_change(side(false), side(false), stop.plus(secs(1)));
        let cursor = cursor.after_change(side(false), side(true), again);
        let (cursor, more) = settle(cursor, end);
        seen.extend(more);
        let wanted: Vec<_> = schedule
            .fire_times(&sync(), start, 50_000)
            .into_iter()
            .map(|one| one.time)
            .take_while(|time| *time <= cursor.through)
            .filter(|time| *time <= stop || *time > again)
            .collect();
        prop_assert_eq!(seen, wanted);
    }

    #[test]
    fn no_text_stops_the_parser(text in "[ -~]{0,40}|[0-9*/,#LW? -]{1,30}|\\PC{0,20}") {
        let _ = Cron::parse(&text);
    }

    #[test]
    fn no_moment_stops_a_schedule(after: i64, interval in 1_u64..10_000_000) {
        let after = Timestamp::from_micros(after);
        for spec in [every(interval), cron("@daily", "Europe/Berlin")] {
            if let Some(next) = compile(&spec).next(after) {
                prop_assert!(next > after);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_run_answers_for_its_time_and_with_a_grace_below_the_period_for_no_other(
        // From a second to a month, each size as likely.
        period in (0_u32..22, 0_u64..1 << 22).prop_map(|(bits, n)| 1 + (n % (1 << bits)).min(2_678_399)),
        grace in (0_u32..22, 0_u64..1 << 22).prop_map(|(bits, n)| 1 + (n % (1 << bits)).min(2_591_999)),
        late in 0_u64..1_000_000,
        near in 0_u64..20,
        cut in 0_u64..=31,
    ) {
        let schedule = compile(&every(period));
        let expected = Expected { grace_period: secs(grace) };
        let through = Timestamp::from_micros(0);
        let nominal = |n: u64| through.plus(secs(n * period));
        let now = nominal(30).plus(secs(grace + 1));
        let micros = |span: u64| span * 1_000_000;
        // Each run within the grace of its time.
        let runs: Vec<_> = (1..=30)
            .map(|n| {
                let late = micros(grace) * (late * n % 1_000_001) / 1_000_000;
                nominal(n).plus(std::time::Duration::from_micros(late))
            })
            .collect();
        let mut sorted = runs.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&expected.missed(&schedule, &sorted, Cursor::at(through), now).times, &[]);
        // One run alone, anywhere.
        let run = nominal(near).plus(std::time::Duration::from_micros(micros(period) * late / 1_000_000));
        let missed = expected.missed(&schedule, &[run], Cursor::at(through), now).times;
        let answered: Vec<_> = (1..=30).map(nominal).filter(|it| !missed.contains(it)).collect();
        for time in (1..=30).map(nominal) {
            let within = time <= run && run <= time.plus(secs(grace));
            prop_assert!(!within || answered.contains(&time));
            if answered.contains(&time) && !within {
                prop_assert!(answered.len() == 1 && run < time && time.since(run) <= secs(60));
                prop_assert!(time.since(run) * 2 <= secs(period));
            }
        }
        if grace < period {
            prop_assert!(answered.len() <= 1);
        }
        // Judged in two steps it is the same.
        let first = expected.missed(&schedule, &[run], Cursor::at(through), nominal(cut));
        let second = expected.missed(&schedule, &[run], Cursor::at(first.through), now);
        prop_assert_eq!([first.times, second.times].concat(), missed);
    }
}
