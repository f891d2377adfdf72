use super::*;

#[test]
fn ids_are_uuids() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(job_id(id).as_deref(), Ok(id));
    assert_eq!(job_id(&id.to_uppercase()).as_deref(), Ok(id));
    assert!(job_id("17").unwrap_err().contains("UUID"));
}

#[test]
fn labels_have_a_key() {
    assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
    assert_eq!(label("a="), Ok(("a".to_owned(), String::new())));
    assert!(label("a").is_err());
    assert!(label("=b").is_err());
}

#[test]
fn lengths_of_time_have_units() {
    assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
    assert_eq!(duration("0"), Ok(Duration::ZERO));
    for text in ["", "5", "-5s", "5 parsecs", "99999999999999y"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn moments_may_be_in_any_zone() {
    let utc = moment("2026-01-31T08:00:00Z");
    assert_eq!(utc, Ok(Timestamp::from_micros(1_769_846_400_000_000)));
    assert_eq!(moment("2026-01-31T09:00:00+01:00"), utc);
    assert!(moment("2026-01-31").is_err());
}

#[test]
fn since_is_a_span_or_a_moment() {
    let now = Timestamp::from_micros(10_000_000);
    assert_eq!(since("4s").map(|of| of.moment(now)), Ok(Timestamp::from_micros(6_000_000)));
    assert_eq!(
        since("1970-01-01T00:00:01Z").map(|of| of.moment(now)),
        Ok(Timestamp::from_micros(1_000_000))
    );
    assert!(since("yesterday").is_err());
}

#[test]
fn wire_moments_before_the_epoch_keep_positive_nanos() {
    let wire = wire_moment(Timestamp::from_micros(-1));
    assert_eq!((wire.seconds, wire.nanos), (-1, 999_999_000));
    let wire = wire_duration(Duration::from_millis(1_500));
    assert_eq!((wire.seconds, wire.nanos), (1, 500_000_000));
}

#[test]
fn sizes_are_those_of_files_of_at_least_a_byte() {
    for (text, bytes) in [("4096", 4096), ("2G", 2_000_000_000), ("512MiB", 512 << 20)] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for wrong in ["", "G", "-1", "0", "0.1", "2X", "9999999T", "NaN"] {
        assert!(size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn rates_are_those_of_files_or_per_second() {
    assert_eq!(rate("0"), Ok(Rate::PerSecond(0.0)));
    assert_eq!(rate("2.5"), Ok(Rate::PerSecond(2.5)));
    for (text, count, seconds) in [("10/s", 10, 1), ("90/min", 90, 60), ("20/15m", 20, 900)] {
        let period = Duration::from_secs(seconds);
        assert_eq!(rate(text), Ok(Rate::Word(StartRate { count, period, burst: 0 })));
    }
    for (wrong, said) in [
        ("", "10/s"),
        ("fast", "10/s"),
        ("-1", "negative"),
        ("inf", "negative"),
        ("0/s", "count must"),
        ("1/year", "period must"),
    ] {
        assert!(rate(wrong).unwrap_err().contains(said), "{wrong}");
    }
}

#[test]
fn percentages_are_of_one_core() {
    assert_eq!(
        (percent("80%"), percent("250"), percent(" 0.5 % ")),
        (Ok(80.0), Ok(250.0), Ok(0.5))
    );
    for wrong in ["", "%", "0", "-1", "NaN", "inf", "much", "1000000%"] {
        assert!(percent(wrong).is_err(), "{wrong}");
    }
}
