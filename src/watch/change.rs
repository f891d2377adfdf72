//! What a commit did, as views need to know it.

use std::sync::Arc;

use crate::domain::{Job, JobId, JobType, Position};

use super::slot::Snapshot;

/// How a job stood before a change.
#[derive(Debug, Clone)]
pub enum Before {
    /// It was not there.
    None,
    /// Like this.
    Known(Box<Job>),
    /// Nobody knows any more: it was read from the change log.
    Unknown,
}

/// What became of one job.
#[derive(Debug, Clone)]
pub enum Change {
    /// It was made or changed.
    Put {
        /// How it stood before.
        before: Before,
        /// How it stands now.
        after: Arc<Snapshot>,
    },
    /// It was deleted.
    Gone {
        /// Its id.
        job_id: JobId,
        /// Its type, if that is known.
        job_type: Option<JobType>,
        /// How it stood before, if that is known.
        before: Option<Box<Job>>,
    },
}

impl Change {
    /// The job it is about.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        match self {
            Self::Put { after, .. } => after.job.id,
            Self::Gone { job_id, .. } => *job_id,
        }
    }
}

/// All that one commit did to jobs; often nothing.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its place in the change log.
    pub position: Position,
    /// What it did.
    pub changes: Vec<Change>,
}
