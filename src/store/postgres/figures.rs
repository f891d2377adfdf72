//! Counters and minute buckets, as they are read: what was folded and what was not yet.

use crate::domain::stats::{Bucket, Count};
use crate::store::Result;

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// .
pub(super) async fn counts(pool: &Pool) -> Result<Vec<Count>> {
    let _ = (pool);
    Err(closed())
}

/// .
pub(super) async fn buckets(pool: &Pool, from_minute: i64) -> Result<Vec<Bucket>> {
    let _ = (pool, from_minute);
    Err(closed())
}
