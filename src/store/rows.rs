//! How values stand in rows: codes of enums, encoded columns, and what is read back from them.
//!
//! Encoded columns are MessagePack maps with field names, so that a newer server reads what an older
//! one wrote. A status is written three times in a job's life, so names of what is stored with each job
//! are short, and a field at its default is left out: what is read there is the default of the reader.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::job::{Job, JobSpec, Trigger};
use crate::domain::retention::Terminal;
use crate::domain::session::EndReason;
use crate::domain::status::{JobStatus, StateKind};
use crate::domain::written::is_default;
use crate::domain::{Category, JobId, JobType, QueueName, Timestamp};
use crate::runtime::Unreadable;

use super::flushed::Flushed;
use super::{Error, KeyKind, Probe, Result, Unread};

/// Encodes a column.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|error| Error::Rejected(Arc::new(error)))
}

/// Reads an encoded column.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| corrupt(what, error))
}

/// What was read from `what` cannot be understood.
pub(super) fn corrupt(
    what: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Corrupt { what, source: Arc::from(source.into()) }
}

/// An id read from a column.
pub(super) fn id(what: &'static str, bytes: &[u8]) -> Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|error| corrupt(what, error))
}

/// A type's name read from a column.
pub(super) fn job_type(what: &'static str, text: &str) -> Result<JobType> {
    JobType::any(text).map_err(|error| corrupt(what, error))
}

/// A queue's name read from a column.
pub(super) fn queue(what: &'static str, text: &str) -> Result<QueueName> {
    QueueName::any(text).map_err(|error| corrupt(what, error))
}

/// A state's code; the CHECKs and partial indexes of the schema know it.
pub(super) const fn state_code(state: StateKind) -> i64 {
    match state {
        StateKind::Pending => 0,
        StateKind::Running => 1,
        StateKind::Succeeded => 2,
        StateKind::Failed => 3,
        StateKind::Cancelled => 4,
        StateKind::Skipped => 5,
    }
}

/// The state with this code.
pub(super) fn state(what: &'static str, code: i64) -> Result<StateKind> {
    StateKind::ALL
        .into_iter()
        .find(|state| state_code(*state) == code)
        .ok_or_else(|| corrupt(what, format!("no state has the code {code}")))
}

/// What the clock alone does next to a job: what its state waits for, or, of one that is over, when it may go by its
/// own word.
pub(super) fn clock_time(job: &Job) -> Option<i64> {
    let Job { spec, status, .. } = job;
    let purge = || Some(status.end_time?.plus(spec.retention?));
    status.deadline(spec.expire_time).or_else(purge).map(Timestamp::as_micros)
}

/// The state with this code, in which a job is over.
pub(super) fn terminal(what: &'static str, code: i64) -> Result<Terminal> {
    let kind = state(what, code)?;
    Terminal::of(kind).ok_or_else(|| corrupt(what, format!("{} is not over", kind.as_str())))
}

/// A trigger's code.
pub(super) const fn trigger_code(trigger: Trigger) -> i64 {
    match trigger {
        Trigger::Api => 0,
        Trigger::Manual => 1,
        Trigger::Schedule => 2,
        Trigger::Worker => 3,
    }
}

/// A key kind's code.
pub(super) const fn key_code(kind: KeyKind) -> i64 {
    match kind {
        KeyKind::Request => 0,
        KeyKind::Unique => 1,
        KeyKind::Fire => 2,
    }
}

const END_REASONS: [EndReason; 4] =
    [EndReason::Goodbye, EndReason::Superseded, EndReason::Expired, EndReason::Done];

/// An end reason's code.
pub(super) const fn end_code(reason: EndReason) -> i64 {
    match reason {
        EndReason::Goodbye => 0,
        EndReason::Superseded => 1,
        EndReason::Expired => 2,
        EndReason::Done => 3,
    }
}

/// The end reason with this code.
pub(super) fn end_reason(what: &'static str, code: i64) -> Result<EndReason> {
    END_REASONS
        .into_iter()
        .find(|reason| end_code(*reason) == code)
        .ok_or_else(|| corrupt(what, format!("no end reason has the code {code}")))
}

/// What never changes of a job, as it stands in `jobs.spec`: the spec, and of the status what the create
/// decided.
#[derive(Serialize)]
struct Asked<'a> {
    #[serde(rename = "s")]
    spec: &'a JobSpec,
    #[serde(rename = "b", skip_serializing_if = "str::is_empty")]
    created_by: &'a str,
    #[serde(rename = "t", skip_serializing_if = "is_default")]
    trigger: Trigger,
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    category: Option<&'a Category>,
    #[serde(rename = "n")]
    create_time: Timestamp,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Read {
    #[serde(rename = "s")]
    spec: JobSpec,
    #[serde(rename = "b", default)]
    created_by: String,
    #[serde(rename = "t", default)]
    trigger: Trigger,
    #[serde(rename = "c", default)]
    category: Option<Category>,
    #[serde(rename = "n")]
    create_time: Timestamp,
}

/// Encodes what never changes of a job.
pub(super) fn encode_spec(job: &Job) -> Result<Vec<u8>> {
    let JobStatus { created_by, trigger, category, create_time, .. } = &job.status;
    encode(&Asked {
        spec: &job.spec,
        created_by,
        trigger: *trigger,
        category: category.as_ref(),
        create_time: *create_time,
    })
}

/// Encodes what changes of it.
pub(super) fn encode_status(status: &JobStatus) -> Result<Vec<u8>> {
    encode(status)
}

/// The encoded parts of a job, however its engine names their columns.
pub(super) struct JobRow {
    /// Its id.
    pub id: Vec<u8>,
    /// `jobs.spec`.
    pub spec: Vec<u8>,
    /// `jobs.payload`.
    pub payload: Option<Vec<u8>>,
    /// `job_status.status`.
    pub status: Vec<u8>,
    /// `job_status.result`.
    pub result: Option<Vec<u8>>,
    /// The columns of `job_progress`.
    pub flushed: Option<Vec<u8>>,
}

impl JobRow {
    /// The job.
    pub(super) fn job(self) -> Result<Job> {
        let asked: Read = decode("jobs.spec", &self.spec)?;
        let Read { mut spec, created_by, trigger, category, create_time } = asked;
        spec.payload = self.payload.map(Bytes::from);
        let status: JobStatus = decode("job_status.status", &self.status)?;
        let mut status = JobStatus { category, created_by, trigger, create_time, ..status };
        status.result = self.result.map(Bytes::from);
        if let Some(flushed) = self.flushed {
            Flushed::read(&flushed)?.overlay(&mut status);
        }
        Ok(Job { id: JobId(id("jobs.id", &self.id)?), spec: Arc::new(spec), status })
    }

    /// The job as a candidate of this probe. One that cannot be read is counted, and holds up no other.
    pub(super) fn candidate(self, probe: &Probe, unread: &mut Unread) -> Option<Job> {
        static TOLD: Unreadable = Unreadable::new();
        let id = Uuid::from_slice(&self.id).unwrap_or_default();
        match self.job() {
            Ok(job) => Some(job),
            Err(error) => {
                if TOLD.is_news(&id.to_string()) {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, job.id = %id, "a waiting job cannot be read and does not start");
                }
                *unread.entry((probe.queue.clone(), probe.job_type.clone())).or_default() += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
