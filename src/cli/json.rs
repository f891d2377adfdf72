//! The proto JSON mapping, both ways.
//!
//! Out: a message is encoded, read again by its true description (where a payload is a Struct and not the bytes it is
//! in Rust) and written as the canonical mapping says; keys are sorted and whole numbers lose their `.0`, so that equal
//! messages give equal text. In: a JSON object becomes an encoded Struct, and integers that a double cannot hold are
//! refused instead of changed.

use std::sync::OnceLock;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Number, Value};

use super::exit::Failure;
use crate::proto::{DESCRIPTOR_SET, v1};

#[cfg(test)]
mod tests;

/// The largest integer up to which a double holds every integer.
const EXACT_MAX: i64 = 1 << 53;

/// A message that is described in the descriptor set.
pub trait Described: Message {
    /// Its full name.
    const NAME: &'static str;
}

macro_rules! described {
    ($($path:path: $name:literal),* $(,)?) => {$(
        impl Described for $path {
            const NAME: &'static str = concat!("jobplane.v1.", $name);
        }
    )*};
}

described! {
    v1::AuditEvent: "AuditEvent",
    v1::BulkCancelJobsResponse: "BulkCancelJobsResponse",
    v1::BulkDeleteJobsResponse: "BulkDeleteJobsResponse",
    v1::BulkRetryJobsResponse: "BulkRetryJobsResponse",
    v1::CancelJobResponse: "CancelJobResponse",
    v1::CreateJobResponse: "CreateJobResponse",
    v1::DeleteJobResponse: "DeleteJobResponse",
    v1::DeleteQuotaResponse: "DeleteQuotaResponse",
    v1::DrainWorkerResponse: "DrainWorkerResponse",
    v1::SweepStuckJobsResponse: "SweepStuckJobsResponse",
    v1::GetJobResponse: "GetJobResponse",
    v1::Event: "Event",
    v1::ExplainJobResponse: "ExplainJobResponse",
    v1::GetJobTypeResponse: "GetJobTypeResponse",
    v1::GetServerInfoResponse: "GetServerInfoResponse",
    v1::GetStatsResponse: "GetStatsResponse",
    v1::GetSummaryResponse: "GetSummaryResponse",
    v1::Job: "Job",
    v1::JobType: "JobType",
    v1::ListAuditEventsResponse: "ListAuditEventsResponse",
    v1::ListEventsResponse: "ListEventsResponse",
    v1::ListJobAttemptsResponse: "ListJobAttemptsResponse",
    v1::ListJobLogsResponse: "ListJobLogsResponse",
    v1::ListJobTypesResponse: "ListJobTypesResponse",
    v1::ListJobsResponse: "ListJobsResponse",
    v1::ListQueuesResponse: "ListQueuesResponse",
    v1::ListQuotasResponse: "ListQuotasResponse",
    v1::ListWorkersResponse: "ListWorkersResponse",
    v1::LogEntry: "LogEntry",
    v1::LogGap: "LogGap",
    v1::Queue: "Queue",
    v1::PurgeJobsResponse: "PurgeJobsResponse",
    v1::PutJobTypeResponse: "PutJobTypeResponse",
    v1::PutQuotaResponse: "PutQuotaResponse",
    v1::Quota: "Quota",
    v1::RetryJobResponse: "RetryJobResponse",
    v1::TriggerJobTypeResponse: "TriggerJobTypeResponse",
    v1::UpdateQueueResponse: "UpdateQueueResponse",
    v1::WatchJobResponse: "WatchJobResponse",
    v1::WatchJobsResponse: "WatchJobsResponse",
    v1::Worker: "Worker",
    v1::get_stats_response::QueueStats: "GetStatsResponse.QueueStats",
    v1::get_stats_response::TypeStats: "GetStatsResponse.TypeStats",
    v1::get_summary_response::Summary: "GetSummaryResponse.Summary",
}

