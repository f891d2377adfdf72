//! Sessions and the leases that hang on them.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::SqlitePool;

use crate::domain::session::{EndReason, Session};
use crate::domain::{InstanceId, JobId, SessionId, Timestamp};
use crate::store::rows::{decode, encode, end_code, end_reason, id};
use crate::store::{Orphan, Result, SessionWrite, leases};

use super::error::from_sqlx;
use super::input::{Rows, ids};
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] =
    &[CONCERNED, UPSERT, EXPIRED, ORPHANS, STANDING, OF_INSTANCE, ONE];

/// Those with the ids ?1, and the open ones of the processes ?2.
const CONCERNED: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE id IN (SELECT unhex(value) FROM json_each(?1)) UNION ALL \
    SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE end_time IS NULL AND instance_id IN (SELECT value FROM json_each(?2)) \
    AND id NOT IN (SELECT unhex(value) FROM json_each(?1))";

const UPSERT: &str = "INSERT INTO sessions (id, instance_id, principal, connect_time, ttl, \
    expire_time, end_time, end_reason, body) \
    SELECT unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
    value ->> 6, value ->> 7, substr(?2, value ->> 8, value ->> 9) FROM jsonb_each(?1) WHERE true \
    ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl, expire_time = excluded.expire_time, \
    end_time = excluded.end_time, end_reason = excluded.end_reason";

const EXPIRED: &str = "SELECT id FROM sessions WHERE end_time IS NULL AND expire_time <= ?1 \
    ORDER BY expire_time, id LIMIT ?2 + 0";

const ORPHANS: &str = "SELECT j.id, j.lease_epoch, j.session_id, s.end_reason \
    FROM job_status AS j LEFT JOIN sessions AS s ON s.id = j.session_id \
    WHERE j.state = 1 AND (s.id IS NULL OR s.end_time IS NOT NULL) \
    ORDER BY j.session_id LIMIT ?1 + 0";

const STANDING: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE end_time IS NULL UNION ALL \
    SELECT body, ttl, expire_time, end_time, end_reason FROM sessions WHERE end_time > ?1";

const OF_INSTANCE: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE end_time IS NULL AND instance_id = ?1 AND principal = ?2";

const ONE: &str = "SELECT body, ttl, expire_time, end_time, end_reason FROM sessions WHERE id = ?1";

type OrphanRow = (Vec<u8>, i64, Vec<u8>, Option<i64>);
pub(super) type Row = (Vec<u8>, i64, i64, Option<i64>, Option<i64>);

/// The body as it was opened, with what changed since.
fn session((body, ttl, expire_time, end_time, reason): Row) -> Result<Session> {
    let mut session: Session = decode("sessions.body", &body)?;
    session.ttl = Duration::from_micros(u64::try_from(ttl).unwrap_or(0));
    session.expire_time = Timestamp::from_micros(expire_time);
    session.end = match end_time.zip(reason) {
        Some((time, code)) => {
            Some((Timestamp::from_micros(time), end_reason("sessions.end_reason", code)?))
        }
        None => None,
    };
    Ok(session)
}

fn newest_first(found: Vec<Row>) -> Result<Vec<Session>> {
    let mut sessions: Vec<Session> = found.into_iter().map(session).collect::<Result<_>>()?;
    sessions.sort_by_key(|session| std::cmp::Reverse((session.connect_time, session.id)));
    Ok(sessions)
}

