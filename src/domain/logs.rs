//! Log lines of a job's attempt.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ids::JobId;
use super::time::Timestamp;

/// How grave a line is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum LogLevel {
    /// For whoever writes the job.
    Debug,
    /// Normal course.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// One line as its worker wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When the worker wrote it; the time of arrival if it gave none.
    pub time: Timestamp,
    /// How grave it is.
    pub level: LogLevel,
    /// The step it belongs to, may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// The text.
    pub message: String,
    /// An encoded `google.protobuf.Struct`, opaque here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Bytes>,
}

impl LogEntry {
    /// About how many bytes it takes, in memory and on the wire, never less than it takes there.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 128;
        let data = self.data.as_ref().map_or(0, Bytes::len);
        FIXED + self.step.len() + self.message.len() + data
    }
}

/// Lines that arrived together, kept as one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// The job they belong to.
    pub job_id: JobId,
    /// The lease the writer holds; a stale one is refused.
    pub lease_epoch: i64,
    /// The attempt's number.
    pub attempt: u32,
    /// The report's number within the lease: the same one twice is kept once.
    pub seq: i64,
    /// The lines in order.
    pub entries: Vec<LogEntry>,
}

/// A stored row of the log: a batch of lines, or the mark of a gap where lines were let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Lease and attempt that wrote it.
    pub lease_epoch: i64,
    /// The attempt's number.
    pub attempt: u32,
    /// The row's place in the job's log; lines count on from `position × LOG_SEQUENCE_STRIDE`.
    pub position: i64,
    /// The lines, empty for a gap.
    pub entries: Vec<LogEntry>,
    /// Lines that stood here and were let go.
    pub dropped: u64,
}

/// Sequence numbers set aside for one row: more than a batch may have lines, so numbers increase
/// without being dense.
pub const LOG_SEQUENCE_STRIDE: i64 = 1_024;

impl LogRow {
    /// The sequence of the line at `index` of this row, from 0.
    #[must_use]
    pub fn sequence(&self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.position.saturating_mul(LOG_SEQUENCE_STRIDE).saturating_add(index)
    }
}

#[cfg(test)]
mod tests;
