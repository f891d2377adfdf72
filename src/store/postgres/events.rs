//! What was told and who did what.

use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::audit::AuditEvent;
use crate::domain::event::{Cursor, Event, EventName};
use crate::domain::limits::{EVENTS_SCANNED_MAX, EVENTS_TAIL_SCANNED_MAX};
use crate::domain::{JobType, Position, Timestamp};
use crate::store::events::{Walked, audit_upper, told};
use crate::store::rows::{corrupt, decode, encode};
use crate::store::{
    AuditQuery, Batch, Cause, Committed, EventPage, EventQuery, EventsFrom, Result, StoredAudit,
    StoredEvent,
};

use super::bound::Bound;
use super::changes::{self, here, transaction};
use super::commit::Failed;
use super::error::from_sqlx;
use super::pool::{Link, Pool};

pub(super) const STATEMENTS: &[&str] = &[
    WRITE,
    REST,
    SINCE,
    LAST,
    AUDIT,
    AUDIT_OF_ACTIONS,
    AUDIT_OF_ACTOR,
    AUDIT_OF_JOB,
    AUDIT_OF_TYPE,
];

/// What hangs on sessions, which are decided on after all else is written.
const WRITE: &str = concat!(
    "WITH told AS (INSERT INTO events (transaction, time, name, job_type, once, body) SELECT ",
    transaction!(),
    ", time, name, job_type, once, body FROM unnest($1::bigint[], $2::text[], $3::text[], \
    $4::text[], $5::bytea[]) WITH ORDINALITY AS e(time, name, job_type, once, body, place) \
    ORDER BY once, place ON CONFLICT DO NOTHING RETURNING once), \
    recorded AS (INSERT INTO audit_events (time, actor, action, job_id, job_type, body) \
    SELECT time, actor, action, job_id, job_type, body FROM unnest($6::bigint[], $7::text[], \
    $8::text[], $9::uuid[], $10::text[], $11::bytea[]) \
    WITH ORDINALITY AS a(time, actor, action, job_id, job_type, body, place) ORDER BY place) \
    SELECT array_agg(once) FROM told WHERE once IS NOT NULL"
);

macro_rules! body_if_wanted {
    () => {
        "CASE WHEN (cardinality($3::text[]) = 0 OR name = ANY($3)) \
        AND (cardinality($4::text[]) = 0 OR job_type = ANY($4)) THEN body END"
    };
}

/// Of a commit that was read in part.
const REST: &str = concat!(
    "SELECT NULL::bigint, NULL::bigint[], transaction, position, ",
    body_if_wanted!(),
    " FROM events WHERE transaction = $1 AND position > $2 \
    ORDER BY transaction, position LIMIT $5"
);

/// What can be seen now, and the next rows: of the commits $2, which were under way, and of those from $1 on. Those
/// that are not wanted come without a body.
const SINCE: &str = concat!(
    "SELECT ",
    here!(),
    ", NULL::bigint, NULL::bigint, NULL::bytea UNION ALL \
    (SELECT NULL, NULL, transaction, position, ",
    body_if_wanted!(),
    " FROM events WHERE transaction = ANY($2::bigint[]) \
    ORDER BY transaction, position LIMIT $5) UNION ALL \
    (SELECT NULL, NULL, transaction, position, ",
    body_if_wanted!(),
    " FROM events WHERE transaction >= $1 ORDER BY transaction, position LIMIT $5)"
);

const LAST: &str = concat!(
    "SELECT ",
    here!(),
    ", NULL::bigint, NULL::bigint, NULL::bytea UNION ALL \
    (SELECT NULL, NULL, transaction, position, body FROM (\
    SELECT * FROM events ORDER BY transaction DESC, position DESC LIMIT $2) AS e \
    WHERE (cardinality($3::text[]) = 0 OR name = ANY($3)) \
    AND (cardinality($4::text[]) = 0 OR job_type = ANY($4)) \
    ORDER BY transaction DESC, position DESC LIMIT $1)"
);

