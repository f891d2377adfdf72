//! Reads of single jobs, of what is due, and of the line's length.

use uuid::Uuid;

use crate::domain::job::Job;
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};
use crate::store::Result;
use crate::store::rows::JobRow;

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// Id, spec, payload, status, result, flushed progress.
pub(super) type JobColumns =
    (Uuid, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The job of a row.
pub(super) fn job((id, spec, payload, status, result, flushed): JobColumns) -> Result<Job> {
    JobRow { id: id.as_bytes().to_vec(), spec, payload, status, result, flushed }.job()
}

/// .
pub(super) async fn load(pool: &Pool, wanted: &[JobId]) -> Result<Vec<Job>> {
    let _ = (pool, wanted);
    Err(closed())
}

/// .
pub(super) async fn held(pool: &Pool, sessions: &[SessionId]) -> Result<Vec<Job>> {
    let _ = (pool, sessions);
    Err(closed())
}

/// .
pub(super) async fn attempts(pool: &Pool, id: JobId) -> Result<Vec<Attempt>> {
    let _ = (pool, id);
    Err(closed())
}

/// .
pub(super) async fn due(pool: &Pool, now: Timestamp, limit: i64) -> Result<Vec<JobId>> {
    let _ = (pool, now, limit);
    Err(closed())
}

/// .
pub(super) async fn next_deadline(pool: &Pool) -> Result<Option<Timestamp>> {
    let _ = (pool);
    Err(closed())
}

/// .
pub(super) async fn oldest_pending(
    pool: &Pool,
    now: Timestamp,
) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
    let _ = (pool, now);
    Err(closed())
}

/// .
pub(super) async fn recent(
    pool: &Pool,
    job_type: &JobType,
    state: Option<StateKind>,
    limit: i64,
) -> Result<Vec<Job>> {
    let _ = (pool, job_type, state, limit);
    Err(closed())
}
