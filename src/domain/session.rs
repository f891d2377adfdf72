//! One attach of one worker process: what its leases hang on.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, JobType, QueueName, SessionId, WorkerName};
use super::time::Timestamp;

/// How a session came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EndReason {
    /// The worker said Goodbye: what it still held is released.
    Goodbye,
    /// The same process attached again: what it did not name is released.
    Superseded,
    /// Nothing was heard for the lease: what it held is lost.
    Expired,
    /// A unary assignment whose job came to its outcome.
    Done,
}

/// A session's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The worker's name.
    pub worker_id: WorkerName,
    /// The worker's process.
    pub instance_id: InstanceId,
    /// Who attached; reports must come from the same principal.
    pub principal: String,
    /// Whether one stream carries it, or single calls do.
    pub unary: bool,
    /// Client library and version, as it said.
    pub client: String,
    /// Queues it takes jobs from.
    pub queues: Vec<QueueName>,
    /// Types it takes, all if empty.
    pub types: Vec<JobType>,
    /// The worker's labels.
    pub labels: BTreeMap<String, String>,
    /// Jobs it said it may hold.
    pub slots: u32,
    /// The lease.
    pub ttl: Duration,
    /// When it attached.
    pub connect_time: Timestamp,
    /// When its lease ends unless renewed.
    pub expire_time: Timestamp,
    /// When and how it ended.
    pub end: Option<(Timestamp, EndReason)>,
}
