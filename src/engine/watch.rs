//! Watching one job.

use std::sync::Arc;

use crate::auth::Caller;
use crate::domain::JobId;
use crate::watch::{Snapshot, Subscription};

use super::Engine;
use super::error::{Error, Result};
use super::logs::{ListLogs, LogPage};

impl Engine {
    /// Starts watching a job: first the subscription, then a read, so nothing falls in between.
    /// Everything up to the snapshot counts as seen.
    pub async fn watch(
        &self,
        _caller: &Caller,
        job_id: JobId,
    ) -> Result<(Subscription, Arc<Snapshot>)> {
        let mut subscription = self.hub.subscribe(job_id);
        let job = self.find(job_id).await?.ok_or(Error::JobNotFound(job_id))?;
        subscription.slot().offer(&job);
        let progress = &job.status.progress;
        subscription.slot().offer_progress(
            job.status.lease_epoch,
            progress,
            job.status.resource_usage,
        );
        let snapshot = subscription.take().ok_or(Error::JobNotFound(job_id))?;
        Ok((subscription, snapshot))
    }

    /// Lines of a watched job after those seen.
    pub async fn watched_logs(&self, list: &ListLogs) -> Result<LogPage> {
        self.log_page(&self.db, list).await
    }
}
