//! What is told and what is audited, as parts of a batch and as they are read again.

use std::collections::HashSet;

use crate::domain::audit::AuditEvent;
use crate::domain::event::{Cursor, Event, EventName};
use crate::domain::{JobId, JobType, Position, Timestamp};

use super::{Batch, Committed, Written};

/// The part of a batch that something hangs on, by its place there: it is written only if that part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The batch as a whole.
    Batch,
    /// A create.
    Create(usize),
    /// A write.
    Write(usize),
    /// A delete.
    Delete(usize),
    /// A change of a session.
    Session(usize),
}

impl Cause {
    /// Whether that part is written. Of a part whose fate is not known yet it says no.
    pub(super) fn holds(self, committed: &Committed) -> bool {
        match self {
            Self::Batch => committed.missed_rules.is_empty(),
            Self::Create(place) => committed.creates.get(place) == Some(&Written::Done),
            Self::Write(place) => committed.writes.get(place) == Some(&Written::Done),
            Self::Delete(place) => committed.deletes.get(place) == Some(&true),
            Self::Session(place) => committed.sessions.get(place) == Some(&true),
        }
    }
}

/// An event to be written. One that has a key ([`Event::once`]) is not written if that key was written before.
#[derive(Debug, Clone, PartialEq)]
pub struct EventWrite {
    /// What it hangs on.
    pub cause: Cause,
    /// The event.
    pub event: Event,
}

/// A deed to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditWrite {
    /// What it hangs on.
    pub cause: Cause,
    /// The deed.
    pub event: AuditEvent,
}

impl Batch {
    /// Adds an event that hangs on a part of it.
    pub fn tell(&mut self, cause: Cause, event: Event) {
        self.events.push(EventWrite { cause, event });
    }

    /// Adds a deed that hangs on a part of it.
    pub fn record(&mut self, cause: Cause, event: AuditEvent) {
        self.audit.push(AuditWrite { cause, event });
    }
}

