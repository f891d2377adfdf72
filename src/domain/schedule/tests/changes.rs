//! What is owed by a schedule that is changed, paused, and taken up again.

use super::*;
use crate::domain::limits::SCHEDULE_CHANGE_TIMES_MAX;
use crate::domain::schedule::expected::Expected;
use crate::domain::schedule::{Cursor, Gap, Side};

/// Sunday, 2026-01-04, is the day of the week that all is about.
const SATURDAY: &str = "2026-01-03T00:00:00Z";
const SUNDAY: &str = "2026-01-04T00:00:00Z";
const MONDAY: &str = "2026-01-05T12:00:00Z";

fn acting(schedule: &Schedule) -> Side<'_> {
    Side { schedule, acts: true }
}

fn resting(schedule: &Schedule) -> Side<'_> {
    Side { schedule, acts: false }
}

fn two_days() -> Expected {
    Expected { grace_period: secs(2 * 86_400) }
}

#[test]
fn a_change_loses_nothing_that_both_schedules_name() {
    let weekly = cron("@weekly", "");
    let over = ScheduleSpec { end_time: Some(at("2027-01-01T00:00:00Z")), ..cron("@weekly", "") };
    let later = ScheduleSpec { start_time: Some(at(SUNDAY)), ..cron("@weekly", "") };
    let same = [over, later, cron("0 0 * * 0", ""), cron("@weekly", "Africa/Abidjan")];
    let (held, now) = (Cursor::at(at(SATURDAY)), at(MONDAY));
    for after in same {
        let (before, after) = (compile(&weekly), compile(&after));
        let cursor = held.after_change(acting(&before), acting(&after), now);
        assert_eq!(cursor, held, "{:?}", after.spec());
        let judged = two_days().missed(&after, &[], cursor, at("2026-01-06T00:00:01Z"));
        assert_eq!(judged.times, [at(SUNDAY)]);
    }
}

#[test]
fn a_change_fires_nothing_that_only_the_new_schedule_names() {
    let (weekly, daily) = (compile(&cron("@weekly", "")), compile(&cron("@daily", "")));
    let (held, now) = (Cursor::at(at(SATURDAY)), at(MONDAY));
    let cursor = held.after_change(acting(&weekly), acting(&daily), now);
    assert_eq!(cursor, Cursor::at(at("2026-01-05T00:00:00Z")), "past Monday, which is new");
    let cursor = held.after_change(acting(&daily), acting(&weekly), now);
    assert_eq!(weekly.next_owed(cursor), Some(at(SUNDAY)), "both name it");
    let other = compile(&cron("0 12 * * 6", ""));
    let cursor = held.after_change(acting(&weekly), acting(&other), now);
    assert_eq!(cursor, Cursor::at(at("2026-01-03T12:00:00Z")));
}

#[test]
fn what_cannot_be_compared_in_time_is_not_made_up_for() {
    let (one, other) = (compile(&every(1)), compile(&every(2)));
    let start = at(SATURDAY);
    let few = start.plus(secs(SCHEDULE_CHANGE_TIMES_MAX as u64));
    let held = Cursor::at(start);
    assert_eq!(held.after_change(acting(&one), acting(&other), few), held);
    let many = start.plus(secs(3 * SCHEDULE_CHANGE_TIMES_MAX as u64));
    assert_eq!(held.after_change(acting(&one), acting(&other), many), Cursor::at(many));
    // The same times need no comparison.
    let slow = compile(&ScheduleSpec { jitter: Some(secs(9)), ..every(1) });
    assert_eq!(held.after_change(acting(&one), acting(&slow), many), held);
}

