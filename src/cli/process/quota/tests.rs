use super::*;

fn of(line: &str) -> Option<Vec<(String, i64)>> {
    read(line).map(|uses| uses.into_iter().collect())
}

fn pairs(pairs: &[(&str, i64)]) -> Vec<(String, i64)> {
    pairs.iter().map(|(name, units)| ((*name).to_owned(), *units)).collect()
}

#[test]
fn lines_that_say_what_was_used_are_read() {
    assert_eq!(of(r#"{"quota_use":{"youtube":240}}"#), Some(pairs(&[("youtube", 240)])));
    let both = r#"  {"quota_use": {"b": 0, "a": 3.0}, "progress": {"completed": 1}}  "#;
    assert_eq!(of(both), Some(pairs(&[("a", 3), ("b", 0)])));
}

#[test]
fn what_the_protocol_does_not_take_is_an_ordinary_line() {
    let many: Vec<_> = (0..=QUOTA_COSTS_MAX).map(|number| format!("\"q{number}\":1")).collect();
    let many = format!("{{\"quota_use\":{{{}}}}}", many.join(","));
    for line in [
        "quota_use",
        r#"{"quota_use":240}"#,
        r#"{"quota_use":{}}"#,
        r#"{"quota_use":{"youtube":-1}}"#,
        r#"{"quota_use":{"youtube":1.5}}"#,
        r#"{"quota_use":{"youtube":"1"}}"#,
        r#"{"quota_use":{"youtube":1e300}}"#,
        r#"{"quota_use":{"no name":1}}"#,
        r#"{"quota_use":{"good":1,"":1}}"#,
        r#"{"quota_use":{"youtube":1}} and more"#,
        r#"["quota_use"]"#,
        &many,
    ] {
        assert_eq!(of(line), None, "{line}");
    }
}

#[test]
fn an_execution_uses_no_more_quotas_than_the_server_takes() {
    let named = |numbers: std::ops::Range<usize>, units| -> QuotaUse {
        numbers.map(|number| (format!("q{number}"), units)).collect()
    };
    let mut so_far = named(0..QUOTA_COSTS_MAX, 1);
    assert!(add(&mut so_far, &named(3..4, 9)), "it is known already");
    assert_eq!((so_far["q3"], so_far["q4"]), (9, 1));
    let before = so_far.clone();
    assert!(!add(&mut so_far, &named(QUOTA_COSTS_MAX..QUOTA_COSTS_MAX + 1, 1)));
    assert_eq!(so_far, before);
}
