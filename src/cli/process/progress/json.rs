//! Lines such as `{"progress":{"completed":450,"total":1000,"step":"copying"}}`.

use serde_json::{Map, Value};

use super::super::said;
use super::Reading;
use crate::domain::limits::PROGRESS_COUNT_MAX;

/// A line of JSON with an object `progress` that says something and fits the protocol. Else it is an ordinary line, so
/// that its writer finds it in the log.
pub(super) fn read(line: &str) -> Option<Reading> {
    reading(&said::object(line, "progress")?)
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
    said::count(value, 0..=PROGRESS_COUNT_MAX)
}

fn percent(value: &Value) -> Option<f64> {
    value.as_f64().filter(|percent| (0.0..=100.0).contains(percent))
}