macro_rules! audit {
    ($key:literal) => {
        concat!(
            "SELECT position, body FROM audit_events WHERE ",
            $key,
            " AND time >= $1 AND (time, position) < ($2, $3) \
            AND (cardinality($5::text[]) = 0 OR action = ANY($5)) \
            AND ($6::text IS NULL OR actor = $6) AND ($7::uuid IS NULL OR job_id = $7) \
            AND ($8::text IS NULL OR job_type = $8) \
            ORDER BY time DESC, position DESC LIMIT $4"
        )
    };
}

const AUDIT: &str = audit!("true");
const AUDIT_OF_ACTOR: &str = audit!("actor = $6");
const AUDIT_OF_JOB: &str = audit!("job_id = $7");
const AUDIT_OF_TYPE: &str = audit!("job_type = $8");

/// The newest of each action, and of these the newest.
const AUDIT_OF_ACTIONS: &str = "SELECT a.position, a.body \
    FROM (SELECT DISTINCT unnest($5::text[])) AS w(action) CROSS JOIN LATERAL (\
    SELECT time, position, body FROM audit_events WHERE action = w.action \
    AND time >= $1 AND (time, position) < ($2, $3) \
    AND ($6::text IS NULL OR actor = $6) AND ($7::uuid IS NULL OR job_id = $7) \
    AND ($8::text IS NULL OR job_type = $8) \
    ORDER BY time DESC, position DESC LIMIT $4) AS a \
    ORDER BY a.time DESC, a.position DESC LIMIT $4";

/// Columns of events and deeds.
#[derive(Default)]
pub(super) struct Columns {
    times: Vec<i64>,
    names: Vec<&'static str>,
    types: Vec<Option<String>>,
    once: Vec<Option<String>>,
    bodies: Vec<Vec<u8>>,
    deeds: Deeds,
}

#[derive(Default)]
struct Deeds {
    times: Vec<i64>,
    actors: Vec<String>,
    actions: Vec<&'static str>,
    job_ids: Vec<Option<Uuid>>,
    types: Vec<Option<String>>,
    bodies: Vec<Vec<u8>>,
}

impl Columns {
    pub(super) fn of<'a>(
        events: impl Iterator<Item = &'a Event>,
        audit: impl Iterator<Item = &'a AuditEvent>,
    ) -> Result<Self> {
        let mut columns = Self::default();
        for event in events {
            columns.times.push(event.time.as_micros());
            columns.names.push(event.name().as_str());
            columns.types.push(event.job_type.as_ref().map(ToString::to_string));
            columns.once.push(event.once());
            columns.bodies.push(encode(event)?);
        }
        for event in audit {
            let deeds = &mut columns.deeds;
            deeds.times.push(event.time.as_micros());
            deeds.actors.push(event.actor.clone());
            deeds.actions.push(event.action.as_str());
            deeds.job_ids.push(event.job_id().map(|id| id.0));
            deeds.types.push(event.job_type().map(ToString::to_string));
            deeds.bodies.push(encode(event)?);
        }
        Ok(columns)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.times.is_empty() && self.deeds.times.is_empty()
    }

    pub(super) fn bind(self, query: Bound) -> Bound {
        let query = query.bind(self.times).bind(self.names).bind(self.types);
        let query = query.bind(self.once).bind(self.bodies);
        let Deeds { times, actors, actions, job_ids, types, bodies } = self.deeds;
        query.bind(times).bind(actors).bind(actions).bind(job_ids).bind(types).bind(bodies)
    }
}

/// Notes which events were written, of those whose cause is known to hold: `new` are the keys that nobody wrote
/// before.
pub(super) fn note(batch: &Batch, committed: &mut Committed, new: Option<Vec<String>>) {
    let new: HashSet<String> = new.unwrap_or_default().into_iter().collect();
    committed.events = told(batch, committed, |key| !new.contains(key));
}

