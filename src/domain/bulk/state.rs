//! How far it is: written with each batch, read again after a crash.

use serde::{Deserialize, Serialize};

use crate::domain::ids::JobId;
use crate::domain::limits::BULK_SAMPLE_MAX;
use crate::domain::progress::Progress;

use super::action::BulkAction;

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkOutcome {
    /// It was done.
    Changed,
    /// It stood as was asked already, does not match any more, or is gone.
    Nothing,
    /// It was refused.
    Refused(String),
}

/// A job that refused, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkRefused {
    /// The job.
    pub job_id: JobId,
    /// Why.
    pub message: String,
}

/// How far a bulk command is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BulkState {
    /// Jobs that matched at its start.
    pub matched: u64,
    /// The last job that was taken: go on with those of lower ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<JobId>,
    /// Jobs that stand differently for it.
    pub changed: u64,
    /// Jobs that needed nothing.
    pub nothing: u64,
    /// Jobs that refused.
    pub refused: u64,
    /// Some of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<BulkRefused>,
}

impl BulkState {
    /// The state before the first job.
    #[must_use]
    pub fn starting(matched: u64) -> Self {
        Self { matched, ..Self::default() }
    }

    /// Whether a job comes after those that were taken. One that was taken is not taken again, though
    /// a batch is repeated whose commit was in doubt.
    #[must_use]
    pub fn is_ahead(&self, job_id: JobId) -> bool {
        self.cursor.is_none_or(|cursor| job_id < cursor)
    }

    /// Notes what became of a job; the cursor follows.
    pub fn record(&mut self, job_id: JobId, outcome: BulkOutcome) {
        self.cursor = Some(self.cursor.map_or(job_id, |cursor| cursor.min(job_id)));
        self.count(job_id, outcome);
    }

    /// Notes what became of a job that was counted as changed and was not: it moved on before.
    pub fn correct(&mut self, job_id: JobId, outcome: BulkOutcome) {
        self.changed = self.changed.saturating_sub(1);
        self.count(job_id, outcome);
    }

    fn count(&mut self, job_id: JobId, outcome: BulkOutcome) {
        match outcome {
            BulkOutcome::Changed => self.changed += 1,
            BulkOutcome::Nothing => self.nothing += 1,
            BulkOutcome::Refused(message) => {
                self.refused += 1;
                if self.refusals.len() < BULK_SAMPLE_MAX {
                    self.refusals.push(BulkRefused { job_id, message });
                }
            }
        }
    }

    /// Jobs taken.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.changed + self.nothing + self.refused
    }

    /// What the job that runs it shows.
    #[must_use]
    pub fn progress(&self, action: BulkAction) -> Progress {
        let units = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Progress {
            // Jobs that came to match meanwhile are taken, too, if they are ahead.
            total: Some(units(self.matched.max(self.taken()))),
            completed: units(self.taken()),
            succeeded: units(self.changed + self.nothing),
            failed: units(self.refused),
            unit: "jobs".to_owned(),
            message: self.summary(action),
            ..Progress::default()
        }
    }

    /// For people.
    #[must_use]
    pub fn summary(&self, action: BulkAction) -> String {
        let Self { changed, nothing, refused, .. } = self;
        format!(
            "{}: {changed} done, {nothing} had nothing to do, {refused} refused",
            action.as_str()
        )
    }
}