/// Asks for the sessions that these writes name or may end.
pub(super) fn ask(script: &mut Script, writes: &[SessionWrite]) -> Option<Place> {
    if writes.is_empty() {
        return None;
    }
    let named = writes.iter().map(|write| match write {
        SessionWrite::Open(session) => &session.id.0,
        SessionWrite::Renew { id, .. }
        | SessionWrite::Shorten { id, .. }
        | SessionWrite::End { id, .. }
        | SessionWrite::EndIfUnary { id }
        | SessionWrite::Expire { id } => &id.0,
    });
    let instances: Vec<&str> = writes
        .iter()
        .filter_map(|write| match write {
            SessionWrite::Open(session) => Some(session.instance_id.as_str()),
            SessionWrite::Renew { .. }
            | SessionWrite::Shorten { .. }
            | SessionWrite::End { .. }
            | SessionWrite::EndIfUnary { .. }
            | SessionWrite::Expire { .. } => None,
        })
        .filter(|instance| !instance.is_empty())
        .collect();
    let place = script.add(CONCERNED);
    script.bind(ids(named)).bind(serde_json::Value::from(instances).to_string());
    Some(place)
}

/// The answer to [`ask`].
pub(super) fn concerned(found: Vec<Row>) -> Result<BTreeMap<SessionId, Session>> {
    found.into_iter().map(|row| session(row).map(|session| (session.id, session))).collect()
}

/// Applies session writes in order to those that stand; answers which applied.
pub(super) fn write(
    script: &mut Script,
    mut standing: BTreeMap<SessionId, Session>,
    writes: &[SessionWrite],
    now: Timestamp,
) -> Result<Vec<bool>> {
    let before = standing.clone();
    let applied = writes.iter().map(|write| leases::apply(&mut standing, write, now)).collect();
    let mut rows = Rows::default();
    for session in standing.values().filter(|session| before.get(&session.id) != Some(session)) {
        rows.row()
            .hex(session.id.0.as_bytes())
            .text(session.instance_id.as_str())
            .text(&session.principal)
            .int(session.connect_time.as_micros())
            .int(i64::try_from(session.ttl.as_micros()).unwrap_or(i64::MAX))
            .int(session.expire_time.as_micros())
            .maybe_int(session.end.map(|(time, _)| time.as_micros()))
            .maybe_int(session.end.map(|(_, reason)| end_code(reason)))
            .slice(&encode(session)?);
    }
    script.add_rows(UPSERT, rows);
    Ok(applied)
}

/// Open sessions whose lease has run out.
pub(super) async fn expired(
    readers: &SqlitePool,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<SessionId>> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(EXPIRED)
        .bind(now.as_micros())
        .bind(limit)
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    found.iter().map(|bytes| id("sessions.id", bytes).map(SessionId)).collect()
}

/// Running jobs on ended sessions.
pub(super) async fn orphans(readers: &SqlitePool, limit: i64) -> Result<Vec<Orphan>> {
    let found: Vec<OrphanRow> =
        sqlx::query_as(ORPHANS).bind(limit).fetch_all(readers).await.map_err(from_sqlx)?;
    found
        .into_iter()
        .map(|(job_id, lease_epoch, session, reason)| {
            Ok(Orphan {
                job_id: JobId(id("job_status.id", &job_id)?),
                lease_epoch,
                session: SessionId(id("job_status.session_id", &session)?),
                reason: match reason {
                    Some(code) => end_reason("sessions.end_reason", code)?,
                    None => EndReason::Expired,
                },
            })
        })
        .collect()
}

/// Sessions that are open, or ended after a moment.
pub(super) async fn standing(readers: &SqlitePool, ended_after: Timestamp) -> Result<Vec<Session>> {
    let found = sqlx::query_as(STANDING)
        .bind(ended_after.as_micros())
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    newest_first(found)
}

/// Open sessions of a process.
pub(super) async fn of_instance(
    readers: &SqlitePool,
    instance: &InstanceId,
    principal: &str,
) -> Result<Vec<Session>> {
    let found = sqlx::query_as(OF_INSTANCE)
        .bind(instance.as_str())
        .bind(principal)
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    newest_first(found)
}

/// One session.
pub(super) async fn one(readers: &SqlitePool, id: SessionId) -> Result<Option<Session>> {
    let found = sqlx::query_as(ONE)
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(readers)
        .await
        .map_err(from_sqlx)?;
    found.map(session).transpose()
}
