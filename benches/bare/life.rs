//! A job of the benchmark in each state of its life, as the server would have it.

use std::sync::Arc;

use anyhow::{Result, bail};
use serde::Serialize;
use uuid::Uuid;

use jobplane::domain::machine::{self, Applied, Birth, Command, Now};
use jobplane::domain::stats::Changes;
use jobplane::domain::{
    Job, JobId, JobSpec, JobStatus, JobType, QueueName, SessionId, Timestamp, Trigger, WorkerName,
};

/// PENDING, RUNNING and SUCCEEDED, and what the figures count of it all.
pub struct Life {
    /// What was asked.
    pub spec: Arc<JobSpec>,
    /// As it was born.
    pub pending: JobStatus,
    /// As it ran.
    pub running: JobStatus,
    /// As it ended.
    pub succeeded: JobStatus,
    /// What happened.
    pub changes: Changes,
}

impl Life {
    /// A life that was short, at this moment.
    pub fn at(now: Timestamp, job_type: &str, session: SessionId) -> Result<Self> {
        let mut spec = JobSpec::new(JobType::new(job_type)?, QueueName::default());
        spec.payload = crate::harness::wire::spec().payload;
        let birth = Birth {
            created_by: "anonymous".to_owned(),
            trigger: Trigger::Api,
            category: None,
            skipped: None,
        };
        let pending = machine::create(&spec, birth, now);
        let worker_id = WorkerName::new("bench")?;
        let running = after(&spec, &pending, Command::Start { session, worker_id }, now)?;
        let succeed =
            Command::Succeed { lease_epoch: 1, result: None, progress: None, usage: None };
        let succeeded = after(&spec, &running, succeed, now)?;
        let mut changes = Changes::default();
        changes.record(None, &pending);
        changes.record(Some(&pending), &running);
        changes.record(Some(&running), &succeeded);
        Ok(Self { spec: Arc::new(spec), pending, running, succeeded, changes })
    }

    /// What never changes of it, as the store encodes it.
    pub fn asked(&self) -> Result<Vec<u8>> {
        let Self { spec, pending, .. } = self;
        let asked = Asked { s: spec, b: &pending.created_by, n: pending.create_time };
        Ok(rmp_serde::to_vec_named(&asked)?)
    }

    /// A job that is over.
    pub fn finished(&self) -> Job {
        let (spec, status) = (Arc::clone(&self.spec), self.succeeded.clone());
        Job { id: JobId(Uuid::now_v7()), spec, status }
    }
}

/// Copied: the store keeps it to itself.
#[derive(Serialize)]
struct Asked<'a> {
    s: &'a JobSpec,
    b: &'a str,
    n: Timestamp,
}

/// What is done to a batch of jobs next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// They are made.
    Create,
    /// They start.
    Start,
    /// They succeed.
    Succeed,
}

impl Step {
    /// The one after it.
    pub const fn next(self) -> Self {
        match self {
            Self::Create => Self::Start,
            Self::Start => Self::Succeed,
            Self::Succeed => Self::Create,
        }
    }
}

fn after(
    spec: &JobSpec,
    status: &JobStatus,
    command: Command,
    now: Timestamp,
) -> Result<JobStatus> {
    match machine::apply(spec, status, command, Now::at(now)) {
        Ok(Applied::Changed(transition)) => Ok(transition.status),
        other => bail!("a command came to {other:?}"),
    }
}
