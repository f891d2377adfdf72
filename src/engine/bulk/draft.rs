//! A step of a bulk command before it is written.

use std::collections::HashSet;

use crate::domain::bulk::BulkOutcome;
use crate::domain::{JobId, LogEntry, LogLevel, Timestamp};
use crate::engine::pipeline::RuleChange;

use super::Row;
use super::run::Run;

/// Why a job with a spoilt row is left alone.
pub(super) const CANNOT_BE_READ: &str = "it cannot be read";

/// What a step is going to write.
pub(super) struct Draft {
    pub(super) next: Row,
    pub(super) change: RuleChange,
    pub(super) now: Timestamp,
    /// Unique keys that jobs of this step take.
    pub(super) keys: HashSet<(String, String)>,
    /// What the log is to tell of it.
    pub(super) lines: Vec<LogEntry>,
}

impl Draft {
    /// Notes for the log that a job refused.
    pub(super) fn refuse(&mut self, job_id: JobId, message: String) -> BulkOutcome {
        self.lines.push(refusal(self.now, job_id, &message));
        BulkOutcome::Refused(message)
    }

    /// A step that asks nobody yet.
    pub(super) fn of(run: &Run<'_>) -> Self {
        let deed = Some(run.row.spec.deeds().1);
        Self {
            next: Row { asked: Vec::new(), ..run.row.clone() },
            change: RuleChange { deed, ..RuleChange::default() },
            now: run.engine.clock.now(),
            keys: HashSet::new(),
            lines: Vec::new(),
        }
    }
}

fn refusal(time: Timestamp, job_id: JobId, message: &str) -> LogEntry {
    LogEntry {
        time,
        level: LogLevel::Warning,
        step: String::new(),
        message: format!("job {job_id}: {message}"),
        data: None,
    }
}
