//! A job that is taken away, as a line of the archive: its messages in the JSON mapping of protobuf.
//!
//! `{"job": …, "attempts": […], "logs": […], "gaps": […]}`: `jobplane.v1.Job` in the FULL view, `Attempt`,
//! `LogEntry` and `LogGap`, as GetJob, ListJobAttempts and ListJobLogs answer them.

use std::sync::OnceLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Map, Value};

use crate::domain::Timestamp;
use crate::engine::Whole;
use crate::proto::{DESCRIPTOR_SET, v1};

use super::convert::{View, attempt, job, logs};

/// The job as a line, without its end.
///
/// # Errors
/// If a message has no such form.
pub fn line(whole: &Whole, now: Timestamp) -> Result<String, String> {
    let Whole { job, attempts, lines, gaps } = whole;
    let attempts = v1::ListJobAttemptsResponse {
        attempts: attempts.iter().map(|found| attempt::to_proto(found, now)).collect(),
    };
    let log = v1::ListJobLogsResponse {
        entries: lines.iter().cloned().map(logs::line_to_proto).collect(),
        next_sequence: 0,
        gaps: gaps.iter().map(logs::gap_to_proto).collect(),
    };
    let mut line = Map::new();
    line.insert("job".to_owned(), json("Job", &job::to_proto(job, View::Full, now))?);
    for (name, from, message) in [
        ("attempts", "attempts", json("ListJobAttemptsResponse", &attempts)?),
        ("logs", "entries", json("ListJobLogsResponse", &log)?),
        ("gaps", "gaps", json("ListJobLogsResponse", &log)?),
    ] {
        if let Some(list) = message.get(from) {
            line.insert(name.to_owned(), list.clone());
        }
    }
    Ok(Value::Object(line).to_string())
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
