//! Log rows: kept once, read in order, trimmed in the middle.

use sqlx::SqlitePool;

use crate::domain::JobId;
use crate::domain::logs::LogRow;
use crate::store::passed::Passed;
use crate::store::rows::{corrupt, decode, encode};
use crate::store::trim::Middle;
use crate::store::{LogQuery, Result};

use super::error::from_sqlx;
use super::input::Rows;
use super::script::Script;
use super::writer::Writer;

pub(super) const STATEMENTS: &[&str] = &[APPEND, READ, SIZES, LEAVE_GAP, DROP_BETWEEN];

/// A batch that was kept before is left out; without a number of its own it never is.
const APPEND: &str = "INSERT INTO job_logs (job_id, lease_epoch, attempt, seq, line_count, \
    dropped, entries) \
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, nullif(value ->> 3, 0), value ->> 4, 0, \
    substr(?2, value ->> 5, value ->> 6) FROM jsonb_each(?1) WHERE true ORDER BY key \
    ON CONFLICT DO NOTHING";

const READ: &str = "SELECT lease_epoch, attempt, position, entries, dropped FROM job_logs \
    WHERE job_id = ?1 AND position >= ?2 AND (?3 IS NULL OR lease_epoch = ?3) \
    ORDER BY position LIMIT ?4 + 0";

const SIZES: &str = "SELECT position, line_count, dropped FROM job_logs \
    WHERE job_id = ?1 AND lease_epoch = ?2 ORDER BY position";

const LEAVE_GAP: &str =
    "UPDATE job_logs SET line_count = 0, dropped = ?2, entries = ?3 WHERE position = ?1";

const DROP_BETWEEN: &str = "DELETE FROM job_logs \
    WHERE job_id = ?1 AND lease_epoch = ?2 AND position > ?3 AND position <= ?4";

/// Keeps the log batches that passed.
pub(super) fn append(script: &mut Script, passed: &Passed<'_>) -> Result<()> {
    let mut rows = Rows::default();
    for log in passed.logs() {
        rows.row()
            .hex(log.job_id.0.as_bytes())
            .int(log.lease_epoch)
            .int(i64::from(log.attempt))
            .int(log.seq)
            .int(i64::try_from(log.entries.len()).unwrap_or(i64::MAX))
            .slice(&encode(&log.entries)?);
    }
    script.add_rows(APPEND, rows);
    Ok(())
}

/// Rows of a job's log, in order.
pub(super) async fn read(readers: &SqlitePool, query: &LogQuery) -> Result<Vec<LogRow>> {
    let found: Vec<(i64, i64, i64, Vec<u8>, i64)> = sqlx::query_as(READ)
        .bind(query.job_id.0.as_bytes().as_slice())
        .bind(query.from_position)
        .bind(query.lease_epoch)
        .bind(super::limit(query.limit))
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    found
        .into_iter()
        .map(|(lease_epoch, attempt, position, entries, dropped)| {
            Ok(LogRow {
                lease_epoch,
                attempt: u32::try_from(attempt)
                    .map_err(|error| corrupt("job_logs.attempt", error))?,
                position,
                entries: decode("job_logs.entries", &entries)?,
                dropped: u64::try_from(dropped)
                    .map_err(|error| corrupt("job_logs.dropped", error))?,
            })
        })
        .collect()
}

/// Lets go of the middle of one lease's log; answers how many lines went.
pub(super) async fn trim(
    writer: &mut Writer,
    id: JobId,
    lease_epoch: i64,
    head: u64,
    tail: u64,
) -> Result<u64> {
    let mut script = writer.begin().await?;
    let sizes = script.add(SIZES);
    script.bind(id.0.as_bytes().as_slice()).bind(lease_epoch);
    let sizes: Vec<(i64, i64, i64)> = writer.run(script).await?.rows(sizes)?;
    let Some(Middle { first, last, going, gone }) = Middle::of(&sizes, head, tail) else {
        writer.rollback().await;
        return Ok(0);
    };
    let mut script = writer.resume()?;
    script.add(LEAVE_GAP);
    script.bind(first).bind(going + gone).bind(encode(&Vec::<crate::domain::LogEntry>::new())?);
    script.add(DROP_BETWEEN);
    script.bind(id.0.as_bytes().as_slice()).bind(lease_epoch).bind(first).bind(last);
    writer.commit(script).await?;
    Ok(u64::try_from(going).unwrap_or(0))
}
