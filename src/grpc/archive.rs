//! A job that is taken away, as a line of the archive: its messages in the JSON mapping of protobuf.
//!
//! `{"job": …, "attempts": […], "logs": […], "gaps": […]}`: `jobplane.v1.Job` in the FULL view, `Attempt`,
//! `LogEntry` and `LogGap`, as GetJob, ListJobAttempts and ListJobLogs answer them.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::domain::Timestamp;
use crate::engine::Piece;
use crate::proto::{DESCRIPTOR_SET, v1};

use super::convert::{View, attempt, job, logs};

/// A piece of a job's line.
///
/// # Errors
/// If a message has no such form.
pub fn piece(piece: Piece<'_>, now: Timestamp) -> Result<String, String> {
    match piece {
        Piece::Job(job, attempts) => {
            let attempts = v1::ListJobAttemptsResponse {
                attempts: attempts.iter().map(|found| attempt::to_proto(found, now)).collect(),
            };
            let job = json("Job", &job::to_proto(job, View::Full, now))?;
            let attempts = elements(&json("ListJobAttemptsResponse", &attempts)?, "attempts");
            Ok(format!(r#""job":{job},"attempts":[{attempts}]"#))
        }
        Piece::Lines(lines) => {
            let entries = lines.iter().cloned().map(logs::line_to_proto).collect();
            let list = v1::ListJobLogsResponse { entries, ..Default::default() };
            Ok(elements(&json("ListJobLogsResponse", &list)?, "entries"))
        }
        Piece::Gaps(gaps) => {
            let gaps = gaps.iter().map(logs::gap_to_proto).collect();
            let list = v1::ListJobLogsResponse { gaps, ..Default::default() };
            Ok(elements(&json("ListJobLogsResponse", &list)?, "gaps"))
        }
    }
}

/// The elements of a list in a message, without what encloses them.
fn elements(message: &Value, list: &str) -> String {
    let list = message.get(list).and_then(Value::as_array).into_iter().flatten();
    list.map(Value::to_string).collect::<Vec<_>>().join(",")
}

/// The message, by its true description: a payload is a Struct there.
pub(super) fn json(name: &str, message: &impl Message) -> Result<Value, String> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTOR_SET).ok());
    let described = pool
        .as_ref()
        .and_then(|pool| pool.get_message_by_name(&format!("jobplane.v1.{name}")))
        .ok_or_else(|| format!("{name} is not described"))?;
    let dynamic = DynamicMessage::decode(described, message.encode_to_vec().as_slice())
        .map_err(|error| format!("{name}: {error}"))?;
    dynamic
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests;
