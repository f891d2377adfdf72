use super::*;

#[test]
fn every_unit_of_a_timeout_is_read() {
    for (text, expected) in [
        ("2H", Duration::from_secs(7200)),
        ("3M", Duration::from_secs(180)),
        ("30S", Duration::from_secs(30)),
        ("500m", Duration::from_millis(500)),
        ("7u", Duration::from_micros(7)),
        ("99999999n", Duration::from_nanos(99_999_999)),
        ("0S", Duration::ZERO),
    ] {
        assert_eq!(parse(text), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_timeout_is_no_deadline() {
    for text in ["", "S", "10", "10s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "10é"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn an_answer_comes_before_the_deadline() {
    let seconds = Duration::from_secs;
    let millis = Duration::from_millis;
    // A twentieth of a long timeout is kept back, 200 ms of a short one, half of a very short one.
    assert_eq!(within(seconds(60), Some(seconds(30))), millis(28_500));
    assert_eq!(within(seconds(60), Some(seconds(1))), millis(800));
    assert_eq!(within(seconds(60), Some(millis(100))), millis(50));
    assert_eq!(within(seconds(60), Some(Duration::ZERO)), Duration::ZERO);
    assert_eq!(within(seconds(5), Some(seconds(30))), seconds(5));
    assert_eq!(within(seconds(5), None), seconds(5));
}

#[test]
fn the_deadline_stands_in_the_metadata() {
    let mut metadata = MetadataMap::new();
    assert_eq!(timeout(&metadata), None);
    metadata.insert(HEADER, "250m".parse().expect("a value"));
    assert_eq!(timeout(&metadata), Some(Duration::from_millis(250)));
}