/// Writes what hangs on sessions, now that it is known which of them changed.
pub(super) async fn write_on_sessions(
    link: &mut Link,
    batch: &Batch,
    committed: &mut Committed,
) -> Result<(), Failed> {
    let hangs = |cause: Cause| matches!(cause, Cause::Session(_)) && cause.holds(committed);
    let events = batch.events.iter().filter(|write| hangs(write.cause)).map(|write| &write.event);
    let audit = batch.audit.iter().filter(|write| hangs(write.cause)).map(|write| &write.event);
    let columns = Columns::of(events, audit)?;
    if columns.is_empty() {
        return Ok(());
    }
    let arguments = columns.bind(Bound::default()).all()?;
    let query = link.query_as_with::<(Option<Vec<String>>,)>(WRITE, arguments);
    let (new,) = query.fetch_one(&mut **link).await.map_err(|error| Failed::of(error, false))?;
    let new: HashSet<String> = new.unwrap_or_default().into_iter().collect();
    let on_sessions = told(batch, committed, |key| !new.contains(key));
    for ((write, told), now) in batch.events.iter().zip(&mut committed.events).zip(on_sessions) {
        if matches!(write.cause, Cause::Session(_)) {
            *told = now;
        }
    }
    Ok(())
}

type Row = (Option<i64>, Option<Vec<i64>>, Option<i64>, Option<i64>, Option<Vec<u8>>);

/// A place as the statements take it, and which rows.
struct Scan {
    first: i64,
    second: Second,
}

enum Second {
    Number(i64),
    Transactions(Vec<i64>),
}

/// What can be seen, if the statement says so, and rows with what is wanted of them, in order.
async fn read(
    link: &mut Link,
    statement: &'static str,
    scan: Scan,
    query: &EventQuery,
) -> Result<(Option<Position>, Vec<Walked>)> {
    let names: Vec<&str> = query.names.iter().copied().map(EventName::as_str).collect();
    let types: Vec<&str> = query.types.iter().map(JobType::as_str).collect();
    let reading = link.query_as::<Row>(statement).bind(scan.first);
    let reading = match scan.second {
        Second::Number(number) => reading.bind(number),
        Second::Transactions(numbers) => reading.bind(numbers),
    };
    let mut reading = reading.bind(names).bind(types);
    if statement != LAST {
        reading = reading.bind(super::limit(EVENTS_SCANNED_MAX));
    }
    let rows = reading.fetch_all(&mut **link).await.map_err(from_sqlx)?;
    let (mut now, mut walked) = (None, Vec::with_capacity(rows.len()));
    for (next, under_way, transaction, id, body) in rows {
        if let (Some(transaction), Some(id)) = (transaction, id) {
            let event = body.map(|body| decode("events.body", &body)).transpose()?;
            walked.push(Walked { transaction: number(transaction)?, id, event });
        } else if let Some(next) = next {
            now = Some(changes::snapshot(next, &under_way.unwrap_or_default())?);
        }
    }
    walked.sort_unstable_by_key(|row| (row.transaction, row.id));
    Ok((now, walked))
}

fn number(transaction: i64) -> Result<u64> {
    u64::try_from(transaction).map_err(|error| corrupt("events.transaction", error))
}

/// Some events; none if the store never came to where they are to begin.
pub(super) async fn page(pool: &Pool, query: &EventQuery) -> Result<Option<EventPage>> {
    loop {
        let mut link = pool.read().await?;
        let read = match &query.from {
            EventsFrom::Last(count) => last(&mut link, query, *count).await?,
            EventsFrom::Oldest => {
                let start = Cursor::at(Position::snapshot(0, Vec::new()));
                since(&mut link, query, start).await?
            }
            EventsFrom::After(cursor) => since(&mut link, query, cursor.clone()).await?,
        };
        link.done().await?;
        match read {
            Read::Page(page) => return Ok(Some(page)),
            Read::Ahead => return Ok(None),
            Read::Unnumbered => changes::enumerate(pool).await?,
        }
    }
}

