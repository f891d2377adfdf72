//! The last line that is an object.

use super::*;

fn last(chunks: &[&str]) -> Result<Option<Value>, String> {
    let mut candidate = Candidate::default();
    for chunk in chunks {
        candidate.feed(chunk.as_bytes());
    }
    candidate.finish().map(|found| found.map(Value::Object))
}

#[test]
fn it_is_the_last_object_that_is_no_progress() {
    let object = |text: &str| Ok(Some(serde_json::from_str::<Value>(text).unwrap()));
    assert_eq!(last(&["x\n{\"a\":1}\n{\"a\":2}\ny\n"]), object("{\"a\":2}"));
    assert_eq!(last(&["{\"a\"", ":1}"]), object("{\"a\":1}"), "without an end, in two parts");
    assert_eq!(last(&["{\"a\":1}\n{\"progress\":{\"completed\":1}}\n"]), object("{\"a\":1}"));
    assert_eq!(last(&["{\"a\":1}\n{\"quota_use\":{\"q\":1}}\n"]), object("{\"a\":1}"));
    for none in ["", "[1]\n", "{oops}\n", "1\n", "x {\"a\":1}\n"] {
        assert_eq!(last(&[none]), Ok(None), "{none}");
    }
}

#[test]
fn one_that_is_too_long_is_told_unless_another_follows() {
    let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(PROCESS_RESULT_BYTES_MAX));
    assert!(last(&[&long]).is_err());
    assert!(last(&[&long, "{\"a\":1}\n"]).is_ok_and(|found| found.is_some()));
}
