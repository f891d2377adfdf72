//! What a worker may say of a job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::QuotaName;
use crate::domain::machine::{Command, ReleaseReason};
use crate::domain::{JobError, JobId, LogEntry, Progress, ResourceUsage};

use super::super::live::{Cell, Tick};
use super::registry::Sessions;

/// The end of an execution, as its worker tells it.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The work is done.
    Succeeded {
        /// What came of it.
        result: Option<Bytes>,
        /// How far it came.
        progress: Option<Progress>,
    },
    /// It failed.
    Failed {
        /// What went wrong.
        error: JobError,
        /// The wish for the wait before the next attempt.
        retry_delay: Option<Duration>,
        /// How far it came.
        progress: Option<Progress>,
    },
    /// It stopped as asked.
    Cancelled,
    /// It is given back.
    Released {
        /// Not before this much later.
        delay: Duration,
        /// In the worker's words.
        reason: String,
    },
}

/// What an update says.
#[derive(Debug, Clone)]
pub enum UpdateKind {
    /// How far it is.
    Progress(Progress),
    /// What it uses.
    Usage(ResourceUsage),
    /// Lines of its log.
    Logs(Vec<LogEntry>),
    /// What it used of quotas so far.
    Used(BTreeMap<QuotaName, u64>),
    /// It is over.
    Outcome(Outcome),
}

/// An update of one job.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its number; grows over the life of the process.
    pub seq: i64,
    /// The job.
    pub job_id: JobId,
    /// Its lease.
    pub lease_epoch: i64,
    /// What is said.
    pub kind: UpdateKind,
}

impl Outcome {
    /// Whether it says how far the job came.
    pub(in super::super) const fn says_progress(&self) -> bool {
        match self {
            Self::Succeeded { progress, .. } | Self::Failed { progress, .. } => progress.is_some(),
            Self::Cancelled | Self::Released { .. } => false,
        }
    }

    /// The command it stands for, with the newest progress of the job's cell.
    pub(in super::super) fn into_command(
        self,
        lease_epoch: i64,
        seq: i64,
        cell: Option<&Arc<Cell>>,
        sessions: &Sessions,
    ) -> Command {
        let newest = |reported: Option<Progress>| match cell {
            Some(cell) => {
                if let Some(progress) = reported {
                    let now = sessions.clock.now();
                    sessions.live.tick(cell, seq, Tick::Progress(progress), now, &sessions.hub);
                }
                let (progress, usage) = cell.newest();
                (Some(progress), usage)
            }
            None => (reported, None),
        };
        match self {
            Self::Succeeded { result, progress } => {
                let (progress, usage) = newest(progress);
                Command::Succeed { lease_epoch, result, progress, usage }
            }
            Self::Failed { error, retry_delay, progress } => {
                let (progress, usage) = newest(progress);
                Command::Fail { lease_epoch, error, retry_delay, progress, usage }
            }
            Self::Cancelled => {
                let (progress, usage) = newest(None);
                Command::ConfirmCancelled { lease_epoch, progress, usage }
            }
            Self::Released { delay, reason } => {
                Command::Release { lease_epoch, delay, reason: ReleaseReason::Worker { reason } }
            }
        }
    }
}
