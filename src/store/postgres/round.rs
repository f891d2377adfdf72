//! .
pub(super) const STATEMENTS: &[&str] = &[];
use super::LeaseClock;
use super::error::closed;
use super::pool::Pool;
use crate::domain::Timestamp;
use crate::store::{Probe, Result, Round};
pub(super) async fn begin(
    pool: &Pool,
    clock: LeaseClock,
    probes: &[Probe],
    now: Timestamp,
) -> Result<Box<dyn Round>> {
    let _ = (pool, clock, probes, now);
    Err(closed())
}
