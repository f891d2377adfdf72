//! Progress on its way to the client, and what of it is not sent at once.
//!
//! A client that comes from another server has seen what was on disk by then; the views here hear of
//! progress elsewhere a moment later. So the first word on how far a job is comes from the store, unless
//! this watch has sent the job before.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::{Job, JobFilter, JobId, Progress, ResourceUsage};
use crate::runtime::Clock;
use crate::store::{ListQuery, ProgressWrite};
use crate::watch::Snapshot;

use super::super::error::Result;
use super::{JobsWatch, Sent};

impl JobsWatch {
    /// What of this progress can be sent now; what is to be looked up is kept.
    pub(super) fn take_ticks(&mut self, ticks: Vec<Arc<Snapshot>>, sent: &mut Vec<Sent>) {
        let (unsure, sure) =
            ticks.into_iter().partition(|snapshot| self.is_unsure(snapshot.job.id));
        self.keep(unsure);
        let sure: Vec<Arc<Snapshot>> = sure;
        sent.extend(sure.into_iter().filter_map(|snapshot| self.held.tick(snapshot)));
    }

    /// Keeps progress until a bookmark was said, the latest of each job.
    pub(super) fn keep(&mut self, ticks: Vec<Arc<Snapshot>>) {
        self.ticks.extend(ticks.into_iter().map(|snapshot| (snapshot.job.id, snapshot)));
    }

    fn is_unsure(&self, job_id: JobId) -> bool {
        self.engine.is_shared() && self.held.may_hold_unknown(job_id)
    }

    /// Sends some of what was kept, as new as the store knows it.
    pub(super) async fn look_up(&mut self) -> Result<Vec<Sent>> {
        let some: Vec<JobId> = self.ticks.keys().take(LOOP_ROWS_MAX).copied().collect();
        let unsure: Vec<JobId> = some.iter().copied().filter(|id| self.is_unsure(*id)).collect();
        let rows = if unsure.is_empty() {
            Vec::new()
        } else {
            let read = self.engine.db.read(|store| async move { store.progress(&unsure).await });
            read.await?
        };
        let mut rows: HashMap<JobId, ProgressWrite> =
            rows.into_iter().map(|row| (row.job_id, row)).collect();
        rows.retain(|id, row| self.ticks.get(id).is_some_and(|shown| is_of_run(row, shown)));
        let unwritten = some.iter().filter(|id| self.is_unsure(**id) && !rows.contains_key(*id));
        let mut stored = self.stored(unwritten.copied().collect()).await?;
        let mut sent = Vec::new();
        for id in some {
            let Some(snapshot) = self.ticks.remove(&id) else { continue };
            let newest = match rows.remove(&id) {
                Some(row) => Some(newer(snapshot, row.progress, row.usage)),
                None if self.is_unsure(id) => {
                    stored.remove(&id).and_then(|job| as_stored(snapshot, job))
                }
                None => Some(snapshot),
            };
            sent.extend(newest.and_then(|snapshot| self.held.tick(snapshot)));
        }
        self.last_round = Some(Clock::monotonic());
        Ok(sent)
    }

    /// These jobs as they stand.
    async fn stored(&self, ids: Vec<JobId>) -> Result<HashMap<JobId, Job>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let limit = ids.len();
        let filter = JobFilter { job_ids: ids, ..JobFilter::default() };
        let query = ListQuery { filter, before: None, limit, full: false };
        let jobs = self.engine.db.read(|store| async move { store.list(&query).await }).await?;
        Ok(jobs.into_iter().map(|job| (job.id, job)).collect())
    }
}

fn is_of_run(row: &ProgressWrite, shown: &Snapshot) -> bool {
    let status = &shown.job.status;
    status.session().is_some() && status.lease_epoch == row.lease_epoch
}

/// The job with the progress that is on disk, if that is newer.
fn newer(
    snapshot: Arc<Snapshot>,
    progress: Progress,
    usage: Option<ResourceUsage>,
) -> Arc<Snapshot> {
    if progress.sequence <= snapshot.job.status.progress.sequence {
        return snapshot;
    }
    let mut job = snapshot.job.clone();
    job.status.progress = progress;
    job.status.resource_usage = usage.or(job.status.resource_usage);
    Arc::new(Snapshot::of(job))
}

/// The same for one without a row of its own: it told nothing yet, or its run is over. In that case what is known of how
/// far it was may be older than what the client saw elsewhere, and its end is about to be shown: there is nothing to say.
fn as_stored(snapshot: Arc<Snapshot>, stored: Job) -> Option<Arc<Snapshot>> {
    let status = stored.status;
    let is_same = status.revision == snapshot.job.status.revision;
    is_same.then(|| newer(snapshot, status.progress, status.resource_usage))
}

#[cfg(test)]
mod tests;
