//! Lists and counts: the one place where a statement is put together, from fixed texts and bound values
//! only.

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::store::{ListQuery, Result};

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// .
pub(super) async fn list(pool: &Pool, query: &ListQuery) -> Result<Vec<Job>> {
    let _ = (pool, query);
    Err(closed())
}

/// .
pub(super) async fn count(pool: &Pool, filter: &JobFilter, cap: u64) -> Result<u64> {
    let _ = (pool, filter, cap);
    Err(closed())
}
