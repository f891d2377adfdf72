//! .
pub(super) const STATEMENTS: &[&str] = &[];
use super::error::closed;
use super::pool::Pool;
use crate::store::Result;
pub(super) async fn run(pool: &Pool) -> Result<u64> {
    let _ = pool;
    Err(closed())
}
