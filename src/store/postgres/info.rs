//! How the database is: its size, its clock; and the progress of running jobs.

use crate::domain::{JobId, Timestamp};
use crate::store::{ProgressWrite, Result, StoreInfo};

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// How it is.
pub(super) async fn info(pool: &Pool, readers: &Pool, version: &str) -> Result<StoreInfo> {
    let _ = (pool, readers, version);
    Err(closed())
}

/// .
pub(super) async fn progress(pool: &Pool, ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
    let _ = (pool, ids);
    Err(closed())
}

/// .
pub(super) async fn time(pool: &Pool) -> Result<Option<Timestamp>> {
    let _ = (pool);
    Err(closed())
}

/// .
pub(super) async fn ping(pool: &Pool) -> Result<()> {
    let _ = (pool);
    Err(closed())
}