enum Read {
    Page(EventPage),
    /// The store never came to the place.
    Ahead,
    /// The database's incarnation has no number yet.
    Unnumbered,
}

async fn last(link: &mut Link, query: &EventQuery, count: usize) -> Result<Read> {
    let scan = Scan {
        first: super::limit(count.min(query.limit)),
        second: Second::Number(super::limit(EVENTS_TAIL_SCANNED_MAX)),
    };
    let (Some(now), rows) = read(link, LAST, scan, query).await? else {
        return Ok(Read::Unnumbered);
    };
    let stored = |row: Walked| Some(StoredEvent { id: row.id, event: row.event? });
    let events = rows.into_iter().filter_map(stored).collect();
    Ok(Read::Page(EventPage { events, cursor: Cursor::at(now), more: false }))
}

async fn since(link: &mut Link, query: &EventQuery, cursor: Cursor) -> Result<Read> {
    let mut page = EventPage::new(cursor);
    if let Some((transaction, row)) = page.cursor.within {
        let Ok(first) = i64::try_from(transaction) else { return Ok(Read::Ahead) };
        let scan = Scan { first, second: Second::Number(row) };
        let (_, rows) = read(link, REST, scan, query).await?;
        page = page.rest(rows, query.limit, EVENTS_SCANNED_MAX);
        if page.more {
            return Ok(Read::Page(page));
        }
    }
    let Position::Snapshot { next, under_way } = &page.cursor.seen else { return Ok(Read::Ahead) };
    let (next, Ok(first)) = (*next, i64::try_from(*next)) else { return Ok(Read::Ahead) };
    let under_way = under_way.iter().map(|number| number.cast_signed()).collect();
    let scan = Scan { first, second: Second::Transactions(under_way) };
    let (Some(now), mut rows) = read(link, SINCE, scan, query).await? else {
        return Ok(Read::Unnumbered);
    };
    // Each of the two parts has at most so many: behind these, some may be missing.
    rows.truncate(EVENTS_SCANNED_MAX);
    if matches!(&now, Position::Snapshot { next: begun, .. } if next > *begun) {
        return Ok(Read::Ahead);
    }
    Ok(Read::Page(page.since(rows, now, query.limit, EVENTS_SCANNED_MAX)))
}

/// Some deeds, the newest first.
pub(super) async fn audit(pool: &Pool, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
    let statement = match query {
        AuditQuery { job_id: Some(_), .. } => AUDIT_OF_JOB,
        AuditQuery { actor: Some(_), .. } => AUDIT_OF_ACTOR,
        AuditQuery { job_type: Some(_), .. } => AUDIT_OF_TYPE,
        AuditQuery { actions, .. } if !actions.is_empty() => AUDIT_OF_ACTIONS,
        AuditQuery { .. } => AUDIT,
    };
    let upper = audit_upper(query);
    let actions: Vec<&str> = query.actions.iter().map(|action| action.as_str()).collect();
    let mut link = pool.read().await?;
    let rows = link
        .query_as::<(i64, Vec<u8>)>(statement)
        .bind(query.time_after.map_or(i64::MIN, Timestamp::as_micros))
        .bind(upper.time.as_micros())
        .bind(upper.id)
        .bind(super::limit(query.limit))
        .bind(actions)
        .bind(query.actor.as_deref())
        .bind(query.job_id.map(|id| id.0))
        .bind(query.job_type.as_ref().map(JobType::as_str))
        .fetch_all(&mut *link)
        .await
        .map_err(from_sqlx)?;
    link.done().await?;
    let stored = |(id, body): (i64, Vec<u8>)| {
        Ok(StoredAudit { id, event: decode("audit_events.body", &body)? })
    };
    rows.into_iter().map(stored).collect()
}
