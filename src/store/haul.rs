//! Jobs that are read at one moment to be shown, as long as they are not too large together.

use crate::domain::Job;
use crate::domain::limits::{
    CATCH_UP_BYTES_MAX, LOOP_ROWS_MAX, PAYLOAD_BYTES_MAX, WATCH_PAGE_JOBS_FULL,
};

/// See the module.
pub(super) struct Haul {
    jobs: Vec<Job>,
    room: usize,
}

impl Haul {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self { jobs: Vec::new(), room: CATCH_UP_BYTES_MAX }
    }

    /// So many jobs hardly take more bytes than are left, each with a payload and a result; towards the end, a few.
    pub(super) fn at_once(&self) -> usize {
        (self.room / (2 * PAYLOAD_BYTES_MAX)).clamp(WATCH_PAGE_JOBS_FULL, LOOP_ROWS_MAX)
    }

    /// Takes these, too. Answers whether there was room for them.
    pub(super) fn add(&mut self, found: Vec<Job>) -> bool {
        let weight = found.iter().map(Job::weight).sum();
        let Some(left) = self.room.checked_sub(weight) else { return false };
        self.room = left;
        self.jobs.extend(found);
        true
    }

    /// All of them.
    pub(super) fn jobs(self) -> Vec<Job> {
        self.jobs
    }
}
