//! Jobs that used more than they may.

use futures_util::future::join_all;

use crate::domain::limits::LOOP_ROWS_MAX;

use super::super::Engine;
use super::super::error::Result;
use super::super::pipeline::Work;

impl Engine {
    /// Asks jobs to stop that used more than their limits for too long.
    pub async fn enforce_limits(&self) -> Result<u64> {
        let policy = &self.watchdogs.house.usage;
        let exceeded = self.live.take_exceeded(LOOP_ROWS_MAX);
        let count = exceeded.len() as u64;
        let asks = exceeded.into_iter().map(|found| async move {
            let (job_id, command) = (found.job_id, found.over.command(policy, found.lease_epoch));
            let asked =
                self.pipeline.ask(|reply| Work::Try { job_id, command, deed: None, reply }).await;
            if asked.is_err() {
                self.live.still_exceeds(found.job_id, found.lease_epoch);
            }
            asked
        });
        for asked in join_all(asks).await {
            asked?;
        }
        Ok(count)
    }
}
