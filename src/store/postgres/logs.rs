//! Log rows: read in order, trimmed in the middle.

use uuid::Uuid;

use crate::domain::logs::LogRow;
use crate::domain::{JobId, LogEntry};
use crate::store::rows::{corrupt, decode, encode};
use crate::store::trim::Middle;
use crate::store::{LogQuery, Result};

use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[READ, ENDS, LOCK, SIZES, LEAVE_GAP, DROP];

const READ: &str = "SELECT lease_epoch, attempt, position, entries, dropped FROM job_logs \
    WHERE job_id = $1 AND position >= $2 AND ($3::bigint IS NULL OR lease_epoch = $3) \
    ORDER BY position LIMIT $4";

/// A look at the end of each log, however long it is.
const ENDS: &str = "SELECT w.id, (SELECT l.position FROM job_logs AS l WHERE l.job_id = w.id \
    ORDER BY l.position DESC LIMIT 1) FROM unnest($1::uuid[]) AS w(id)";

/// One server trims it at a time: of two that count the same lines, each would count them as gone.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1::uuid::text, 0))";

const SIZES: &str = "SELECT position, line_count, dropped FROM job_logs \
    WHERE job_id = $1 AND lease_epoch = $2 ORDER BY position";

const LEAVE_GAP: &str =
    "UPDATE job_logs SET line_count = 0, dropped = $2, entries = $3 WHERE position = $1";

/// By their places, not by a range: what was not counted stays.
const DROP: &str = "DELETE FROM job_logs WHERE position = ANY($1::bigint[])";

/// Rows of a job's log, in order.
pub(super) async fn read(pool: &Pool, query: &LogQuery) -> Result<Vec<LogRow>> {
    let mut link = pool.read().await?;
    let reading = link
        .query_as::<(i64, i64, i64, Vec<u8>, i64)>(READ)
        .bind(query.job_id.0)
        .bind(query.from_position)
        .bind(query.lease_epoch)
        .bind(super::limit(query.limit));
    let found = reading.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
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

/// Where the logs of those of these jobs that have one end.
pub(super) async fn ends(pool: &Pool, ids: &[JobId]) -> Result<Vec<(JobId, i64)>> {
    let wanted = super::read::wanted(ids.iter().map(|id| id.0));
    let mut link = pool.read().await?;
    let query = link.query_as::<(Uuid, Option<i64>)>(ENDS).bind(wanted);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.into_iter().filter_map(|(id, end)| Some((JobId(id), end?))).collect())
}

/// Lets go of the middle of one lease's log; answers how many lines went.
pub(super) async fn trim(
    pool: &Pool,
    id: JobId,
    lease_epoch: i64,
    head: u64,
    tail: u64,
) -> Result<u64> {
    let mut link = pool.begin().await?;
    let lock = link.query_scalar::<bool>(LOCK).bind(id.0);
    if !lock.fetch_one(&mut *link).await.map_err(from_sqlx)? {
        link.rollback().await;
        return Ok(0);
    }
    let sizes = link.query_as::<(i64, i64, i64)>(SIZES).bind(id.0).bind(lease_epoch);
    let sizes = sizes.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    let Some(middle) = Middle::of(&sizes, head, tail) else {
        link.rollback().await;
        return Ok(0);
    };
    let goes = |position: &i64| middle.first < *position && *position <= middle.last;
    let going: Vec<i64> = sizes.iter().map(|(position, ..)| *position).filter(goes).collect();
    let leave_gap = link
        .query(LEAVE_GAP)
        .bind(middle.first)
        .bind(middle.going + middle.gone)
        .bind(encode(&Vec::<LogEntry>::new())?);
    leave_gap.execute(&mut *link).await.map_err(from_sqlx)?;
    let dropped = link.query(DROP).bind(going);
    dropped.execute(&mut *link).await.map_err(from_sqlx)?;
    link.commit().await?;
    Ok(u64::try_from(middle.going).unwrap_or(0))
}
