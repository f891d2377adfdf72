//! One execution of a job: who had it, how it ended, and what went wrong.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::ids::WorkerName;
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::time::Timestamp;

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
    pub origin: ErrorOrigin,
    /// A short stable code, may be empty from a worker.
    pub code: String,
    /// For people.
    pub message: String,
    /// An encoded `google.protobuf.Struct`, opaque here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Bytes>,
    /// As the worker's language prints it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stack_trace: String,
    /// Trying again would not help.
    #[serde(default)]
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
    Succeeded,
    /// It failed.
    Failed,
    /// It stopped because it was asked to.
    Cancelled,
    /// It was given back.
    Released,
    /// Its worker was not heard of any more.
    LeaseLost,
    /// It ran for too long.
    TimedOut,
}

/// What a worker said at the end of an execution; said again, it is taken as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Report {
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// Stopped as asked.
    Cancelled,
    /// Given back.
    Released,
}

/// The last execution: one lease epoch of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The attempt's number.
    pub number: u32,
    /// The worker that had it.
    pub worker_id: WorkerName,
    /// When it became ready to run.
    pub ready_time: Timestamp,
    /// When it was handed out.
    pub start_time: Timestamp,
    /// When and how it ended.
    pub end: Option<(Timestamp, Outcome)>,
    /// What its worker said at the end.
    pub report: Option<Report>,
    /// The label's value that its type capped it by when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<String>,
}

/// An execution in the history of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its lease epoch.
    pub lease_epoch: i64,
    /// When, where and how it went.
    pub execution: Execution,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// How far it came.
    #[serde(default)]
    pub progress: Progress,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
