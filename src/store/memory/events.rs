//! What was told and who did what.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::Position;
use crate::domain::audit::AuditEvent;
use crate::domain::event::{Cursor, Event};
use crate::domain::limits::{EVENTS_SCANNED_MAX, EVENTS_TAIL_SCANNED_MAX};
use crate::store::events::{Walked, told};
use crate::store::{
    AuditPlace, AuditQuery, Batch, Committed, EventPage, EventQuery, EventsFrom, Prune,
    StoredAudit, StoredEvent,
};

/// Events by the transaction and number, and deeds by their place.
#[derive(Default)]
pub(super) struct Told {
    events: BTreeMap<(u64, i64), Event>,
    once: BTreeSet<String>,
    last_event: i64,
    audit: BTreeMap<AuditPlace, AuditEvent>,
    last_audit: i64,
}

impl Told {
    /// Writes what hangs on what was written.
    pub(super) fn write(&mut self, batch: &Batch, committed: &mut Committed, transaction: u64) {
        committed.events = told(batch, committed, |key| self.once.contains(key));
        let told = batch.events.iter().zip(&committed.events).filter(|(_, told)| **told);
        for (write, _) in told {
            self.last_event += 1;
            self.once.extend(write.event.once());
            self.events.insert((transaction, self.last_event), write.event.clone());
        }
        for write in batch.audit.iter().filter(|write| write.cause.holds(committed)) {
            self.last_audit += 1;
            let place = AuditPlace { time: write.event.time, id: self.last_audit };
            self.audit.insert(place, write.event.clone());
        }
    }

    /// A page of events, as `now` shows them; none if nothing came to where it is to begin.
    pub(super) fn events(&self, query: &EventQuery, now: &Position) -> Option<EventPage> {
        let cursor = match &query.from {
            EventsFrom::Last(count) => return Some(self.last(query, *count, now)),
            EventsFrom::After(cursor) => cursor.clone(),
            EventsFrom::Oldest => Cursor::at(match now {
                Position::Sequence(_) => Position::Sequence(0),
                Position::Snapshot { .. } | Position::Transaction(_) => {
                    Position::snapshot(0, Vec::new())
                }
            }),
        };
        let walked = |((transaction, id), event): (&(u64, i64), &Event)| Walked {
            transaction: *transaction,
            id: *id,
            event: query.wants(event).then(|| event.clone()),
        };
        let mut page = EventPage::new(cursor);
        if let Some((transaction, last)) = page.cursor.within {
            let rows = self.events.range((transaction, last + 1)..(transaction + 1, i64::MIN));
            let rows = rows.take(EVENTS_SCANNED_MAX).map(walked).collect();
            page = page.rest(rows, query.limit, EVENTS_SCANNED_MAX);
            if page.more {
                return Some(page);
            }
        }
        let (seen, place) = (page.cursor.seen.clone(), self.place(now));
        let is_ahead = match (&seen, &place) {
            (Position::Sequence(seen), Position::Sequence(last)) => seen > last,
            (Position::Snapshot { next, .. }, Position::Snapshot { next: begun, .. }) => {
                next > begun
            }
            (_, _) => true,
        };
        if is_ahead {
            return None;
        }
        let is_new = |(transaction, id): &(u64, i64)| match seen {
            Position::Sequence(last) => *id > last,
            _ => !seen.covers(&Position::Transaction(*transaction)),
        };
        let rows = self.events.iter().filter(|(place, _)| is_new(place));
        let rows = rows.take(EVENTS_SCANNED_MAX).map(walked).collect();
        Some(page.since(rows, place, query.limit, EVENTS_SCANNED_MAX))
    }

    fn last(&self, query: &EventQuery, count: usize, now: &Position) -> EventPage {
        let rows = self.events.iter().rev().take(EVENTS_TAIL_SCANNED_MAX);
        let rows = rows.filter(|(_, event)| query.wants(event)).take(count.min(query.limit));
        let mut events: Vec<StoredEvent> =
            rows.map(|((_, id), event)| StoredEvent { id: *id, event: event.clone() }).collect();
        events.reverse();
        EventPage { events, cursor: Cursor::at(self.place(now)), more: false }
    }

    /// Where everything that `now` shows was read.
    fn place(&self, now: &Position) -> Position {
        match now {
            Position::Sequence(_) => Position::Sequence(self.last_event),
            Position::Snapshot { .. } | Position::Transaction(_) => now.clone(),
        }
    }

    /// Some deeds, the newest first.
    pub(super) fn audit(&self, query: &AuditQuery) -> Vec<StoredAudit> {
        let before = |place: &AuditPlace| query.before.is_none_or(|before| *place < before);
        let rows =
            self.audit.iter().rev().filter(|(place, event)| before(place) && query.wants(event));
        let stored = rows.map(|(place, event)| StoredAudit { id: place.id, event: event.clone() });
        stored.take(query.limit).collect()
    }

    /// Of the oldest so many rows those that are past their time.
    pub(super) fn prune(&mut self, prune: &Prune) -> u64 {
        let oldest = self.events.iter().take(prune.limit);
        let gone: Vec<_> = oldest
            .filter(|(_, event)| event.time < prune.events_before)
            .map(|(place, _)| *place)
            .collect();
        for place in &gone {
            if let Some(key) = self.events.remove(place).and_then(|event| event.once()) {
                self.once.remove(&key);
            }
        }
        let old = self.audit.keys().take_while(|place| place.time < prune.audit_before);
        let old: Vec<_> = old.take(prune.limit).copied().collect();
        for place in &old {
            self.audit.remove(place);
        }
        (gone.len() + old.len()) as u64
    }
}
