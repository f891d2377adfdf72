//! What waits to be shown to the views. Whoever commits or reports only leaves it here.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::JobId;
use crate::domain::limits::{FEED_CHANGES_MAX, FEED_STRANGERS_MAX};

use super::change::Commit;
use super::ticker::Ticker;

/// See the module. Commits that do not fit are left out: the change log has them.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) commits: Vec<Commit>,
    changes: usize,
    /// Running jobs that reported.
    pub(super) ticked: Vec<Arc<Ticker>>,
    /// Jobs that reported and have no ticker.
    pub(super) strangers: HashSet<JobId>,
}

impl Inbox {
    pub(super) fn add(&mut self, commit: Commit) {
        let changes = self.changes + commit.changes.len();
        if changes <= FEED_CHANGES_MAX && self.commits.len() < FEED_CHANGES_MAX {
            self.changes = changes;
            self.commits.push(commit);
        }
    }

    pub(super) fn add_stranger(&mut self, job_id: JobId) {
        if self.strangers.len() < FEED_STRANGERS_MAX {
            self.strangers.insert(job_id);
        }
    }

    /// The commits and the jobs that reported.
    pub(super) fn take(&mut self) -> (Vec<Commit>, Vec<Arc<Ticker>>) {
        self.changes = 0;
        (std::mem::take(&mut self.commits), std::mem::take(&mut self.ticked))
    }

    /// Some of the strangers.
    pub(super) fn take_strangers(&mut self, limit: usize) -> Vec<JobId> {
        let some: Vec<JobId> = self.strangers.iter().take(limit).copied().collect();
        for job_id in &some {
            self.strangers.remove(job_id);
        }
        some
    }

    /// Whether no commit and no tick waits.
    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.ticked.is_empty()
    }
}
