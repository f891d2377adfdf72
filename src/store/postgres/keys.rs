//! .
pub(super) const STATEMENTS: &[&str] = &[];
use super::error::closed;
use super::pool::Pool;
use crate::store::{KnownRequest, Result};
pub(super) async fn request(
    pool: &Pool,
    caller: &str,
    request_id: &str,
) -> Result<Option<KnownRequest>> {
    let _ = (pool, caller, request_id);
    Err(closed())
}
