//! Figures kept along the way, so that no question about them scans jobs.

mod facet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::ids::{JobType, QueueName};
use super::status::{JobStatus, State, StateKind};
use super::time::Timestamp;

pub use facet::{Facet, FacetPolicy, FacetTally, slot_of, slot_start};

/// What figures are kept by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatKey {
    /// The kind of work.
    pub job_type: JobType,
    /// The effective queue.
    pub queue: QueueName,
}

/// Jobs now stored in a state, and how many ever came to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Of which type and queue.
    pub key: StatKey,
    /// In which state.
    pub state: StateKind,
    /// Jobs now stored.
    pub stored: i64,
    /// Jobs that ever ended in this state; never falls.
    pub finished_total: i64,
}

/// What happened within one minute to the jobs of one key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Jobs made.
    pub created: u64,
    /// Executions handed out.
    pub started: u64,
    /// Jobs done.
    pub succeeded: u64,
    /// Jobs failed for good.
    pub failed: u64,
    /// Attempts failed, the final ones included.
    pub attempts_failed: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Jobs skipped.
    pub skipped: u64,
    /// Units done, by outcome of the unit, summed over ended attempts.
    pub items_succeeded: i64,
    /// See `items_succeeded`.
    pub items_failed: i64,
    /// From ready to start, per start.
    pub wait: Histogram,
    /// From start to end, per ended attempt that was not released.
    pub run: Histogram,
    /// The workers' own counters, summed over ended attempts.
    pub counters: BTreeMap<String, f64>,
    /// Of `run`, the attempts that did not succeed: what is left is how long the work takes.
    #[serde(skip_serializing_if = "Histogram::is_empty")]
    pub run_in_vain: Histogram,
}

/// The tally of one key in one minute, or in the hour that begins with it once that is rolled up.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Of which type and queue.
    pub key: StatKey,
    /// Whole minutes since the Unix epoch.
    pub minute: i64,
    /// What happened.
    pub tally: Tally,
}

impl Tally {
    /// Counts one change of a job's status; `before` is `None` for its create.
    pub fn record(&mut self, before: Option<&JobStatus>, after: &JobStatus) {
        if before.is_none() {
            self.created += 1;
        }
        let was = before.map(JobStatus::kind);
        let epoch_before = before.map_or(0, |status| status.lease_epoch);
        if after.lease_epoch > epoch_before
            && let Some(execution) = &after.execution
        {
            self.started += 1;
            self.wait.record(execution.start_time.since(execution.ready_time));
        }
        if was == Some(StateKind::Running) && after.kind() != StateKind::Running {
            self.record_attempt(after);
        }
        if was != Some(after.kind()) {
            match after.state {
                State::Pending { .. } | State::Running { .. } => {}
                State::Succeeded => self.succeeded += 1,
                State::Failed => self.failed += 1,
                State::Cancelled => self.cancelled += 1,
                State::Skipped { .. } => self.skipped += 1,
            }
        }
    }

    fn record_attempt(&mut self, after: &JobStatus) {
        use super::status::Outcome;
        let Some((end, outcome)) = after.execution.as_ref().and_then(|run| run.end) else {
            return;
        };
        match outcome {
            Outcome::Released => return,
            Outcome::Failed | Outcome::LeaseLost | Outcome::TimedOut => self.attempts_failed += 1,
            Outcome::Succeeded | Outcome::Cancelled => {}
        }
        if let Some(run) = after.run_duration(end) {
            self.run.record(run);
            if outcome != Outcome::Succeeded {
                self.run_in_vain.record(run);
            }
        }
        self.items_succeeded = self.items_succeeded.saturating_add(after.progress.succeeded);
        self.items_failed = self.items_failed.saturating_add(after.progress.failed);
        for (name, value) in &after.progress.counters {
            *self.counters.entry(name.clone()).or_default() += value;
        }
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.created += other.created;
        self.started += other.started;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.attempts_failed += other.attempts_failed;
        self.cancelled += other.cancelled;
        self.skipped += other.skipped;
        self.items_succeeded = self.items_succeeded.saturating_add(other.items_succeeded);
        self.items_failed = self.items_failed.saturating_add(other.items_failed);
        self.wait.merge(&other.wait);
        self.run.merge(&other.run);
        self.run_in_vain.merge(&other.run_in_vain);
        for (name, value) in &other.counters {
            *self.counters.entry(name.clone()).or_default() += value;
        }
    }

    /// From start to end, per attempt that succeeded.
    #[must_use]
    pub fn run_succeeded(&self) -> Histogram {
        self.run.without(&self.run_in_vain)
    }

    /// Jobs that came to an end.
    #[must_use]
    pub const fn finished(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled
    }
}

/// The hour that a minute is in, both since the Unix epoch.
#[must_use]
pub const fn hour_of(minute: i64) -> i64 {
    minute.div_euclid(60)
}

/// Tallies of the changes of one job within one write, by minute: several changes may be folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes(Vec<(i64, Tally)>);

impl Changes {
    /// Counts one change at the time it was made.
    pub fn record(&mut self, before: Option<&JobStatus>, after: &JobStatus) {
        let minute = Timestamp::minute(after.update_time);
        if !matches!(self.0.last(), Some((last, _)) if *last == minute) {
            self.0.push((minute, Tally::default()));
        }
        if let Some((_, tally)) = self.0.last_mut() {
            tally.record(before, after);
        }
    }

    /// The tallies by minute.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Tally)> {
        self.0.iter().map(|(minute, tally)| (*minute, tally))
    }
}

#[cfg(test)]
mod tests;
