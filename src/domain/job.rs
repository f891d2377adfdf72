//! A job: what was asked, and how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::{JobId, JobType, QueueName};
use super::retry::{RetryPolicy, RetryRule};
use super::status::JobStatus;
use super::time::Timestamp;
use super::written::{self, is_default};

/// How a job stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// After everything else.
    Low,
    /// The common case.
    #[default]
    Normal,
    /// Before the common case.
    High,
    /// Before everything else.
    Urgent,
}

super::written::short_names!(Priority {
    Low = "LOW",
    Normal = "NORMAL",
    High = "HIGH",
    Urgent = "URGENT",
});

/// What made a job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Trigger {
    /// `CreateJob` or `BatchCreateJobs`.
    #[default]
    Api,
    /// A person, through `TriggerJobType`.
    Manual,
    /// The type's schedule.
    Schedule,
    /// A worker with its own scheduler, through `StartJob`.
    Worker,
}

/// What happens to a job that shows no activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnStuck {
    /// It is asked to stop and fails.
    #[default]
    Fail,
    /// An event is raised and it runs on.
    Notify,
}

super::written::short_names!(OnStuck { Fail = "FAIL", Notify = "NOTIFY" });

/// What a create gets whose unique key a live job holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum UniquePolicy {
    /// A refusal that names the holder.
    #[default]
    Reject,
    /// The holder.
    ReturnExisting,
}

/// What a job may use. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// Resident memory in bytes.
    #[serde(with = "written::size", skip_serializing_if = "is_default")]
    pub memory_bytes: u64,
    /// Processor time in percent of one core.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_percent: f64,
}

/// What was asked: never changes after the create. It is stored with each job, so its fields have short
/// names there, and what is at its default is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The kind of work.
    #[serde(rename = "t")]
    pub job_type: JobType,
    /// Where it waits.
    #[serde(rename = "q", default, skip_serializing_if = "QueueName::is_default")]
    pub queue: QueueName,
    /// How it stands in line there.
    #[serde(rename = "p", default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// The work's input: an encoded `google.protobuf.Struct`, opaque here. Stores keep it beside the
    /// rest of the spec, so that lists need not read it.
    #[serde(skip)]
    pub payload: Option<Bytes>,
    /// Free labels, filterable.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The end user or tenant it is for; may be empty.
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What it works on; may be empty.
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Its id in another system; may be empty.
    #[serde(rename = "x", default, skip_serializing_if = "String::is_empty")]
    pub external_id: String,
    /// Not before this moment; at once if unset.
    #[serde(rename = "st", default, skip_serializing_if = "Option::is_none")]
    pub schedule_time: Option<Timestamp>,
    /// How often and when it is tried again.
    #[serde(rename = "r", default, skip_serializing_if = "is_default")]
    pub retry_policy: RetryPolicy,
    /// What errors mean for the next attempt, by their codes; the type's.
    #[serde(rename = "rr", default, skip_serializing_if = "Vec::is_empty")]
    pub retry_rules: Vec<RetryRule>,
    /// Longest run of one attempt.
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Longest run without activity.
    #[serde(rename = "sa", default, skip_serializing_if = "Option::is_none")]
    pub stuck_after: Option<Duration>,
    /// What then.
    #[serde(rename = "os", default, skip_serializing_if = "is_default")]
    pub on_stuck: OnStuck,
    /// A job that has not started by then fails.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub expire_time: Option<Timestamp>,
    /// What the caller expects a run to take.
    #[serde(rename = "ed", default, skip_serializing_if = "Option::is_none")]
    pub estimated_duration: Option<Duration>,
    /// What it may use.
    #[serde(rename = "m", default, skip_serializing_if = "is_default")]
    pub limits: ResourceLimits,
    /// Unique per type among jobs that are not over; none if empty.
    #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")]
    pub unique_key: String,
    /// What a create gets that meets the key.
    #[serde(rename = "up", default, skip_serializing_if = "is_default")]
    pub unique_policy: UniquePolicy,
    /// W3C trace context of the creator; may be empty.
    #[serde(rename = "tp", default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// How long it is kept after its end, if not as its type or the server says.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
}

impl JobSpec {
    /// A spec of `job_type` in `queue` with everything else at its default.
    #[must_use]
    pub fn new(job_type: JobType, queue: QueueName) -> Self {
        Self {
            job_type,
            queue,
            priority: Priority::default(),
            payload: None,
            labels: BTreeMap::new(),
            owner: String::new(),
            subject: String::new(),
            external_id: String::new(),
            schedule_time: None,
            retry_policy: RetryPolicy::default(),
            retry_rules: Vec::new(),
            timeout: None,
            stuck_after: None,
            on_stuck: OnStuck::default(),
            expire_time: None,
            estimated_duration: None,
            limits: ResourceLimits::default(),
            unique_key: String::new(),
            unique_policy: UniquePolicy::default(),
            traceparent: String::new(),
            retention: None,
        }
    }
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What was asked.
    pub spec: Arc<JobSpec>,
    /// How it stands.
    pub status: JobStatus,
}

impl Job {
    /// About how many bytes it takes, in an answer or in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 512;
        let bytes = |field: &Option<Bytes>| field.as_ref().map_or(0, Bytes::len);
        let error = self.status.error.as_ref().map_or(0, |error| {
            error.message.len() + error.stack_trace.len() + bytes(&error.details)
        });
        FIXED + bytes(&self.spec.payload) + bytes(&self.status.result) + error
    }
}
