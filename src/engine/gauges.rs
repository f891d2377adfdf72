//! Figures that are read rather than counted.

use std::collections::BTreeSet;

use crate::auth::Caller;
use crate::domain::limits::METRIC_TYPES_MAX;
use crate::domain::{JobType, StateKind};
use crate::telemetry::{Metrics, QueueDepth, QuotaLevel};

use super::Engine;
use super::error::Result;
use super::queues::{self, Queue};
use super::quotas::Quota;
use super::summary::last_end;

/// Successes that the last one is looked for among: ends need not follow the order of ids.
const LAST_SUCCESS_OF: usize = 20;

impl Engine {
    /// Puts into `metrics` how many jobs are stored, how deep the queues are, who works and watches.
    pub async fn refresh(&self, metrics: &Metrics) -> Result<()> {
        metrics.workers(self.sessions.count());
        metrics.watchers(self.hub.watchers() + self.feed.watchers());
        metrics.views(self.feed.views());
        let now = self.clock.now();
        let (counts, oldest, sessions) = self
            .db
            .read(move |store| async move {
                let counts = store.counts().await?;
                Ok((counts, store.oldest_pending(now).await?, store.sessions(now).await?))
            })
            .await?;
        let depths: Vec<QueueDepth> = queues::by_name(&counts, &oldest, &self.registry.book(), now)
            .into_iter()
            .map(depth)
            .collect();
        metrics.jobs_stored(&counts);
        metrics.queue_depths(&depths);
        let book = self.registry.book();
        metrics.circuits(book.breakers());
        let used = self.quotas(&Caller::anonymous()).await?;
        let level = |quota: Quota| QuotaLevel {
            quota: quota.name,
            used: quota.used,
            limit: quota.spec.limit,
        };
        metrics.quotas(&used.into_iter().map(level).collect::<Vec<_>>());
        metrics.sessions(sessions.iter().filter(|session| session.end.is_none()).count());
        Ok(())
    }

    /// Puts into the metrics when each type last succeeded, as the store remembers it: once, at the
    /// start.
    pub async fn recall_last_successes(&self) -> Result<()> {
        let counts = self.db.read(|store| async move { store.counts().await }).await?;
        let succeeded = counts
            .into_iter()
            .filter(|count| count.state == StateKind::Succeeded && count.stored > 0);
        let types: BTreeSet<JobType> = succeeded.map(|count| count.key.job_type).collect();
        for job_type in types.into_iter().take(METRIC_TYPES_MAX) {
            let of = job_type.clone();
            let jobs = self
                .db
                .read(move |store| async move {
                    store.recent(&of, Some(StateKind::Succeeded), LAST_SUCCESS_OF).await
                })
                .await?;
            if let Some(time) = last_end(&jobs) {
                self.metrics.last_success(&job_type, time);
            }
        }
        Ok(())
    }
}

fn depth(queue: Queue) -> QueueDepth {
    QueueDepth {
        pending: queue.counts.get(&StateKind::Pending).copied().unwrap_or_default(),
        oldest_age: queue.oldest_pending_age.unwrap_or_default(),
        queue: queue.name,
    }
}
