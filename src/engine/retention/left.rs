//! Jobs that a run leaves because the store fails at each of them: they keep it from no other.

use crate::domain::JobId;
use crate::domain::limits::PURGE_LEFT_IN_ROW_MAX;
use crate::engine::error::{Error, Result};
use crate::runtime::Unreadable;

/// How many a run left, and why.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) jobs: u64,
    /// The first failure.
    pub(super) first: Option<Error>,
    in_a_row: usize,
}

impl Left {
    /// The store did what it was asked for.
    pub(super) const fn went_on(&mut self) {
        self.in_a_row = 0;
    }

    /// Leaves a job.
    ///
    /// # Errors
    /// What failed, if so much did in a row that it is the store. What cannot be read is always the job's own.
    pub(super) fn leave(&mut self, job_id: JobId, error: Error) -> Result<()> {
        static TOLD: Unreadable = Unreadable::new();
        if TOLD.is_news(&job_id.to_string()) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(task.name = super::LOOP, error, job.id = %job_id, "a job is left");
        }
        self.jobs += 1;
        self.in_a_row += usize::from(!error.is_corrupt());
        if self.in_a_row >= PURGE_LEFT_IN_ROW_MAX {
            return Err(error);
        }
        self.first.get_or_insert(error);
        Ok(())
    }
}
