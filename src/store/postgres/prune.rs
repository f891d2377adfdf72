//! What is past its time goes, a bounded number of rows at once.

use crate::store::{Prune, Result};

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// .
pub(super) async fn run(pool: &Pool, prune: Prune) -> Result<u64> {
    let _ = (pool, prune);
    Err(closed())
}
