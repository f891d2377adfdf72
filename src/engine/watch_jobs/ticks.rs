//! Progress on its way to the client, and what of it is not sent at once.
//!
//! A client that comes from another server has seen what was on disk by then; the views here hear of
//! progress elsewhere a moment later. So the first word on how far a job is comes from the store, unless
//! this watch has sent the job before.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::JobId;
use crate::domain::limits::LOOP_ROWS_MAX;
use crate::runtime::Clock;
use crate::store::ProgressWrite;
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
        let mut sent = Vec::new();
        for id in some {
            let Some(snapshot) = self.ticks.remove(&id) else { continue };
            let newest = match rows.remove(&id) {
                Some(row) => as_written(snapshot, row),
                None => snapshot,
            };
            sent.extend(self.held.tick(newest));
        }
        self.last_round = Some(Clock::monotonic());
        Ok(sent)
    }
}

/// The job with the progress that is on disk, if that is newer.
fn as_written(snapshot: Arc<Snapshot>, row: ProgressWrite) -> Arc<Snapshot> {
    let status = &snapshot.job.status;
    let is_newer = status.session().is_some()
        && status.lease_epoch == row.lease_epoch
        && status.progress.sequence < row.progress.sequence;
    if !is_newer {
        return snapshot;
    }
    let mut job = snapshot.job.clone();
    job.status.progress = row.progress;
    job.status.resource_usage = row.usage.or(job.status.resource_usage);
    Arc::new(Snapshot::of(job))
}