fn pool() -> Result<&'static DescriptorPool, Failure> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTOR_SET).ok())
        .as_ref()
        .ok_or_else(|| Failure::Unreadable("the description of the API".to_owned()))
}

/// The message as the canonical mapping writes it.
///
/// # Errors
///
/// A message that has no JSON form: a field that is no Struct, a moment out of range.
pub fn value<M: Described>(message: &M) -> Result<Value, Failure> {
    let unreadable = |error: String| Failure::Unreadable(format!("{}: {error}", M::NAME));
    let description = pool()?
        .get_message_by_name(M::NAME)
        .ok_or_else(|| unreadable("not described".to_owned()))?;
    let dynamic = DynamicMessage::decode(description, message.encode_to_vec().as_slice())
        .map_err(|error| unreadable(error.to_string()))?;
    let mut value = dynamic
        .serialize_with_options(serde_json::value::Serializer, &SerializeOptions::new())
        .map_err(|error| unreadable(error.to_string()))?;
    shorten(&mut value);
    Ok(value)
}

/// Writes whole doubles as integers: the same number, the way people and other encoders write it.
fn shorten(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *number = Number::from(whole);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
#[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64).then_some(number as i64)
}

/// An encoded Struct (a payload, a result, log data) as JSON; text that says so if it is none.
#[must_use]
pub fn of_struct(encoded: &Bytes) -> Value {
    match Struct::decode(encoded.clone()) {
        Ok(object) => object_out(object),
        Err(_) => Value::String("(not readable)".to_owned()),
    }
}

fn object_out(object: Struct) -> Value {
    Value::Object(object.fields.into_iter().map(|(key, value)| (key, out(value))).collect())
}

fn out(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => whole(number).map_or_else(
            || {
                Number::from_f64(number)
                    .map_or_else(|| Value::String(number.to_string()), Value::Number)
            },
            Value::from,
        ),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(out).collect()),
        Some(Kind::StructValue(object)) => object_out(object),
    }
}

/// A JSON object, read already, as an encoded Struct.
///
/// # Errors
///
/// An integer that a double cannot hold, and where.
pub fn struct_of(fields: serde_json::Map<String, Value>) -> Result<Bytes, String> {
    Ok(Bytes::from(object_in(fields, "$")?.encode_to_vec()))
}

/// A JSON object as an encoded Struct.
///
/// # Errors
///
/// What is wrong and where: no JSON, no object, or an integer that a double cannot hold.
pub fn to_struct(text: &str) -> Result<Bytes, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("must be a JSON object, for instance '{\"path\": \"/data\"}'".to_owned());
    };
    Ok(Bytes::from(object_in(fields, "$")?.encode_to_vec()))
}

fn object_in(fields: serde_json::Map<String, Value>, path: &str) -> Result<Struct, String> {
    let fields = fields.into_iter().map(|(key, value)| {
        let path = format!("{path}.{key}");
        Ok((key, read(value, &path)?))
    });
    Ok(Struct { fields: fields.collect::<Result<_, String>>()? })
}

fn read(value: Value, path: &str) -> Result<prost_types::Value, String> {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(truth),
        Value::String(text) => Kind::StringValue(text),
        Value::Number(number) => Kind::NumberValue(double(&number, path)?),
        Value::Array(values) => {
            let values = values.into_iter().enumerate();
            let values = values.map(|(at, value)| read(value, &format!("{path}[{at}]")));
            Kind::ListValue(ListValue { values: values.collect::<Result<_, _>>()? })
        }
        Value::Object(fields) => Kind::StructValue(object_in(fields, path)?),
    };
    Ok(prost_types::Value { kind: Some(kind) })
}

fn double(number: &Number, path: &str) -> Result<f64, String> {
    let inexact = number.as_i64().is_some_and(|whole| whole.unsigned_abs() > 1 << 53)
        || (number.is_u64() && number.as_i64().is_none());
    match number.as_f64() {
        Some(double) if !inexact => Ok(double),
        _ => Err(format!("{path} = {number} is beyond ±2^53: send it as a string")),
    }
}
