//! Definitions as they are shown, and read again.

use super::*;

fn payload(file: &File) -> serde_json::Value {
    crate::cli::json::of_struct(&file.payloads["a"])
}

#[test]
fn what_is_no_boolean_of_today_is_a_text() {
    let text = "types: [{type: a, defaults: {payload: {country: NO, y: off, on: Yes, is: true}}}]";
    let wanted = json!({"country": "NO", "y": "off", "on": "Yes", "is": true});
    assert_eq!(payload(&read(text).unwrap()), wanted);
}

#[test]
fn a_key_with_a_dot_is_another_one_than_a_key_in_a_key() {
    let file = |inner: u32| {
        let payload = format!("{{x.z: 4, x: {{z: {inner}}}, q: {{'': 1, n: 2}}}}");
        read(&format!("types: [{{type: a, defaults: {{payload: {payload}}}}}]")).unwrap()
    };
    let held = after(&Plan::of(&file(5), &Held::default(), false).unwrap());
    let plan = Plan::of(&file(7), &held, false).unwrap();
    assert_eq!(plan.steps[0].lines, ["defaults.payload.x.z: 5 → 7"]);
    let lines = Plan::of(&file(5), &Held::default(), false).unwrap().steps.remove(0).lines;
    for line in ["\"x.z\": 4", "x.z: 5", "q.\"\": 1", "q.\"n\": 2"] {
        assert!(lines.contains(&format!("defaults.payload.{line}")), "{line}: {lines:?}");
    }
}

#[test]
fn what_other_readers_take_for_something_else_is_quoted() {
    for word in ["y", "N", "yes", "No", "ON", "off", "true", "Null", "~", "1", "1e3", ".5", ""] {
        let tree = json!({word: word});
        let mut lines = Vec::new();
        text::write(&tree, 0, &mut lines);
        assert_eq!(lines, [format!("\"{word}\": \"{word}\"")]);
    }
}

proptest::proptest! {
    #[test]
    fn any_payload_that_is_shown_is_read_as_the_same(
        texts in proptest::collection::vec(("[a-zA-Z0-9.~: #'\"\\\\{}<=?!&*%@`|>-]{0,4}", "[yYnNoOfFaAeEsStTrRuUlL~.0-9]{0,5}"), 1..8),
    ) {
        let said: serde_json::Map<_, _> =
            texts.into_iter().map(|(key, value)| (key, serde_json::Value::from(value))).collect();
        let said = serde_json::Value::from(said);
        let mut lines = Vec::new();
        text::write(&json!({"types": [{"type": "a", "defaults": {"payload": said}}]}), 0, &mut lines);
        let shown = lines.join("\n");
        proptest::prop_assert_eq!(payload(&read(&shown).unwrap()), said, "{}", shown);
    }
}
