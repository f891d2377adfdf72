//! What was told and who did what.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use sqlx::{SqliteExecutor, SqlitePool};

use crate::domain::event::{Cursor, Event, EventName};
use crate::domain::limits::{EVENTS_SCANNED_MAX, EVENTS_TAIL_SCANNED_MAX};
use crate::domain::{JobType, Position, Timestamp};
use crate::store::events::{Walked, audit_upper, keys, told};
use crate::store::rows::{decode, encode};
use crate::store::{
    AuditQuery, Batch, Committed, EventPage, EventQuery, EventsFrom, Result, StoredAudit,
    StoredEvent,
};

use super::error::from_sqlx;
use super::input::Rows;
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] = &[
    KNOWN,
    TELL,
    RECORD,
    SINCE,
    LAST,
    AUDIT,
    AUDIT_OF_ACTION,
    AUDIT_OF_ACTOR,
    AUDIT_OF_JOB,
    AUDIT_OF_TYPE,
];

const KNOWN: &str = "SELECT e.once FROM json_each(?1) AS w CROSS JOIN events AS e \
    ON e.once = w.value WHERE e.once IS NOT NULL";

const TELL: &str = "INSERT INTO events (time, name, job_type, once, body) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
    substr(?2, value ->> 4, value ->> 5) FROM jsonb_each(?1)";

const RECORD: &str = "INSERT INTO audit_events (time, actor, action, job_id, job_type, body) \
    SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 4, \
    substr(?2, value ->> 5, value ->> 6) FROM jsonb_each(?1)";

/// What an event has to be to be wanted.
macro_rules! wanted {
    ($names:literal, $types:literal) => {
        concat!(
            "(",
            $names,
            " = '[]' OR name IN (SELECT value FROM json_each(",
            $names,
            "))) AND (",
            $types,
            " = '[]' OR job_type IN (SELECT value FROM json_each(",
            $types,
            ")))"
        )
    };
}

/// The number of the newest event there ever was, and the next rows, those that are not wanted without a body.
const SINCE: &str = concat!(
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), false, NULL \
    UNION ALL SELECT * FROM (SELECT position, true, CASE WHEN ",
    wanted!("?3", "?4"),
    " THEN body END FROM events WHERE position > ?1 ORDER BY position LIMIT ?2 + 0)"
);

const LAST: &str = concat!(
    "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), false, NULL \
    UNION ALL SELECT * FROM (SELECT position, true, body FROM (\
    SELECT * FROM events WHERE position > 0 ORDER BY position DESC LIMIT ?2 + 0) WHERE ",
    wanted!("?3", "?4"),
    " ORDER BY position DESC LIMIT ?1 + 0)"
);

macro_rules! audit {
    ($index:literal, $key:literal) => {
        concat!(
            "SELECT position, body FROM audit_events INDEXED BY ",
            $index,
            " WHERE ",
            $key,
            " AND time >= ?1 AND (time, position) < (?2, ?3) \
            AND (?5 = '[]' OR action IN (SELECT value FROM json_each(?5))) \
            AND (?6 IS NULL OR actor = ?6) AND (?7 IS NULL OR job_id = ?7) \
            AND (?8 IS NULL OR job_type = ?8) \
            ORDER BY time DESC, position DESC LIMIT ?4 + 0"
        )
    };
}

const AUDIT: &str = audit!("audit_events_time", "true");
/// Of one action: of several, each is asked for.
const AUDIT_OF_ACTION: &str = audit!("audit_events_action", "action = ?5 ->> 0");
const AUDIT_OF_ACTOR: &str = audit!("audit_events_actor", "actor = ?6");
const AUDIT_OF_JOB: &str = audit!("audit_events_job", "job_id = ?7");
const AUDIT_OF_TYPE: &str = audit!("audit_events_type", "job_type = ?8");

fn array<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    serde_json::Value::from(texts.collect::<Vec<_>>()).to_string()
}

/// Asks which of the events that are written at most once are known.
pub(super) fn ask(script: &mut Script, batch: &Batch) -> Option<Place> {
    let keys = keys(batch);
    if keys.is_empty() {
        return None;
    }
    let place = script.add(KNOWN);
    script.bind(array(keys.iter().map(String::as_str)));
    Some(place)
}

/// Writes events and deeds whose cause holds, and notes in `committed` which events these are.
pub(super) fn write(
    script: &mut Script,
    batch: &Batch,
    known: &HashSet<String>,
    committed: &mut Committed,
) -> Result<()> {
    committed.events = told(batch, committed, |key| known.contains(key));
    let mut events = Rows::default();
    let told = batch.events.iter().zip(&committed.events).filter(|(_, told)| **told);
    for event in told.map(|(write, _)| &write.event) {
        events
            .row()
            .int(event.time.as_micros())
            .text(event.name().as_str())
            .maybe_text(event.job_type.as_ref().map(JobType::as_str))
            .maybe_text(event.once().as_deref())
            .slice(&encode(event)?);
    }
    script.add_rows(TELL, events);
    let mut deeds = Rows::default();
    for write in batch.audit.iter().filter(|write| write.cause.holds(committed)) {
        let event = &write.event;
        deeds
            .row()
            .int(event.time.as_micros())
            .text(&event.actor)
            .text(event.action.as_str())
            .maybe_hex(event.job_id().as_ref().map(|id| id.0.as_bytes().as_slice()))
            .maybe_text(event.job_type().map(JobType::as_str))
            .slice(&encode(event)?);
    }
    script.add_rows(RECORD, deeds);
    Ok(())
}

