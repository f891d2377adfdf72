//! Schedules by chance, against clocks read second by second.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::schedule::Cron;
use crate::domain::schedule::expected::Expected;
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
            let due = schedule.due(&sync(), through, now);
            through = due.through;
            seen.extend(due.times.into_iter().map(|one| one.nominal));
        }
        prop_assert_eq!(&seen, &schedule.fire_times(&sync(), start, seen.len()));
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
        prop_assert_eq!(&expected.missed(&schedule, &sorted, through, now).times, &[]);
        // One run alone, anywhere.
        let run = nominal(near).plus(std::time::Duration::from_micros(micros(period) * late / 1_000_000));
        let missed = expected.missed(&schedule, &[run], through, now).times;
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
        let first = expected.missed(&schedule, &[run], through, nominal(cut));
        let second = expected.missed(&schedule, &[run], first.through, now);
        prop_assert_eq!([first.times, second.times].concat(), missed);
    }
}
