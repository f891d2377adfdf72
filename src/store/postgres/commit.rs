//! .
pub(super) const STATEMENTS: &[&str] = &[];
use super::LeaseClock;
use super::error::closed;
use super::pool::Pool;
use crate::store::{Batch, Committed, Result};
pub(super) async fn commit(pool: &Pool, clock: LeaseClock, batch: &Batch) -> Result<Committed> {
    let _ = (pool, clock, batch);
    Err(closed())
}
