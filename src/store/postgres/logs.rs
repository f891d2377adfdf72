//! Log rows: read in order, trimmed in the middle.

use crate::domain::JobId;
use crate::domain::logs::LogRow;
use crate::store::{LogQuery, Result};

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// .
pub(super) async fn read(pool: &Pool, query: &LogQuery) -> Result<Vec<LogRow>> {
    let _ = (pool, query);
    Err(closed())
}

/// .
pub(super) async fn trim(
    pool: &Pool,
    id: JobId,
    lease_epoch: i64,
    head: u64,
    tail: u64,
) -> Result<u64> {
    let _ = (pool, id, lease_epoch, head, tail);
    Err(closed())
}
