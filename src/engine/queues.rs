//! Where jobs wait.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::limits::QUEUES_MAX;
use crate::domain::queue::QueueSettings;
use crate::domain::stats::Count;
use crate::domain::validate::Violations;
use crate::domain::{JobType, QueueName, StateKind, Timestamp};
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::RuleChange;
use super::registry::{Rulebook, readable};

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// How it was set up.
    pub settings: QueueSettings,
    /// Jobs now stored, by state.
    pub counts: BTreeMap<StateKind, i64>,
    /// How long the oldest ready job has waited.
    pub oldest_pending_age: Option<Duration>,
}

/// The queues that counters name or that were set up, by name.
pub(super) fn by_name(
    counts: &[Count],
    oldest: &[(QueueName, JobType, Timestamp)],
    book: &Rulebook,
    now: Timestamp,
) -> Vec<Queue> {
    let mut queues: BTreeMap<QueueName, Queue> = BTreeMap::new();
    let mut queue = |name: &QueueName, change: &dyn Fn(&mut Queue)| {
        change(queues.entry(name.clone()).or_insert_with(|| Queue {
            name: name.clone(),
            settings: QueueSettings::default(),
            counts: BTreeMap::new(),
            oldest_pending_age: None,
        }));
    };
    for count in counts.iter().filter(|count| !count.key.queue.is_reserved()) {
        queue(&count.key.queue, &|queue| {
            *queue.counts.entry(count.state).or_default() += count.stored;
        });
    }
    for (name, _, ready) in oldest.iter().filter(|(name, ..)| !name.is_reserved()) {
        queue(name, &|queue| {
            queue.oldest_pending_age = queue.oldest_pending_age.max(Some(now.since(*ready)));
        });
    }
    for (name, known) in &book.queues {
        queue(name, &|queue| queue.settings.clone_from(&known.what));
    }
    queues.into_values().collect()
}

impl Engine {
    /// Every queue that was set up or ever had a job, by name.
    pub async fn queues(&self, _caller: &Caller) -> Result<Vec<Queue>> {
        let book = self.current_rules().await?;
        let now = self.clock.now();
        let (counts, oldest) = self
            .db
            .read(move |store| async move {
                Ok((store.counts().await?, store.oldest_pending(now).await?))
            })
            .await?;
        Ok(by_name(&counts, &oldest, &book, now))
    }

    /// Changes how a queue is treated; answers it as it stands.
    pub async fn update_queue(
        &self,
        caller: &Caller,
        name: &QueueName,
        change: impl Fn(&mut QueueSettings, &mut Violations) + Send + Sync,
    ) -> Result<Queue> {
        if !self.known.takes_queue(name) {
            let limit = QUEUES_MAX as u64;
            return Err(Error::LimitExceeded { what: "the number of queues", limit });
        }
        let (key, book) = (RuleKey::new(RuleKind::Queue, name.as_str()), self.registry.book());
        let decide = |found: &[Rule]| {
            let held = found.first();
            let before: Option<QueueSettings> = held.and_then(readable);
            // Of a row that cannot be read, what is known of it goes on.
            let known = held.and(book.queues.get(name)).map(|known| known.what.clone());
            let was = before.clone().or(known).unwrap_or_default();
            let mut settings = was.clone();
            let mut wrong = Violations::default();
            change(&mut settings, &mut wrong);
            if !settings.paused {
                // That of the pause that ends goes with it.
                let reason = std::mem::take(&mut settings.pause_reason);
                let is_said = !reason.is_empty() && reason != was.pause_reason;
                wrong.check(!is_said, "queue.pause_reason", || {
                    "must be empty where the queue is not paused".to_owned()
                });
            }
            settings.validate("queue.", &mut wrong);
            wrong.into_result().map_err(Error::Invalid)?;
            if before.as_ref() == Some(&settings) {
                return Ok((RuleChange::default(), ()));
            }
            let revision = held.map_or(0, |rule| rule.revision);
            let writes = vec![RuleWrite::put(key.clone(), revision, &settings)?];
            let deed = Deed::new(caller.principal(), AuditAction::UpdateQueue);
            let subject = AuditSubject::Queue(name.clone());
            // Why it is paused is why somebody paused it.
            let says = settings.paused && settings.pause_reason != was.pause_reason;
            let deed = if says { deed.because(settings.pause_reason.clone()) } else { deed };
            let change = RuleChange::from(writes);
            Ok((change.as_deed(&deed, subject, Some(&was), Some(&settings), self.clock.now()), ()))
        };
        self.change_rules(vec![key.clone()], decide).await?;
        // What waited behind a pause or a bound may start.
        self.poll_line().await?;
        let queues = self.queues(caller).await?;
        queues.into_iter().find(|queue| queue.name == *name).ok_or(Error::Overloaded)
    }
}

#[cfg(test)]
mod tests;
