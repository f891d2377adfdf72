//! Writing sessions: as they stand, locked, by the database's clock.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::domain::session::Session;
use crate::domain::{SessionId, Timestamp};
use crate::store::rows::{encode, end_code};
use crate::store::{Result, SessionWrite, leases};

use super::error::from_sqlx;
use super::pool::Link;
use super::sessions::{Row, session};

pub(super) const STATEMENTS: &[&str] = &[ONE_BY_ONE, CONCERNED, UPSERT];

/// Processes that attach do so one by one, on whichever server: else each of two would find nobody to
/// take the place of. The first number keeps this apart from other locks.
const ONE_BY_ONE: &str = "SELECT pg_advisory_xact_lock(1785687148, n.number) FROM (\
    SELECT DISTINCT hashtext(i.id) AS number FROM unnest($1::text[]) AS i(id) ORDER BY 1) AS n";

/// Those with the ids $1, and the open ones of the processes $2; and the time, also if there is none.
const CONCERNED: &str = "WITH locked AS MATERIALIZED (\
    SELECT body, ttl, expire_time, end_time, end_reason FROM sessions \
    WHERE id = ANY(ARRAY(SELECT unnest($1::uuid[]) UNION SELECT id FROM sessions \
    WHERE end_time IS NULL AND instance_id = ANY($2::text[]))) ORDER BY id FOR UPDATE) \
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, \
    body, ttl, expire_time, end_time, end_reason FROM (SELECT 1) AS one LEFT JOIN locked ON true";

const UPSERT: &str = "INSERT INTO sessions (id, instance_id, principal, connect_time, ttl, \
    expire_time, end_time, end_reason, body) SELECT * FROM unnest($1::uuid[], $2::text[], \
    $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::smallint[], \
    $9::bytea[]) ON CONFLICT (id) DO UPDATE SET ttl = excluded.ttl, \
    expire_time = excluded.expire_time, end_time = excluded.end_time, \
    end_reason = excluded.end_reason";

/// Applies session writes in order, at `now` or else at the database's time; answers which applied.
pub(super) async fn write(
    link: &mut Link,
    writes: &[SessionWrite],
    now: Option<Timestamp>,
) -> Result<Vec<bool>> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let (mut standing, database_now) = concerned(link, writes).await?;
    let before = standing.clone();
    let time = now.unwrap_or(database_now);
    let applied = writes
        .iter()
        .map(|write| match write {
            // Its lease too is counted from here on, whatever the server's clock says.
            SessionWrite::Open(new) if now.is_none() => {
                let new = Session { expire_time: time.plus(new.ttl), ..new.clone() };
                leases::apply(&mut standing, &SessionWrite::Open(new), time)
            }
            write => leases::apply(&mut standing, write, time),
        })
        .collect();
    let changed = standing.values().filter(|session| before.get(&session.id) != Some(session));
    let changed: Vec<&Session> = changed.collect();
    if changed.is_empty() {
        return Ok(applied);
    }
    let texts = |text: fn(&Session) -> &str| changed.iter().map(|s| text(s)).collect::<Vec<_>>();
    let numbers =
        |number: fn(&Session) -> i64| changed.iter().map(|s| number(s)).collect::<Vec<_>>();
    let reason = |session: &&Session| {
        session.end.map(|(_, reason)| i16::try_from(end_code(reason)).unwrap_or(i16::MAX))
    };
    let bodies: Vec<Vec<u8>> = changed.iter().map(encode).collect::<Result<_>>()?;
    link.query(UPSERT)
        .bind(changed.iter().map(|session| session.id.0).collect::<Vec<_>>())
        .bind(texts(|session| session.instance_id.as_str()))
        .bind(texts(|session| &session.principal))
        .bind(numbers(|session| session.connect_time.as_micros()))
        .bind(numbers(|session| i64::try_from(session.ttl.as_micros()).unwrap_or(i64::MAX)))
        .bind(numbers(|session| session.expire_time.as_micros()))
        .bind(changed.iter().map(|s| s.end.map(|(time, _)| time.as_micros())).collect::<Vec<_>>())
        .bind(changed.iter().map(reason).collect::<Vec<_>>())
        .bind(bodies)
        .execute(&mut **link)
        .await
        .map_err(from_sqlx)?;
    Ok(applied)
}

type TimedRow = (i64, Option<Vec<u8>>, Option<i64>, Option<i64>, Option<i64>, Option<i16>);

/// The sessions that these writes name or may end, and the time when all of them were locked.
async fn concerned(
    link: &mut Link,
    writes: &[SessionWrite],
) -> Result<(BTreeMap<SessionId, Session>, Timestamp)> {
    let named: Vec<Uuid> = writes.iter().map(named).collect();
    let instances: BTreeSet<&str> = writes
        .iter()
        .filter_map(|write| match write {
            SessionWrite::Open(session) if !session.unary => Some(session.instance_id.as_str()),
            SessionWrite::Open(_)
            | SessionWrite::Renew { .. }
            | SessionWrite::Shorten { .. }
            | SessionWrite::End { .. }
            | SessionWrite::EndIfUnary { .. }
            | SessionWrite::Expire { .. } => None,
        })
        .filter(|instance| !instance.is_empty())
        .collect();
    let instances: Vec<&str> = instances.into_iter().collect();
    if !instances.is_empty() {
        let query = link.query(ONE_BY_ONE).bind(&instances);
        query.execute(&mut **link).await.map_err(from_sqlx)?;
    }
    let query = link.query_as::<TimedRow>(CONCERNED).bind(named).bind(instances);
    let found = query.fetch_all(&mut **link).await.map_err(from_sqlx)?;
    let mut now = i64::MIN;
    let mut standing = BTreeMap::new();
    for (time, body, ttl, expire_time, end_time, reason) in found {
        now = now.max(time);
        if let (Some(body), Some(ttl), Some(expire_time)) = (body, ttl, expire_time) {
            let row: Row = (body, ttl, expire_time, end_time, reason);
            let session = session(row)?;
            standing.insert(session.id, session);
        }
    }
    Ok((standing, Timestamp::from_micros(now)))
}

fn named(write: &SessionWrite) -> Uuid {
    match write {
        SessionWrite::Open(session) => session.id.0,
        SessionWrite::Renew { id, .. }
        | SessionWrite::Shorten { id, .. }
        | SessionWrite::End { id, .. }
        | SessionWrite::EndIfUnary { id }
        | SessionWrite::Expire { id } => id.0,
    }
}
