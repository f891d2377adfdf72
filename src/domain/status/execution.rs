//! One execution of a job: who had it, how it ended, and what went wrong.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::ids::WorkerName;
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::time::Timestamp;
use crate::domain::written::is_default;

/// Who says that an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorOrigin {
    /// Its worker.
    Worker,
    /// The server: no lease, no time, no room.
    Server,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Who says so.
    #[serde(rename = "o")]
    pub origin: ErrorOrigin,
    /// A short stable code, may be empty from a worker.
    #[serde(rename = "c")]
    pub code: String,
    /// For people.
    #[serde(rename = "m")]
    pub message: String,
    /// An encoded `google.protobuf.Struct`, opaque here.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Bytes>,
    /// As the worker's language prints it.
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub stack_trace: String,
    /// Trying again would not help.
    #[serde(rename = "n", default, skip_serializing_if = "is_default")]
    pub non_retryable: bool,
}

impl JobError {
    /// An error of the server's own making.
    #[must_use]
    pub fn server(code: &str, message: String) -> Self {
        Self {
            origin: ErrorOrigin::Server,
            code: code.to_owned(),
            message,
            details: None,
            stack_trace: String::new(),
            non_retryable: false,
        }
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The work is done.
    #[serde(rename = "S")]
    Succeeded,
    /// It failed.
    #[serde(rename = "F")]
    Failed,
    /// It stopped because it was asked to.
    #[serde(rename = "C")]
    Cancelled,
    /// It was given back.
    #[serde(rename = "R")]
    Released,
    /// Its worker was not heard of any more.
    #[serde(rename = "L")]
    LeaseLost,
    /// It ran for too long.
    #[serde(rename = "T")]
    TimedOut,
}

/// What a worker said at the end of an execution; said again, it is taken as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Report {
    /// Done.
    #[serde(rename = "S")]
    Succeeded,
    /// Failed.
    #[serde(rename = "F")]
    Failed,
    /// Stopped as asked.
    #[serde(rename = "C")]
    Cancelled,
    /// Given back.
    #[serde(rename = "R")]
    Released,
}

/// The last execution: one lease epoch of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The attempt's number.
    #[serde(rename = "n")]
    pub number: u32,
    /// The worker that had it.
    #[serde(rename = "w")]
    pub worker_id: WorkerName,
    /// When it became ready to run.
    #[serde(rename = "r")]
    pub ready_time: Timestamp,
    /// When it was handed out.
    #[serde(rename = "s")]
    pub start_time: Timestamp,
    /// When and how it ended.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<(Timestamp, Outcome)>,
    /// What its worker said at the end.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The label's value that its type capped it by when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
}

/// An execution in the history of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its lease epoch.
    #[serde(rename = "l")]
    pub lease_epoch: i64,
    /// When, where and how it went.
    #[serde(rename = "x")]
    pub execution: Execution,
    /// What went wrong.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// How far it came.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    pub progress: Progress,
    /// What it used.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub resource_usage: Option<ResourceUsage>,
}

impl Attempt {
    /// Whether `report` is what the worker said at the end of this lease: said again, however much
    /// later, it is known and no stale news.
    #[must_use]
    pub fn was_closed_by(&self, lease_epoch: i64, report: Report) -> bool {
        self.lease_epoch == lease_epoch && self.execution.report == Some(report)
    }
}
