//! Sessions as they stand.

use std::time::Duration;

use crate::domain::session::Session;
use crate::domain::{InstanceId, SessionId, Timestamp};
use crate::store::rows::{decode, end_reason};
use crate::store::{Orphan, Result};

use super::LeaseClock;
use super::error::closed;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[];

/// Body, ttl, expire time, end time, end reason.
pub(super) type Row = (Vec<u8>, i64, i64, Option<i64>, Option<i16>);

/// The body as it was opened, with what changed since.
pub(super) fn session((body, ttl, expire_time, end_time, reason): Row) -> Result<Session> {
    let mut session: Session = decode("sessions.body", &body)?;
    session.ttl = Duration::from_micros(u64::try_from(ttl).unwrap_or(0));
    session.expire_time = Timestamp::from_micros(expire_time);
    session.end = match end_time.zip(reason) {
        Some((time, code)) => {
            Some((Timestamp::from_micros(time), end_reason("sessions.end_reason", code.into())?))
        }
        None => None,
    };
    Ok(session)
}

/// .
pub(super) async fn expired(
    pool: &Pool,
    clock: LeaseClock,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<SessionId>> {
    let _ = (pool, clock, now, limit);
    Err(closed())
}

/// .
pub(super) async fn orphans(pool: &Pool, limit: i64) -> Result<Vec<Orphan>> {
    let _ = (pool, limit);
    Err(closed())
}

/// .
pub(super) async fn standing(pool: &Pool, ended_after: Timestamp) -> Result<Vec<Session>> {
    let _ = (pool, ended_after);
    Err(closed())
}

/// .
pub(super) async fn of_instance(
    pool: &Pool,
    instance: &InstanceId,
    principal: &str,
) -> Result<Vec<Session>> {
    let _ = (pool, instance, principal);
    Err(closed())
}

/// .
pub(super) async fn one(pool: &Pool, id: SessionId) -> Result<Option<Session>> {
    let _ = (pool, id);
    Err(closed())
}
