//! Sessions as they stand.

use std::cmp::Reverse;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::session::{EndReason, Session};
use crate::domain::{InstanceId, JobId, SessionId, Timestamp};
use crate::store::rows::{decode, end_reason};
use crate::store::{Orphan, Result};

use super::LeaseClock;
use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] =
    &[EXPIRED, EXPIRED_BY_CALLER, ORPHANS, STANDING, OF_INSTANCE, ONE];

/// By the database's clock; and not before the database was up for as long as the lease runs, for
/// until then nobody may have been able to renew it. Read once, so that the index can be sought by it.
const EXPIRED: &str = "SELECT id FROM sessions WHERE end_time IS NULL AND expire_time <= \
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AND ttl <= \
    (SELECT (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000000)::bigint) \
    ORDER BY expire_time, id LIMIT $1";

const EXPIRED_BY_CALLER: &str = "SELECT id FROM sessions \
    WHERE end_time IS NULL AND expire_time <= $2 ORDER BY expire_time, id LIMIT $1";

/// From session to session of those that hold jobs, not from job to job: few sessions hold most.
const ORPHANS: &str = "WITH RECURSIVE holding(id) AS (\
    (SELECT session_id FROM job_status WHERE state = 1 ORDER BY session_id LIMIT 1) UNION ALL \
    SELECT (SELECT session_id FROM job_status WHERE state = 1 AND session_id > holding.id \
    ORDER BY session_id LIMIT 1) FROM holding WHERE holding.id IS NOT NULL) \
    SELECT j.id, j.lease_epoch, j.session_id, s.end_reason FROM holding \
    LEFT JOIN sessions AS s ON s.id = holding.id \
    JOIN job_status AS j ON j.session_id = holding.id AND j.state = 1 \
    WHERE s.id IS NULL OR s.end_time IS NOT NULL ORDER BY j.session_id LIMIT $1";

const STANDING: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE end_time IS NULL UNION ALL \
    SELECT body, ttl, expire_time, end_time, end_reason FROM sessions WHERE end_time > $1";

const OF_INSTANCE: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE end_time IS NULL AND instance_id = $1 AND principal = $2";

const ONE: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions WHERE id = $1";

type OrphanRow = (Uuid, i64, Uuid, Option<i16>);

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

fn newest_first(found: Vec<Row>) -> Result<Vec<Session>> {
    let mut sessions: Vec<Session> = found.into_iter().map(session).collect::<Result<_>>()?;
    sessions.sort_by_key(|session| Reverse((session.connect_time, session.id)));
    Ok(sessions)
}

/// Open sessions whose lease has run out.
pub(super) async fn expired(
    pool: &Pool,
    clock: LeaseClock,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<SessionId>> {
    let mut link = pool.read().await?;
    let query = match clock {
        LeaseClock::Database => link.query_scalar::<Uuid>(EXPIRED).bind(limit),
        LeaseClock::Caller => {
            link.query_scalar::<Uuid>(EXPIRED_BY_CALLER).bind(limit).bind(now.as_micros())
        }
    };
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.into_iter().map(SessionId).collect())
}

/// Running jobs on ended sessions.
pub(super) async fn orphans(pool: &Pool, limit: i64) -> Result<Vec<Orphan>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<OrphanRow>(ORPHANS).bind(limit);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found
        .into_iter()
        .map(|(job_id, lease_epoch, session, reason)| {
            let reason = match reason {
                Some(code) => end_reason("sessions.end_reason", code.into())?,
                None => EndReason::Expired,
            };
            let (job_id, session) = (JobId(job_id), SessionId(session));
            Ok(Orphan { job_id, lease_epoch, session, reason })
        })
        .collect()
}

/// Sessions that are open, or ended after a moment.
pub(super) async fn standing(pool: &Pool, ended_after: Timestamp) -> Result<Vec<Session>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<Row>(STANDING).bind(ended_after.as_micros());
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    newest_first(found)
}

/// Open sessions of a process.
pub(super) async fn of_instance(
    pool: &Pool,
    instance: &InstanceId,
    principal: &str,
) -> Result<Vec<Session>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<Row>(OF_INSTANCE).bind(instance.as_str()).bind(principal);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    newest_first(found)
}

/// One session.
pub(super) async fn one(pool: &Pool, id: SessionId) -> Result<Option<Session>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<Row>(ONE).bind(id.0);
    let found = query.fetch_optional(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found.map(session).transpose()
}
