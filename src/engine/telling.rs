//! What is told of itself: events and the audit, and how long they are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::Caller;
use crate::config::Telling;
use crate::domain::audit::AuditEvent;
use crate::domain::event::{Event, Facts};
use crate::domain::{Origin, QueueName, Timestamp};
use crate::store::{AuditQuery, EventPage, EventQuery, StoredAudit};

use super::Engine;
use super::error::Result;
use super::pipeline::Work;

/// Queues whose oldest job has waited for too long, as last looked at: what stays so is told once.
#[derive(Default)]
struct Late(Mutex<BTreeSet<QueueName>>);

/// What is told, and what was.
pub(super) struct Teller {
    settings: Telling,
    late: Late,
}

impl Teller {
    pub(super) fn new(settings: Telling) -> Self {
        Self { settings, late: Late::default() }
    }
}

impl Late {
    /// Takes up which queues are late now; answers those that were not before.
    fn take_up(&self, late: &BTreeMap<QueueName, Duration>) -> Vec<(QueueName, Duration)> {
        let mut held = self.0.lock();
        held.retain(|queue| late.contains_key(queue));
        let new = late.iter().filter(|(queue, _)| !held.contains(*queue));
        new.map(|(queue, age)| (queue.clone(), *age)).collect()
    }

    fn told(&self, queues: impl IntoIterator<Item = QueueName>) {
        self.0.lock().extend(queues);
    }
}

impl Engine {
    /// Some events, in the order of their commits; none if the place from where on they are asked for is not one of
    /// this store.
    pub async fn events(&self, _caller: &Caller, query: EventQuery) -> Result<Option<EventPage>> {
        self.db.read(move |store| async move { store.events(&query).await }).await
    }

    /// Some deeds, the newest first.
    pub async fn audit(&self, _caller: &Caller, query: AuditQuery) -> Result<Vec<StoredAudit>> {
        self.db.read(move |store| async move { store.audit(&query).await }).await
    }

    /// Tells and records what hangs on no other change; answers of each event whether it was not told before.
    pub(super) async fn note(
        &self,
        events: Vec<Event>,
        audit: Vec<AuditEvent>,
    ) -> Result<Vec<bool>> {
        self.pipeline.ask(|reply| Work::Note { events, audit, reply }).await
    }

    /// Which store it is: what was read of the events of another one says nothing here.
    pub async fn origin(&self) -> Result<Origin> {
        self.db.read(|store| async move { store.origin().await }).await
    }

    /// Tells of queues whose oldest ready job has waited for too long. Answers 0: it leaves no backlog.
    pub async fn watch_queue_ages(&self) -> Result<u64> {
        let threshold = self.telling.settings.queue_age;
        if threshold.is_zero() {
            return Ok(0);
        }
        let now = self.clock.now();
        let oldest =
            self.loop_db.read(move |store| async move { store.oldest_pending(now).await }).await?;
        let book = self.registry.book();
        let mut late: BTreeMap<QueueName, Duration> = BTreeMap::new();
        for (queue, _, ready) in oldest {
            let age = now.since(ready);
            // Whoever paused it knows.
            if age >= threshold && book.pause_reason(&queue).is_none() {
                let held = late.entry(queue).or_default();
                *held = age.max(*held);
            }
        }
        let new = self.telling.late.take_up(&late);
        if new.is_empty() {
            return Ok(0);
        }
        let events = new.iter().map(|(queue, age)| late_event(queue, *age, threshold, now));
        let events = events.collect();
        let told = self.note(events, Vec::new()).await?;
        for ((queue, age), _) in new.iter().zip(told).filter(|(_, told)| *told) {
            tracing::warn!(
                queue.name = %queue,
                age_seconds = age.as_secs(),
                "the oldest ready job of a queue has waited for too long"
            );
        }
        self.telling.late.told(new.into_iter().map(|(queue, _)| queue));
        Ok(0)
    }

    /// Until when events and the audit are taken away.
    pub(super) fn told_before(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        (now.minus(self.telling.settings.events_kept), now.minus(self.telling.settings.audit_kept))
    }
}

fn late_event(queue: &QueueName, age: Duration, threshold: Duration, now: Timestamp) -> Event {
    Event::of_queue(queue.clone(), Facts::QueueAge { age, threshold }, now)
}

#[cfg(test)]
mod tests;
