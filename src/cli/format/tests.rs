use super::*;

fn at(seconds: i64, nanos: i32) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos }
}

#[test]
fn spans_have_two_units_at_most() {
    for (millis, text) in [
        (0, "0s"),
        (340, "340ms"),
        (4_260, "4.2s"),
        (59_999, "59s"),
        (200_000, "3m 20s"),
        (180_000, "3m"),
        (7_500_000, "2h 5m"),
        (4 * 86_400_000 + 3 * 3_600_000, "4d 3h"),
    ] {
        assert_eq!(span(Duration::from_millis(millis)), text);
    }
    assert_eq!(span(Duration::from_micros(999)), "0s", "as of nothing at all");
}

#[test]
fn ages_look_both_ways() {
    let now = Timestamp::from_micros(1_000_000_000);
    assert_eq!(age(&at(800, 0), now), "3m 20s ago");
    assert_eq!(age(&at(1_005, 0), now), "in 5.0s");
    assert_eq!(age(&at(1_000, 0), now), "now");
}

#[test]
fn moments_stand_under_each_other() {
    assert_eq!(moment(&at(1_769_846_400, 120_000_000), 3), "2026-01-31T08:00:00.120Z");
    assert_eq!(moment(&at(1_769_846_400, 0), 3), "2026-01-31T08:00:00.000Z");
    assert_eq!(moment(&at(1_769_846_400, 999_999_999), 0), "2026-01-31T08:00:00Z");
    assert_eq!(moment(&at(i64::MAX, 0), 0), format!("{}s", i64::MAX));
}

#[test]
fn counts_have_their_thousands_apart() {
    for (figure, text) in [(0, "0"), (999, "999"), (1_234, "1,234"), (-1_234_567, "-1,234,567")] {
        assert_eq!(count(figure), text);
    }
    assert_eq!(count(i64::MIN), "-9,223,372,036,854,775,808");
}

#[test]
fn a_share_is_never_rounded_up_to_the_whole() {
    assert_eq!(percent(99.99), "99.9%");
    assert_eq!(percent(100.0), "100.0%");
    assert_eq!(percent(0.0), "0.0%");
}

#[test]
fn rates_keep_their_weight() {
    for (figure, text) in [
        (1_234.4, "1,234/s"),
        (12.34, "12.3/s"),
        (0.456, "0.46/s"),
        (0.02, "1.20/min"),
        (0.001, "3.60/h"),
        (1.0 / 86_400.0, "1.00/day"),
    ] {
        assert_eq!(rate(figure).as_deref(), Some(text));
    }
    for nothing in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(rate(nothing), None);
    }
}

#[test]
fn sizes_have_one_decimal() {
    assert_eq!(bytes(512), "512 B");
    assert_eq!(bytes(1_536), "1.5 KiB");
    assert_eq!(bytes(12 << 30), "12.0 GiB");
}

#[test]
fn text_from_afar_cannot_act_on_the_terminal() {
    assert_eq!(plain("a\nb\x1b[2Jc\u{202e}d"), "a b\\u{1b}[2Jc\\u{202e}d");
    assert_eq!(plain("größer 日本"), "größer 日本");
    assert_eq!(plain_lines("a\r\nb\n", "  "), "a\n  b");
}

#[test]
fn a_painted_line_is_cut_where_it_is_too_wide_and_its_colour_ends() {
    assert_eq!(fit_painted("plain text", 10), "plain text");
    assert_eq!(fit_painted("plain text", 6), "plain…");
    let painted = "\x1b[31mFAILED\x1b[0m  why";
    assert_eq!(fit_painted(painted, 11), painted);
    assert_eq!(fit_painted(painted, 10), "\x1b[31mFAILED\x1b[0m  w…\x1b[0m");
    assert_eq!(fit_painted(painted, 4), "\x1b[31mFAI…\x1b[0m");
    assert_eq!(fit_painted("日本語", 5), "日本…");
    assert_eq!(fit_painted("日本語", 4), "日…");
    assert_eq!(fit_painted("a", 0), "");
}

#[test]
fn moments_are_short_where_there_is_little_room() {
    let wire =
        |text: &str| crate::cli::parse::wire_moment(crate::cli::parse::moment(text).unwrap());
    let now = timestamp(&wire("2026-11-22T15:00:00Z"));
    let fit = |text: &str, room| moment_fit(&wire(text), now, room);
    assert_eq!(fit("2026-11-22T14:03:43Z", Some(80)), "14:03:43");
    assert_eq!(fit("2026-11-21T14:03:43Z", Some(80)), "11-21 14:03");
    assert_eq!(fit("2025-11-21T14:03:43Z", Some(80)), "2025-11-21");
    assert_eq!(fit("2026-11-22T14:03:43Z", None), "2026-11-22T14:03:43Z");
    assert_eq!(fit("2026-11-22T14:03:43Z", Some(200)), "2026-11-22T14:03:43Z");
}
