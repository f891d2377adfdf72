//! How far jobs are whose workers report to other servers.

use std::collections::{HashMap, HashSet};

use crate::domain::JobId;
use crate::domain::limits::{LOOP_ROWS_MAX, NEWS_PROGRESS_PACE};

use super::super::Engine;
use super::super::error::Result;

impl Engine {
    /// Reads the progress of jobs that are watched here and report elsewhere, and whether lines were
    /// added to their logs. Nothing is read if there are none.
    pub async fn hear_progress(&self) -> Result<u64> {
        let elsewhere = |id: &JobId| !self.live.is_fed_here(*id);
        let watched: Vec<JobId> = self.hub.watched().into_iter().filter(elsewhere).collect();
        let mut running: HashSet<JobId> = watched.iter().copied().collect();
        running.extend(self.feed.known_to_run().into_iter().filter(elsewhere));
        if running.is_empty() {
            self.ears.log_ends.lock().clear();
            return Ok(0);
        }
        let running: Vec<JobId> = running.into_iter().collect();
        for some in running.chunks(LOOP_ROWS_MAX) {
            let ids = some.to_vec();
            let read = self.loop_db.read(move |store| async move { store.progress(&ids).await });
            for row in read.await? {
                let (id, epoch) = (row.job_id, row.lease_epoch);
                self.hub.publish_progress(id, epoch, &row.progress, row.usage);
                self.feed.tick_elsewhere(id, epoch, row.progress, row.usage);
            }
        }
        self.hear_of_logs(&watched).await?;
        // Who flushes often is not followed at every step.
        tokio::time::sleep(NEWS_PROGRESS_PACE).await;
        Ok(0)
    }

    async fn hear_of_logs(&self, watched: &[JobId]) -> Result<()> {
        let mut ends = HashMap::with_capacity(watched.len());
        for some in watched.chunks(LOOP_ROWS_MAX) {
            let ids = some.to_vec();
            let read = self.loop_db.read(move |store| async move { store.log_ends(&ids).await });
            ends.extend(read.await?);
        }
        let before = std::mem::replace(&mut *self.ears.log_ends.lock(), ends.clone());
        for (id, end) in ends {
            if before.get(&id).is_none_or(|known| *known < end) {
                self.hub.publish_logs(id);
            }
        }
        Ok(())
    }
}
