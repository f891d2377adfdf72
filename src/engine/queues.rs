//! Where jobs wait.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::auth::Caller;
use crate::domain::stats::Count;
use crate::domain::{JobType, QueueName, StateKind, Timestamp};

use super::Engine;
use super::error::Result;

/// A queue as it stands. Nothing can pause or bound one yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// Jobs now stored, by state.
    pub counts: BTreeMap<StateKind, i64>,
    /// How long the oldest ready job has waited.
    pub oldest_pending_age: Option<Duration>,
}

/// The queues that counters name, by name.
pub(super) fn by_name(
    counts: &[Count],
    oldest: &[(QueueName, JobType, Timestamp)],
    now: Timestamp,
) -> Vec<Queue> {
    let mut queues: BTreeMap<QueueName, Queue> = BTreeMap::new();
    let mut queue = |name: &QueueName, change: &dyn Fn(&mut Queue)| {
        change(queues.entry(name.clone()).or_insert_with(|| Queue {
            name: name.clone(),
            counts: BTreeMap::new(),
            oldest_pending_age: None,
        }));
    };
    for count in counts {
        queue(&count.key.queue, &|queue| {
            *queue.counts.entry(count.state).or_default() += count.stored;
        });
    }
    for (name, _, ready) in oldest {
        queue(name, &|queue| {
            queue.oldest_pending_age = queue.oldest_pending_age.max(Some(now.since(*ready)));
        });
    }
    queues.into_values().collect()
}

impl Engine {
    /// Every queue that ever had a job, by name.
    pub async fn queues(&self, _caller: &Caller) -> Result<Vec<Queue>> {
        let now = self.clock.now();
        let (counts, oldest) = self
            .db
            .read(move |store| async move {
                Ok((store.counts().await?, store.oldest_pending(now).await?))
            })
            .await?;
        Ok(by_name(&counts, &oldest, now))
    }
}

#[cfg(test)]
mod tests;
