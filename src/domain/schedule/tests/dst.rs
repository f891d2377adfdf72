//! Hours that do not come, and hours that come twice.

use super::*;

#[test]
fn a_skipped_time_fires_once_at_the_end_of_the_gap() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        times(&daily, "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    let york = cron("15 2 * * *", "America/New_York");
    assert_eq!(
        times(&york, "2026-03-08T00:00:00Z", 2),
        ["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"]
    );
    let howe = cron("10 2 * * *", "Australia/Lord_Howe");
    assert_eq!(
        times(&howe, "2026-10-03T00:00:00Z", 2),
        ["2026-10-03T15:30:00Z", "2026-10-04T15:10:00Z"]
    );
    let casablanca = cron("45 2 * * *", "Africa/Casablanca");
    assert_eq!(
        times(&casablanca, "2026-03-22T00:00:00Z", 2),
        ["2026-03-22T02:00:00Z", "2026-03-23T01:45:00Z"]
    );
}

#[test]
fn many_skipped_times_and_the_one_at_the_end_are_one() {
    let often = cron("*/15 * * * *", "Europe/Berlin");
    assert_eq!(
        times(&often, "2026-03-29T00:30:00Z", 4),
        [
            "2026-03-29T00:45:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z",
            "2026-03-29T01:30:00Z"
        ]
    );
    let each_second = cron("* * * * * *", "Europe/Berlin");
    assert_eq!(
        times(&each_second, "2026-03-29T00:59:58Z", 3),
        ["2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T01:00:01Z"]
    );
}

#[test]
fn a_repeated_time_fires_the_first_time_only() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        times(&daily, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    let often = cron("*/30 * * * *", "Europe/Berlin");
    assert_eq!(
        times(&often, "2026-10-25T00:00:00Z", 3),
        ["2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"]
    );
    let york = cron("30 1 * * *", "America/New_York");
    assert_eq!(
        times(&york, "2026-11-01T00:00:00Z", 2),
        ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
    );
    let howe = cron("45 1 * * *", "Australia/Lord_Howe");
    assert_eq!(
        times(&howe, "2026-04-04T00:00:00Z", 2),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
}

#[test]
fn asked_within_the_second_showing_it_names_what_comes_after_it() {
    let each_second = cron("* * * * * *", "Europe/Berlin");
    assert_eq!(
        times(&each_second, "2026-10-25T01:20:00Z", 2),
        ["2026-10-25T02:00:00Z", "2026-10-25T02:00:01Z"]
    );
}

#[test]
fn a_day_that_did_not_come_fires_once_at_the_next_one() {
    let noon = cron("0 12 * * *", "Pacific/Apia");
    assert_eq!(
        times(&noon, "2011-12-29T00:00:00Z", 4),
        [
            "2011-12-29T22:00:00Z",
            "2011-12-30T10:00:00Z",
            "2011-12-30T22:00:00Z",
            "2011-12-31T22:00:00Z"
        ]
    );
    // Midnight of the day after is the same moment as the whole day that is not there.
    let hourly = cron("@hourly", "Pacific/Apia");
    assert_eq!(
        times(&hourly, "2011-12-30T08:30:00Z", 3),
        ["2011-12-30T09:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z"]
    );
}

#[test]
fn an_interval_knows_no_clocks() {
    let spec = ScheduleSpec { time_zone: "Europe/Berlin".to_owned(), ..every(1_800) };
    assert_eq!(
        times(&spec, "2026-10-25T00:00:00Z", 4),
        [
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
}
