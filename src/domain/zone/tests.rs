//! Clocks that jump.

use super::*;

fn local(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn moment(zone: &str, text: &str) -> String {
    let at = Zone::named(zone).unwrap().moment(local(text)).unwrap();
    crate::domain::written::moment_text(at).unwrap()
}

#[test]
fn a_time_that_is_shown_twice_is_the_first() {
    assert_eq!(moment("Europe/Berlin", "2026-10-25T02:30:00"), "2026-10-25T00:30:00Z");
    assert_eq!(moment("America/New_York", "2026-11-01T01:30:00"), "2026-11-01T05:30:00Z");
    // Half an hour is shown twice on Lord Howe Island.
    assert_eq!(moment("Australia/Lord_Howe", "2026-04-05T01:45:00"), "2026-04-04T14:45:00Z");
}

#[test]
fn a_time_that_is_skipped_is_the_end_of_the_gap() {
    for skipped in ["2026-03-29T02:00:00", "2026-03-29T02:30:00", "2026-03-29T02:59:59"] {
        assert_eq!(moment("Europe/Berlin", skipped), "2026-03-29T01:00:00Z");
    }
    assert_eq!(moment("America/New_York", "2026-03-08T02:15:00"), "2026-03-08T07:00:00Z");
    assert_eq!(moment("Australia/Lord_Howe", "2026-10-04T02:15:00"), "2026-10-03T15:30:00Z");
    // Morocco sets its clocks back for Ramadan and forward after it.
    assert_eq!(moment("Africa/Casablanca", "2026-03-22T02:30:00"), "2026-03-22T02:00:00Z");
    // Samoa went from the 29th to the 31st.
    assert_eq!(moment("Pacific/Apia", "2011-12-30T12:00:00"), "2011-12-30T10:00:00Z");
}

#[test]
fn clocks_there_show_what_was_meant() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    for text in ["2026-01-01T00:00:00", "2026-03-29T03:00:00", "2026-07-01T12:34:56"] {
        assert_eq!(zone.local(zone.moment(local(text)).unwrap()), Some(local(text)));
    }
}

#[test]
fn no_name_is_utc_and_a_wrong_one_is_refused() {
    assert_eq!(Zone::named(""), Zone::named("UTC"));
    for bad in ["Europe/Atlantis", "Etc/Unknown", "../etc/passwd", "CET-1CEST,M3.5.0,M10.5.0/3"] {
        assert_eq!(Zone::named(bad), Err(UnknownZone(bad.to_owned())), "{bad}");
    }
}

#[test]
fn moments_beyond_calendars_are_none() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    for end in [i64::MIN, i64::MAX] {
        assert_eq!(zone.local(Timestamp::from_micros(end)), None);
    }
}
