//! Finds the slot of a watched job; a job that nobody watches has none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use tokio::sync::watch;

use crate::domain::{Job, JobId, Progress, ResourceUsage};

use super::feed::Feed;
use super::slot::{Glance, Slot, Snapshot};

#[derive(Default)]
struct Watched {
    slots: DashMap<JobId, (Arc<Slot>, usize)>,
    /// Watchers in all; lets publishers of unwatched jobs pass without a look-up. Sequentially
    /// consistent: a subscriber counts itself before it reads the job, a publisher looks here after it
    /// wrote the job, so at least one of the two sees the other.
    watchers: AtomicUsize,
    /// Where those who watch many jobs hear of them.
    feed: OnceLock<Feed>,
}

/// Every watched job. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hub(Arc<Watched>);

impl Hub {
    /// Starts watching a job. Subscribe first, read the job second and [`Slot::offer`] it: then no
    /// change falls between the two.
    #[must_use]
    pub fn subscribe(&self, job_id: JobId) -> Subscription {
        let slot = {
            let mut entry =
                self.0.slots.entry(job_id).or_insert_with(|| (Arc::new(Slot::new()), 0));
            entry.1 += 1;
            Arc::clone(&entry.0)
        };
        self.0.watchers.fetch_add(1, Ordering::SeqCst);
        let changes = slot.changes();
        Subscription { hub: self.clone(), job_id, slot, changes }
    }

    /// How many watch.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::SeqCst)
    }

    /// Whether anybody watches this job.
    #[must_use]
    pub fn is_watched(&self, job_id: JobId) -> bool {
        self.slot(job_id).is_some()
    }

    /// The jobs that are watched one by one.
    #[must_use]
    pub fn watched(&self) -> Vec<JobId> {
        self.0.slots.iter().map(|entry| *entry.key()).collect()
    }

    fn slot(&self, job_id: JobId) -> Option<Arc<Slot>> {
        if self.watchers() == 0 {
            return None;
        }
        self.0.slots.get(&job_id).map(|entry| Arc::clone(&entry.0))
    }

    /// Shows a durable state.
    pub fn publish(&self, job: &Job) {
        if let Some(slot) = self.slot(job.id) {
            slot.offer(job);
        }
    }

    /// Shows a live progress.
    pub fn publish_progress(
        &self,
        job_id: JobId,
        lease_epoch: i64,
        progress: &Progress,
        usage: Option<ResourceUsage>,
    ) {
        if let Some(slot) = self.slot(job_id) {
            slot.offer_progress(lease_epoch, progress, usage);
        }
    }

    /// From now on the watchers of many jobs hear of it too when a running job reports. Once only.
    pub fn lead_to(&self, feed: Feed) {
        // Nobody leads it elsewhere: there is one feed.
        let _ = self.0.feed.set(feed);
    }

    /// Says to the watchers of many jobs that a running one reported. Call it without holding what its
    /// progress is read from.
    pub fn publish_tick(&self, job_id: JobId) {
        if let Some(feed) = self.0.feed.get() {
            feed.tick(job_id);
        }
    }

    /// Says that lines were added to a job's log.
    pub fn publish_logs(&self, job_id: JobId) {
        if let Some(slot) = self.slot(job_id) {
            slot.logs_added();
        }
    }

    /// Says that a job is gone.
    pub fn publish_deleted(&self, job_id: JobId) {
        if let Some(slot) = self.slot(job_id) {
            slot.deleted();
        }
    }
}

/// One watcher of one job; ends when dropped.
pub struct Subscription {
    hub: Hub,
    job_id: JobId,
    slot: Arc<Slot>,
    changes: watch::Receiver<u64>,
}

impl Subscription {
    /// The job it is about.
    #[must_use]
    pub const fn job_id(&self) -> JobId {
        self.job_id
    }

    /// The job's slot.
    #[must_use]
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// The latest snapshot, and everything up to it counts as seen.
    pub fn take(&mut self) -> Option<Arc<Snapshot>> {
        self.changes.mark_unchanged();
        self.slot.latest()
    }

    /// All there is to know now, and it counts as seen.
    pub fn glance(&mut self) -> Glance {
        self.changes.mark_unchanged();
        self.slot.glance()
    }

    /// Waits for something not seen yet. Safe to drop.
    pub async fn changed(&mut self) {
        // The sender lives in the slot, which this subscription keeps.
        let _ = self.changes.changed().await;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.0.watchers.fetch_sub(1, Ordering::SeqCst);
        if let Some(mut entry) = self.hub.0.slots.get_mut(&self.job_id) {
            entry.1 -= 1;
        }
        self.hub.0.slots.remove_if(&self.job_id, |_, (_, watchers)| *watchers == 0);
    }
}
