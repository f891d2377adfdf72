//! What is past its time goes, a bounded number of rows at once.

use crate::domain::stats::{hour_of, slot_of};
use crate::store::{Prune, Result};

use super::writer::Writer;

pub(super) const STATEMENTS: &[&str] =
    &[CHANGES, SESSIONS, REQUESTS, BUCKETS, HOURS, FACETS, EVENTS, AUDIT];

/// Of the oldest rows those before the first that is young enough: a hole in the log would look like no
/// change.
const CHANGES: &str = "DELETE FROM changes WHERE sequence IN (SELECT sequence FROM (\
    SELECT sequence, max(time) OVER (ORDER BY sequence) AS newest FROM (\
    SELECT sequence, time FROM changes WHERE sequence > 0 ORDER BY sequence LIMIT ?2 + 0)) \
    WHERE newest < ?1)";

const SESSIONS: &str = "DELETE FROM sessions WHERE id IN (\
    SELECT id FROM sessions WHERE end_time < ?1 ORDER BY end_time LIMIT ?2 + 0)";

const REQUESTS: &str = "DELETE FROM job_keys WHERE (kind, scope, key) IN (\
    SELECT kind, scope, key FROM job_keys WHERE job_gone = 1 AND create_time < ?1 \
    ORDER BY create_time LIMIT ?2 + 0)";

const BUCKETS: &str = "DELETE FROM stat_buckets WHERE (minute, job_type, queue) IN (\
    SELECT minute, job_type, queue FROM stat_buckets WHERE minute < ?1 \
    ORDER BY minute, job_type, queue LIMIT ?2 + 0)";

const HOURS: &str = "DELETE FROM stat_hours WHERE (hour, job_type, queue) IN (\
    SELECT hour, job_type, queue FROM stat_hours WHERE hour < ?1 \
    ORDER BY hour, job_type, queue LIMIT ?2 + 0)";

const FACETS: &str = "DELETE FROM stat_facets WHERE (key, value, slot) IN (\
    SELECT key, value, slot FROM stat_facets WHERE slot < ?1 ORDER BY slot LIMIT ?2 + 0)";

/// Of the oldest rows: they were written in this order, so there are hardly older ones behind younger ones.
const EVENTS: &str = "DELETE FROM events WHERE time < ?1 AND position IN (\
    SELECT position FROM events WHERE position > 0 ORDER BY position LIMIT ?2 + 0)";

const AUDIT: &str = "DELETE FROM audit_events WHERE position IN (\
    SELECT position FROM audit_events WHERE time < ?1 ORDER BY time, position LIMIT ?2 + 0)";

/// Answers how many rows went.
pub(super) async fn run(writer: &mut Writer, prune: Prune) -> Result<u64> {
    let mut script = writer.begin().await?;
    let mut places = Vec::new();
    for (statement, before) in [
        (CHANGES, prune.changes_before.as_micros()),
        (SESSIONS, prune.sessions_before.as_micros()),
        (REQUESTS, prune.requests_before.as_micros()),
        (BUCKETS, prune.buckets_before.minute()),
        (HOURS, hour_of(prune.buckets_before.minute())),
        (FACETS, slot_of(prune.buckets_before.minute())),
        (EVENTS, prune.events_before.as_micros()),
        (AUDIT, prune.audit_before.as_micros()),
    ] {
        places.push(script.add(statement));
        script.bind(before).bind(super::limit(prune.limit));
    }
    writer.tallies.clear();
    let answers = writer.commit(script).await?;
    Ok(places.into_iter().map(|place| answers.affected(place)).sum())
}
