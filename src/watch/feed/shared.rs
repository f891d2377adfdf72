//! What the views need where other servers commit to the same store and workers report to them, or
//! where jobs run of which nobody has reported yet.

use std::sync::Arc;

use crate::domain::{JobFilter, JobId, Progress, ResourceUsage};

use super::Feed;

impl Feed {
    /// Says that there may be something new in the change log of a shared store, or that somebody waits
    /// for the views to have come further.
    pub fn look_again(&self) {
        if self.0.is_shared && self.is_on() {
            self.0.wanted.notify_one();
        }
    }

    /// Filters of which it is not known which of the jobs that run, on any server, match; to be put back
    /// if that is not found out. None before the views have begun: a job that starts between the look and
    /// their first position would be missed.
    #[must_use]
    pub fn take_unmet(&self) -> Vec<Arc<JobFilter>> {
        let mut state = self.0.state.lock();
        if self.head().is_some() { state.take_unmet() } else { Vec::new() }
    }

    /// See [`take_unmet`](Self::take_unmet).
    pub fn put_unmet(&self, filters: impl IntoIterator<Item = Arc<JobFilter>>) {
        let mut state = self.0.state.lock();
        filters.into_iter().for_each(|filter| state.put_unmet(&filter));
    }

    /// The running jobs whose progress the views want to hear of.
    #[must_use]
    pub fn known_to_run(&self) -> Vec<JobId> {
        self.0.tickers.iter().map(|ticker| *ticker.key()).collect()
    }

    /// Whether a running job is known.
    #[must_use]
    pub fn knows(&self, job_id: JobId) -> bool {
        self.0.tickers.contains_key(&job_id)
    }

    /// Notes how far a job is that reported to another server.
    pub fn tick_elsewhere(
        &self,
        job_id: JobId,
        lease_epoch: i64,
        progress: Progress,
        usage: Option<ResourceUsage>,
    ) {
        let ticker = self.0.tickers.get(&job_id).map(|ticker| Arc::clone(&ticker));
        if let Some(ticker) = ticker
            && ticker.hear(lease_epoch, (progress, usage))
        {
            self.tick(job_id);
        }
    }
}