#[test]
fn what_was_owed_before_a_rest_is_judged_after_it() {
    let weekly = compile(&cron("@weekly", ""));
    let held = Cursor::at(at(SATURDAY));
    let resumed = at("2026-01-05T18:00:00Z");
    let stopped = held.after_change(acting(&weekly), resting(&weekly), at(MONDAY));
    assert_eq!(stopped.gap, Some(Gap { from: at(MONDAY), until: None }));
    let cursor = stopped.after_change(resting(&weekly), acting(&weekly), resumed);
    assert_eq!(weekly.next_owed(cursor), Some(at(SUNDAY)));
    let judged = two_days().missed(&weekly, &[], cursor, at("2026-01-06T00:00:01Z"));
    assert_eq!(judged.times, [at(SUNDAY)]);
    assert_eq!(cursor.moved(judged.through).moved(resumed), Cursor::at(resumed));
    // What falls into the rest is not judged, and what comes after it is.
    let long = at("2026-01-13T00:00:00Z");
    let cursor = stopped.after_change(resting(&weekly), acting(&weekly), long);
    let judged = two_days().missed(&weekly, &[], cursor, at("2026-01-21T00:00:00Z"));
    assert_eq!(judged.times, [at(SUNDAY), at("2026-01-18T00:00:00Z")]);
}

#[test]
fn the_first_time_after_a_rest_is_judged_as_after_a_declaration() {
    let minutely = compile(&every(60));
    let expected = Expected { grace_period: secs(20) };
    let start = at(SATURDAY);
    let (from, until) = (start.plus(secs(70)), Some(start.plus(secs(3_605))));
    let cursor = Cursor { through: start, gap: Some(Gap { from, until }) };
    // Fifty seconds early is nearer to a time in the gap, twenty is not.
    for (early, missed) in [(50, true), (20, false)] {
        let runs = [start.plus(secs(60)), start.plus(secs(3_660 - early))];
        let judged = expected.missed(&minutely, &runs, cursor, start.plus(secs(3_690)));
        assert_eq!(!judged.times.is_empty(), missed, "{early} s early");
        assert_eq!(judged.through, start.plus(secs(3_660)));
    }
}

#[test]
fn a_rest_before_which_nothing_is_owed_leaves_no_gap() {
    let weekly = compile(&cron("@weekly", ""));
    let held = Cursor::at(at(SUNDAY));
    let stopped = held.after_change(acting(&weekly), resting(&weekly), at(MONDAY));
    let later = at("2026-01-20T00:00:00Z");
    assert_eq!(stopped.after_change(resting(&weekly), acting(&weekly), later), Cursor::at(later));
    // A row of an earlier build says nothing of the rest.
    assert_eq!(held.after_change(resting(&weekly), acting(&weekly), later), Cursor::at(later));
}

#[test]
fn two_rests_are_one_while_something_is_owed_from_before() {
    let daily = compile(&cron("@daily", ""));
    let noon = |day: u32| at(&format!("2026-01-{day:02}T12:00:00Z"));
    let mut cursor = Cursor::at(at(SATURDAY));
    for (stop, go) in [(4, 5), (6, 7)] {
        cursor = cursor.after_change(acting(&daily), resting(&daily), noon(stop));
        cursor = cursor.after_change(resting(&daily), acting(&daily), noon(go));
    }
    assert_eq!(cursor.gap, Some(Gap { from: noon(4), until: Some(noon(7)) }));
    assert_eq!(daily.next_owed(cursor), Some(at(SUNDAY)));
    assert_eq!(daily.next_owed(cursor.moved(at(SUNDAY))), Some(at("2026-01-08T00:00:00Z")));
}

#[test]
fn a_change_mends_a_cursor_that_a_wrong_clock_left_in_the_future() {
    let daily = compile(&cron("@daily", ""));
    let (held, now) = (Cursor::at(at("2027-01-01T00:00:00Z")), at(MONDAY));
    let stopped = held.after_change(acting(&daily), resting(&daily), now);
    let later = now.plus(secs(60));
    let cursor = stopped.after_change(resting(&daily), acting(&daily), later);
    assert_eq!(cursor, Cursor::at(later));
}

#[test]
fn a_cursor_of_an_earlier_build_is_read() {
    let held = Cursor::at(at(SUNDAY));
    let text = serde_json::to_string(&held).unwrap();
    assert!(!text.contains("gap"), "{text}");
    assert_eq!(serde_json::from_str::<Cursor>(&text).unwrap(), held);
}
