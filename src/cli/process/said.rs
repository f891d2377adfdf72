//! Lines of JSON by which a command tells its worker something: an object with a member for each thing said.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// The object that a line says under `name`; none if it is an ordinary line.
pub(super) fn object(line: &str, name: &str) -> Option<Map<String, Value>> {
    let line = line.trim();
    // Most lines are no JSON at all.
    if !line.starts_with('{') || !line.contains(name) {
        return None;
    }
    let Value::Object(mut fields) = serde_json::from_str(line).ok()? else { return None };
    let Value::Object(said) = fields.remove(name)? else { return None };
    Some(said)
}

/// A whole number within `range`, also one that is written with a fraction of nothing.
pub(super) fn count(value: &Value, range: RangeInclusive<i64>) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and held against the range below")]
    let whole = |number: f64| (number.fract() == 0.0).then_some(number as i64);
    let count = value.as_i64().or_else(|| value.as_f64().and_then(whole))?;
    range.contains(&count).then_some(count)
}
