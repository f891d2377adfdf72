//! Lines such as `{"progress":{"completed":450,"total":1000,"step":"copying"}}`.

use serde_json::{Map, Value};

use super::Reading;
use crate::domain::limits::PROGRESS_COUNT_MAX;

/// A line of JSON with an object `progress` that says something and fits the protocol. Else it is an ordinary line, so
/// that its writer finds it in the log.
pub(super) fn read(line: &str) -> Option<Reading> {
    let line = line.trim();
    if !line.starts_with('{') || !line.contains("\"progress\"") {
        return None;
    }
    let Value::Object(fields) = serde_json::from_str(line).ok()? else { return None };
    let Value::Object(progress) = fields.get("progress")? else { return None };
    reading(progress)
}

fn reading(progress: &Map<String, Value>) -> Option<Reading> {
    let mut reading = Reading::default();
    for (name, value) in progress {
        if value.is_null() {
            continue;
        }
        match name.as_str() {
            "completed" => reading.completed = Some(count(value)?),
            "total" => reading.total = Some(count(value)?),
            "succeeded" => reading.succeeded = Some(count(value)?),
            "failed" => reading.failed = Some(count(value)?),
            "percent" => reading.percent = Some(percent(value)?),
            "unit" => value.as_str()?.clone_into(&mut reading.unit),
            "step" | "current_step" => value.as_str()?.clone_into(&mut reading.step),
            "message" => value.as_str()?.clone_into(&mut reading.message),
            "step_number" => reading.step_number = i32::try_from(count(value)?).ok()?,
            "step_count" => reading.step_count = i32::try_from(count(value)?).ok()?,
            // A newer writer knows more than we do.
            _ => {}
        }
    }
    if let Some(total) = reading.total {
        reading.percent = None;
        if reading.completed.is_some_and(|completed| completed > total) {
            return None;
        }
    }
    (reading != Reading::default()).then(|| reading.fitted())
}

/// A count: also one that is written as a double, as some languages do.
fn count(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole, and held against the bound below")]
    let whole = |number: f64| (number.fract() == 0.0).then_some(number as i64);
    let count = value.as_i64().or_else(|| value.as_f64().and_then(whole))?;
    (0..=PROGRESS_COUNT_MAX).contains(&count).then_some(count)
}

fn percent(value: &Value) -> Option<f64> {
    value.as_f64().filter(|percent| (0.0..=100.0).contains(percent))
}
