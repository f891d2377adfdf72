//! How the database is: its size, its clock; and the progress of running jobs.

use uuid::Uuid;

use crate::domain::{JobId, Timestamp};
use crate::store::flushed::Flushed;
use crate::store::{ProgressWrite, Result, StoreInfo};

use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[SIZE, PROGRESS, TIME, PING];

const SIZE: &str = "SELECT pg_database_size(current_database())";

const PROGRESS: &str = "SELECT p.id, p.data || p.active || p.used FROM job_progress AS p \
    JOIN job_status AS s ON s.id = p.id \
    WHERE p.id = ANY($1::uuid[]) AND s.state = 1 AND s.lease_epoch = p.lease_epoch";

const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

const PING: &str = "SELECT 1";

/// How it is.
pub(super) async fn info(pool: &Pool, readers: &Pool, version: &str) -> Result<StoreInfo> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<i64>(SIZE);
    let size = query.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(StoreInfo {
        kind: "postgres",
        version: version.to_owned(),
        size_bytes: u64::try_from(size).unwrap_or(0),
        pool_size: readers.size(),
        pool_idle: readers.unused(),
    })
}

/// The newest flushed progress of those of these jobs that run.
pub(super) async fn progress(pool: &Pool, ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
    let wanted = super::read::wanted(ids.iter().map(|id| id.0));
    let mut link = pool.read().await?;
    let query = link.query_as::<(Uuid, Vec<u8>)>(PROGRESS).bind(wanted);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found.into_iter().map(|(id, columns)| Ok(Flushed::read(&columns)?.of(JobId(id)))).collect()
}

/// What its clock says.
pub(super) async fn time(pool: &Pool) -> Result<Option<Timestamp>> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<i64>(TIME);
    let micros = query.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(Some(Timestamp::from_micros(micros)))
}

/// Whether it answers.
pub(super) async fn ping(pool: &Pool) -> Result<()> {
    let mut link = pool.read().await?;
    let query = link.query(PING);
    query.execute(&mut *link).await.map_err(from_sqlx)?;
    link.done().await
}
