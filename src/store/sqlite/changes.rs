//! The change log: one row for each commit.

use sqlx::sqlite::SqliteConnection;

use crate::domain::BatchId;
use crate::store::Result;

use super::commit::Passed;
use super::error::from_sqlx;

pub(super) const STATEMENTS: &[&str] = &[INSERT, KNOWN];

const INSERT: &str =
    "INSERT INTO changes (batch_id, time, job_ids, removed) VALUES (?1, ?2, ?3, ?4)";

const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM changes WHERE batch_id = ?1)";

/// Writes which jobs the batch wrote and removed.
pub(super) async fn write(connection: &mut SqliteConnection, passed: &Passed<'_>) -> Result<()> {
    let mut job_ids = Vec::new();
    let written = passed.writes().map(|write| write.job.id);
    for id in passed.creates().map(|new| new.job.id).chain(written) {
        job_ids.extend_from_slice(id.0.as_bytes());
    }
    let removed: Vec<_> = passed
        .deletes()
        .map(|delete| {
            let job = &delete.job;
            serde_json::json!({
                "id": job.id,
                "type": job.spec.job_type,
                "queue": job.status.effective.queue,
            })
        })
        .collect();
    sqlx::query(INSERT)
        .bind(passed.batch.id.0.as_bytes().as_slice())
        .bind(passed.batch.now.as_micros())
        .bind(job_ids)
        .bind(serde_json::Value::from(removed).to_string())
        .execute(connection)
        .await
        .map_err(from_sqlx)?;
    Ok(())
}

/// Whether a batch was committed.
pub(super) async fn knows(connection: &mut SqliteConnection, id: BatchId) -> Result<bool> {
    sqlx::query_scalar(KNOWN)
        .bind(id.0.as_bytes().as_slice())
        .fetch_one(connection)
        .await
        .map_err(from_sqlx)
}
