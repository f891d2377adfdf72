//! The change log.
use crate::domain::{BatchId, Origin, Position};
use crate::store::{ChangesSince, Result};
use sqlx::postgres::PgConnection;

use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

pub(super) async fn knows(pool: &Pool, id: BatchId) -> Result<bool> {
    let _ = (pool, id);
    Err(closed())
}
pub(super) async fn origin(pool: &Pool) -> Result<Origin> {
    let _ = pool;
    Err(closed())
}
pub(super) async fn position(pool: &Pool) -> Result<Position> {
    let _ = pool;
    Err(closed())
}
pub(super) async fn since(pool: &Pool, position: &Position, limit: usize) -> Result<ChangesSince> {
    let _ = (pool, position, limit);
    Err(closed())
}
/// Prunes the change log within the transaction of the pruner; `before` as `Prune::changes_before`.
/// Answers how many rows went.
pub(super) async fn prune(connection: &mut PgConnection, before: i64, limit: i64) -> Result<u64> {
    let _ = (connection, before, limit);
    Err(closed())
}