/// The keys of the events that are written at most once, each once, in the order in which every store writes
/// them: two servers cannot block each other.
pub(super) fn keys(batch: &Batch) -> Vec<String> {
    let mut keys: Vec<String> =
        batch.events.iter().filter_map(|write| write.event.once()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Which events are written: those whose cause holds, and of those with the same key the first, if nobody wrote
/// it before.
pub(super) fn told(
    batch: &Batch,
    committed: &Committed,
    mut is_known: impl FnMut(&str) -> bool,
) -> Vec<bool> {
    let mut written = HashSet::new();
    let is_told = |write: &super::EventWrite| {
        write.cause.holds(committed)
            && write.event.once().is_none_or(|key| !is_known(&key) && written.insert(key))
    };
    batch.events.iter().map(is_told).collect()
}

/// Where a list of events begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsFrom {
    /// With the oldest that is kept.
    Oldest,
    /// After what was read before.
    After(Cursor),
    /// With the last so many of those that are wanted.
    Last(usize),
}

/// Which events are wanted; an empty list does not filter.
#[derive(Debug, Clone)]
pub struct EventQuery {
    /// Of these names.
    pub names: Vec<EventName>,
    /// About these types.
    pub types: Vec<JobType>,
    /// From where on.
    pub from: EventsFrom,
    /// At most so many.
    pub limit: usize,
}

impl EventQuery {
    /// Whether an event is wanted.
    pub(super) fn wants(&self, event: &Event) -> bool {
        (self.names.is_empty() || self.names.contains(&event.name()))
            && (self.types.is_empty()
                || event.job_type.as_ref().is_some_and(|of| self.types.contains(of)))
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its number: no other event has it.
    pub id: i64,
    /// The event.
    pub event: Event,
}

/// Some events, in the order of their commits.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// How far this was.
    pub cursor: Cursor,
    /// Whether there may be more now.
    pub more: bool,
}

/// A row on the way into a page: which commit's, which row, and the event if it is wanted.
pub(super) struct Walked {
    pub transaction: u64,
    pub id: i64,
    pub event: Option<Event>,
}

impl EventPage {
    /// A page with nothing in it yet, which goes on after `cursor`.
    pub(super) const fn new(cursor: Cursor) -> Self {
        Self { events: Vec::new(), cursor, more: false }
    }

    /// Goes on with the rest of the commit that was read in part, in order; `scanned` of its rows were asked for.
    pub(super) fn rest(mut self, rows: Vec<Walked>, limit: usize, scanned: usize) -> Self {
        let Some((transaction, mut last)) = self.cursor.within else { return self };
        let is_cut = rows.len() >= scanned;
        for row in rows {
            if row.event.is_some() && self.events.len() >= limit {
                return self.stopped_within(transaction, last);
            }
            last = row.id;
            self.events.extend(row.event.map(|event| StoredEvent { id: row.id, event }));
        }
        if is_cut {
            return self.stopped_within(transaction, last);
        }
        self.cursor = self.cursor.finished();
        self
    }

    fn stopped_within(mut self, transaction: u64, last: i64) -> Self {
        self.cursor.within = Some((transaction, last));
        self.more = true;
        self
    }

    /// Goes on with what came since, in order, as `now` shows it; `scanned` rows were asked for.
    pub(super) fn since(
        mut self,
        rows: Vec<Walked>,
        now: Position,
        limit: usize,
        scanned: usize,
    ) -> Self {
        let is_cut = rows.len() >= scanned;
        let mut last = None;
        for row in rows {
            if row.event.is_some() && self.events.len() >= limit {
                return self.stopped(&now, last);
            }
            last = Some((row.transaction, row.id));
            self.events.extend(row.event.map(|event| StoredEvent { id: row.id, event }));
        }
        if is_cut {
            return self.stopped(&now, last);
        }
        self.cursor = Cursor::at(now);
        self
    }

    fn stopped(mut self, now: &Position, last: Option<(u64, i64)>) -> Self {
        if let Some(last) = last {
            self.cursor = self.cursor.cut(now, last);
        }
        self.more = true;
        self
    }
}

/// Which deeds are wanted; an empty field does not filter.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// By this caller.
    pub actor: Option<String>,
    /// To this job.
    pub job_id: Option<JobId>,
    /// To this type, or a job of it.
    pub job_type: Option<JobType>,
    /// Any of these actions.
    pub actions: Vec<crate::domain::audit::AuditAction>,
    /// At or after this time.
    pub time_after: Option<Timestamp>,
    /// Before this time.
    pub time_before: Option<Timestamp>,
    /// Only those before this one: where the page before ended.
    pub before: Option<AuditPlace>,
    /// At most so many.
    pub limit: usize,
}

impl AuditQuery {
    /// Whether a deed is wanted, wherever it stands.
    pub(super) fn wants(&self, event: &AuditEvent) -> bool {
        self.actor.as_ref().is_none_or(|actor| event.actor == *actor)
            && self.job_id.is_none_or(|job_id| event.job_id() == Some(job_id))
            && self.job_type.as_ref().is_none_or(|of| event.job_type() == Some(of))
            && (self.actions.is_empty() || self.actions.contains(&event.action))
            && self.time_after.is_none_or(|after| event.time >= after)
            && self.time_before.is_none_or(|before| event.time < before)
    }
}

/// Every deed that is wanted stands before this place.
pub(super) fn audit_upper(query: &AuditQuery) -> AuditPlace {
    let last = AuditPlace { time: Timestamp::from_micros(i64::MAX), id: i64::MAX };
    let by_time = query.time_before.map_or(last, |time| AuditPlace { time, id: i64::MIN });
    query.before.unwrap_or(last).min(by_time)
}

/// Where a deed stands in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditPlace {
    /// When it was done.
    pub time: Timestamp,
    /// Its number.
    pub id: i64,
}

/// A deed as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAudit {
    /// Its number: no other deed has it.
    pub id: i64,
    /// The deed.
    pub event: AuditEvent,
}

impl StoredAudit {
    /// Where it stands.
    #[must_use]
    pub const fn place(&self) -> AuditPlace {
        AuditPlace { time: self.event.time, id: self.id }
    }
}
