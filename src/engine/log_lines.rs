//! How long the logs of running attempts have grown, so that the trimmer looks only at long ones.

use dashmap::DashMap;

use crate::domain::JobId;

/// Lines added to each lease's log since the trimmer last looked at it.
#[derive(Default)]
pub struct LogLines(DashMap<(JobId, i64), u64>);

/// A log is looked at once this many lines were added to it.
const LOOK_EVERY: u64 = 1_000;

impl LogLines {
    pub(super) fn added(&self, job_id: JobId, lease_epoch: i64, lines: usize) {
        *self.0.entry((job_id, lease_epoch)).or_default() += lines as u64;
    }

    /// The logs that grew much since the last call. Those that hardly grew are forgotten when
    /// `is_running` says that their lease is over.
    pub(super) fn take_long(&self, is_running: impl Fn(JobId, i64) -> bool) -> Vec<(JobId, i64)> {
        let mut long = Vec::new();
        self.0.retain(|(job_id, lease_epoch), added| {
            if *added >= LOOK_EVERY {
                long.push((*job_id, *lease_epoch));
                *added = 0;
            }
            is_running(*job_id, *lease_epoch)
        });
        long
    }
}