/// The number of the newest event, and rows with what is wanted of them.
async fn read(
    readers: &SqlitePool,
    statement: &'static str,
    (first, second): (i64, i64),
    query: &EventQuery,
) -> Result<(i64, Vec<Walked>)> {
    let rows: Vec<(i64, bool, Option<Vec<u8>>)> = sqlx::query_as(statement)
        .bind(first)
        .bind(second)
        .bind(array(query.names.iter().copied().map(EventName::as_str)))
        .bind(array(query.types.iter().map(JobType::as_str)))
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    let (mut newest, mut walked) = (0, Vec::with_capacity(rows.len()));
    for (id, is_row, body) in rows {
        if is_row {
            let event: Option<Event> = body.map(|body| decode("events.body", &body)).transpose()?;
            walked.push(Walked { transaction: 0, id, event });
        } else {
            newest = id;
        }
    }
    Ok((newest, walked))
}

/// Some events; none if the store never came to where they are to begin.
pub(super) async fn page(readers: &SqlitePool, query: &EventQuery) -> Result<Option<EventPage>> {
    let cursor = match &query.from {
        EventsFrom::Last(count) => {
            let wanted =
                (super::limit(*count.min(&query.limit)), super::limit(EVENTS_TAIL_SCANNED_MAX));
            let (newest, mut rows) = read(readers, LAST, wanted, query).await?;
            rows.sort_unstable_by_key(|row| row.id);
            let stored = |row: Walked| Some(StoredEvent { id: row.id, event: row.event? });
            let events = rows.into_iter().filter_map(stored).collect();
            let cursor = Cursor::at(Position::Sequence(newest));
            return Ok(Some(EventPage { events, cursor, more: false }));
        }
        EventsFrom::Oldest => Cursor::at(Position::Sequence(0)),
        EventsFrom::After(cursor) => cursor.clone(),
    };
    let Position::Sequence(after) = cursor.seen else { return Ok(None) };
    let wanted = (after, super::limit(EVENTS_SCANNED_MAX));
    let (newest, mut rows) = read(readers, SINCE, wanted, query).await?;
    if after > newest {
        return Ok(None);
    }
    rows.sort_unstable_by_key(|row| row.id);
    let now = Position::Sequence(newest);
    Ok(Some(EventPage::new(cursor).since(rows, now, query.limit, EVENTS_SCANNED_MAX)))
}

/// Some deeds, the newest first.
pub(super) async fn audit(readers: &SqlitePool, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
    let statement = match query {
        AuditQuery { job_id: Some(_), .. } => AUDIT_OF_JOB,
        AuditQuery { actor: Some(_), .. } => AUDIT_OF_ACTOR,
        AuditQuery { job_type: Some(_), .. } => AUDIT_OF_TYPE,
        AuditQuery { actions, .. } if !actions.is_empty() => {
            return audit_of_actions(readers, query).await;
        }
        AuditQuery { .. } => AUDIT,
    };
    let actions: Vec<&str> = query.actions.iter().map(|action| action.as_str()).collect();
    deeds(readers, statement, query, &actions).await
}

/// The newest of each action, and of these the newest, as one moment shows them.
async fn audit_of_actions(readers: &SqlitePool, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
    let actions: BTreeSet<&str> = query.actions.iter().map(|action| action.as_str()).collect();
    let mut found = Vec::new();
    let mut link = readers.begin().await.map_err(from_sqlx)?;
    for action in actions {
        found.extend(deeds(&mut *link, AUDIT_OF_ACTION, query, &[action]).await?);
    }
    link.commit().await.map_err(from_sqlx)?;
    found.sort_unstable_by_key(|deed| Reverse((deed.event.time, deed.id)));
    found.truncate(query.limit);
    Ok(found)
}

async fn deeds(
    reader: impl SqliteExecutor<'_>,
    statement: &'static str,
    query: &AuditQuery,
    actions: &[&str],
) -> Result<Vec<StoredAudit>> {
    let upper = audit_upper(query);
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(statement)
        .bind(query.time_after.map_or(i64::MIN, Timestamp::as_micros))
        .bind(upper.time.as_micros())
        .bind(upper.id)
        .bind(super::limit(query.limit))
        .bind(array(actions.iter().copied()))
        .bind(query.actor.as_deref())
        .bind(query.job_id.map(|id| id.0.as_bytes().to_vec()))
        .bind(query.job_type.as_ref().map(JobType::as_str))
        .fetch_all(reader)
        .await
        .map_err(from_sqlx)?;
    let stored = |(id, body): (i64, Vec<u8>)| {
        Ok(StoredAudit { id, event: decode("audit_events.body", &body)? })
    };
    rows.into_iter().map(stored).collect()
}
