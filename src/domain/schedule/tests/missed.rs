//! What is due, what is late, what did not come.

use super::*;
use crate::domain::limits::SCHEDULE_BATCH_MAX;
use crate::domain::schedule::expected::Expected;
use crate::domain::schedule::{Cursor, Due, Lateness};

fn told(due: &Due) -> Vec<(String, bool)> {
    let told = due.times.iter();
    told.map(|one| (moment_text(one.nominal.time).unwrap(), one.lateness == Lateness::Run))
        .collect()
}

#[test]
fn what_is_due_is_told_once() {
    let hourly = compile(&every(3_600));
    let through = at("2026-01-01T00:00:00Z");
    let due = hourly.due(&sync(), Cursor::at(through), at("2026-01-01T02:00:00Z"));
    let wanted =
        [("2026-01-01T01:00:00Z".to_owned(), true), ("2026-01-01T02:00:00Z".to_owned(), true)];
    assert_eq!(told(&due), wanted);
    let again = hourly.due(&sync(), Cursor::at(due.through), at("2026-01-01T02:59:59Z"));
    assert_eq!((again.times.len(), again.through), (0, due.through));
}

#[test]
fn what_is_later_than_the_window_is_missed_and_told() {
    let hourly = compile(&every(3_600));
    let due =
        hourly.due(&sync(), Cursor::at(at("2026-01-01T00:00:00Z")), at("2026-01-01T05:30:00Z"));
    let run: Vec<_> = told(&due).into_iter().map(|(_, run)| run).collect();
    assert_eq!(run, [false, false, false, false, true]);
    let wide = ScheduleSpec { catch_up_window: Some(secs(4 * 3_600)), ..every(3_600) };
    let due = compile(&wide).due(
        &sync(),
        Cursor::at(at("2026-01-01T00:00:00Z")),
        at("2026-01-01T05:30:00Z"),
    );
    let run: Vec<_> = told(&due).into_iter().map(|(_, run)| run).collect();
    assert_eq!(run, [false, true, true, true, true]);
}

#[test]
fn a_long_absence_is_told_in_steps_and_whole() {
    let minutely = compile(&every(60));
    let (mut through, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T05:00:00Z"));
    let mut all = Vec::new();
    loop {
        let due = minutely.due(&sync(), Cursor::at(through), now);
        assert!(due.times.len() <= SCHEDULE_BATCH_MAX);
        through = due.through;
        all.extend(due.times);
        if !due.more {
            break;
        }
    }
    assert_eq!((all.len(), through), (300, now));
}

#[test]
fn a_pause_fires_nothing() {
    let paused = ScheduleSpec { paused: true, ..every(60) };
    let (start, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T05:00:00Z"));
    assert_eq!(compile(&paused).due(&sync(), Cursor::at(start), now).times, []);
}

#[test]
fn a_run_held_back_by_its_jitter_is_not_passed_over() {
    let (jitter, catch_up_window) = (Some(secs(1_800)), Some(secs(600)));
    let spec = ScheduleSpec { jitter, catch_up_window, ..every(60) };
    let schedule = compile(&spec);
    let (mut through, end) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T02:00:00Z"));
    let wanted: Vec<_> = schedule.fire_times(&sync(), through, 120);
    let (mut now, mut seen) = (through, Vec::new());
    while now < end.plus(secs(1_800)) {
        now = now.plus(secs(7));
        let due = schedule.due(&sync(), Cursor::at(through), now);
        assert!(due.times.iter().all(|one| one.nominal.fire_time <= now));
        assert!(due.times.iter().all(|one| one.lateness == Lateness::Run), "nobody was away");
        seen.extend(due.times.iter().map(|one| one.nominal));
        through = due.through;
    }
    assert_eq!(seen[..120], wanted);
}

#[test]
fn a_run_that_did_not_come_is_missed_when_its_grace_is_over() {
    let schedule = compile(&cron("0 3 * * *", ""));
    let expected = Expected { grace_period: secs(1_800) };
    let through = at("2026-01-01T00:00:00Z");
    let runs = [at("2026-01-01T03:10:00Z"), at("2026-01-03T02:59:30Z"), at("2026-01-04T03:31:00Z")];
    let missed = expected.missed(&schedule, &runs, Cursor::at(through), at("2026-01-04T03:30:00Z"));
    assert_eq!(missed.times, [at("2026-01-02T03:00:00Z")]);
    assert_eq!(missed.through, at("2026-01-03T03:00:00Z"));
    let after =
        expected.missed(&schedule, &runs, Cursor::at(missed.through), at("2026-01-04T03:30:01Z"));
    assert_eq!(after.times, [at("2026-01-04T03:00:00Z")]);
}

#[test]
fn a_punctual_run_answers_however_short_the_period() {
    for (period, grace, late) in [(60, 20, 1), (120, 90, 65), (1, 1, 0), (60, 59, 59)] {
        let schedule = compile(&every(period));
        let expected = Expected { grace_period: secs(grace) };
        let through = at("2026-01-01T00:00:00Z");
        let runs: Vec<_> =
            (1..=20).map(|n| through.plus(secs(n * period)).plus(secs(late))).collect();
        let now = through.plus(secs(20 * period + grace + 1));
        let missed = expected.missed(&schedule, &runs, Cursor::at(through), now);
        assert_eq!(missed.times, [], "every {period} s, grace {grace} s, {late} s late");
    }
}

#[test]
fn an_early_run_answers_for_the_nearer_time_and_for_no_other() {
    let schedule = compile(&cron("* * * * *", ""));
    let expected = Expected { grace_period: secs(20) };
    let through = at("2026-01-01T00:00:00Z");
    // Ten seconds early; too late for one and too early for the next; in the grace of the fourth.
    let runs = ["00:00:50", "00:02:25", "00:04:20"].map(|time| at(&format!("2026-01-01T{time}Z")));
    let missed = expected.missed(&schedule, &runs, Cursor::at(through), at("2026-01-01T00:05:21Z"));
    let wanted = ["00:02:00", "00:03:00", "00:05:00"].map(|it| at(&format!("2026-01-01T{it}Z")));
    assert_eq!(missed.times, wanted);
}

#[test]
fn the_first_time_after_a_declaration_may_have_an_early_run() {
    let schedule = compile(&cron("0 3 * * *", ""));
    let expected = Expected { grace_period: secs(1_800) };
    let declared = at("2026-01-01T02:59:50Z");
    let runs = [at("2026-01-01T02:59:55Z")];
    let missed =
        expected.missed(&schedule, &runs, Cursor::at(declared), at("2026-01-01T04:00:00Z"));
    assert_eq!(missed.times, []);
}

#[test]
fn a_grace_longer_than_the_period_is_a_grace() {
    let schedule = compile(&every(600));
    let expected = Expected { grace_period: secs(3_600) };
    let through = at("2026-01-01T00:00:00Z");
    let runs = [at("2026-01-01T00:25:00Z"), at("2026-01-01T00:26:00Z")];
    let missed = expected.missed(&schedule, &runs, Cursor::at(through), at("2026-01-01T01:35:00Z"));
    assert_eq!(missed.times, [at("2026-01-01T00:30:00Z")]);
}
