//! What is past its time goes, a bounded number of rows at once.

use crate::domain::stats::{hour_of, slot_of};
use crate::store::{Prune, Result};

use super::changes;
use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[SESSIONS, REQUESTS, BUCKETS, HOURS, FACETS, EVENTS, AUDIT];

/// What another server takes away at this moment is left to it.
const SESSIONS: &str = "DELETE FROM sessions WHERE id = ANY(ARRAY(\
    SELECT id FROM sessions WHERE end_time IS NOT NULL AND end_time < $1 \
    ORDER BY end_time LIMIT $2 FOR UPDATE SKIP LOCKED))";

const REQUESTS: &str = "WITH old AS MATERIALIZED (SELECT kind, scope, key FROM job_keys \
    WHERE job_gone AND create_time < $1 ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED) \
    DELETE FROM job_keys AS k USING old \
    WHERE k.kind = old.kind AND k.scope = old.scope AND k.key = old.key";

/// Rows of a bucket have no name of their own but their place, which stays while they are locked.
const BUCKETS: &str = "DELETE FROM stat_buckets WHERE ctid = ANY(ARRAY(\
    SELECT ctid FROM stat_buckets WHERE minute < $1 \
    ORDER BY minute, job_type, queue LIMIT $2 FOR UPDATE SKIP LOCKED))";

const HOURS: &str = "DELETE FROM stat_hours WHERE ctid = ANY(ARRAY(\
    SELECT ctid FROM stat_hours WHERE hour < $1 \
    ORDER BY hour, job_type, queue LIMIT $2 FOR UPDATE SKIP LOCKED))";

const FACETS: &str = "DELETE FROM stat_facets WHERE ctid = ANY(ARRAY(\
    SELECT ctid FROM stat_facets WHERE slot < $1 ORDER BY slot LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// Of the oldest rows: they were written about in this order, so there are hardly older ones behind younger
/// ones.
const EVENTS: &str = "WITH old AS MATERIALIZED (SELECT transaction, position, time FROM events \
    ORDER BY transaction, position LIMIT $2 FOR UPDATE SKIP LOCKED) \
    DELETE FROM events AS e USING old WHERE old.time < $1 \
    AND e.transaction = old.transaction AND e.position = old.position";

const AUDIT: &str = "WITH old AS MATERIALIZED (SELECT time, position FROM audit_events \
    WHERE time < $1 ORDER BY time, position LIMIT $2 FOR UPDATE SKIP LOCKED) \
    DELETE FROM audit_events AS a USING old WHERE a.time = old.time AND a.position = old.position";

/// Answers how many rows went. Each kind in a transaction of its own: none waits for another's locks.
pub(super) async fn run(pool: &Pool, prune: Prune) -> Result<u64> {
    let rows = super::limit(prune.limit);
    let mut link = pool.begin().await?;
    let mut gone = changes::prune(&mut link, prune.changes_before.as_micros(), rows).await?;
    link.commit().await?;
    for (statement, before) in [
        (SESSIONS, prune.sessions_before.as_micros()),
        (REQUESTS, prune.requests_before.as_micros()),
        (BUCKETS, prune.buckets_before.minute()),
        (HOURS, hour_of(prune.buckets_before.minute())),
        (FACETS, slot_of(prune.buckets_before.minute())),
        (EVENTS, prune.events_before.as_micros()),
        (AUDIT, prune.audit_before.as_micros()),
    ] {
        let mut link = pool.read().await?;
        let query = link.query(statement).bind(before).bind(rows);
        let done = query.execute(&mut *link).await.map_err(from_sqlx)?;
        link.done().await?;
        gone += done.rows_affected();
    }
    Ok(gone)
}
