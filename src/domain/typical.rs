//! How long runs of a type usually take, and what follows for one that is under way.
//!
//! Learned from the runs that succeeded, of the last day or so: a failure says little about how long
//! the work takes. Kept in a mergeable [`Histogram`], so what is told is off by some 3 %.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::job::JobSpec;
use super::limits::{ESTIMATE_RUNS_MIN, SLOW_AFTER_MIN, SLOW_RUNS_MIN};
use super::progress::Derived;
use super::status::{JobStatus, StateKind};
use super::time::Timestamp;

/// A run is slow when it takes longer than this many times the 95th percentile.
const SLOW_FACTOR: u32 = 2;

/// The runs of a type that succeeded, by how long they took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Typical(Histogram);

/// A run that takes unusually long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    /// How long it has taken.
    pub run: Duration,
    /// What 95 of 100 runs take at most.
    pub p95: Duration,
}

impl From<Histogram> for Typical {
    fn from(runs: Histogram) -> Self {
        Self(runs)
    }
}

impl Typical {
    /// How many runs are on record.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.0.count()
    }

    /// The median, once there is any run.
    #[must_use]
    pub fn median(&self) -> Option<Duration> {
        self.0.quantile(0.5)
    }

    /// After which time a run is slow; unset while too few are on record.
    #[must_use]
    pub fn slow_after(&self) -> Option<Duration> {
        self.p95().map(|p95| (SLOW_FACTOR * p95).max(SLOW_AFTER_MIN))
    }

    fn p95(&self) -> Option<Duration> {
        self.0.quantile(0.95).filter(|_| self.runs() >= SLOW_RUNS_MIN)
    }

    /// Whether a running job takes unusually long.
    #[must_use]
    pub fn slow(&self, status: &JobStatus, now: Timestamp) -> Option<Slow> {
        let run = status.run_duration(now).filter(|_| status.kind() == StateKind::Running)?;
        let (after, p95) = self.slow_after().zip(self.p95())?;
        (run > after).then_some(Slow { run, p95 })
    }

    /// How long a run that has taken `elapsed` will still take: half of the runs on record that took
    /// as long were done by then. Unset if there were too few of them to tell.
    #[must_use]
    pub fn remaining(&self, elapsed: Duration) -> Option<Duration> {
        let (runs, median) = self.0.beyond(elapsed)?;
        (runs >= ESTIMATE_RUNS_MIN).then(|| median.saturating_sub(elapsed))
    }
}

/// How long a running job will still take: what follows from its progress, else what runs of its type
/// usually take, else what its creator expects.
#[must_use]
pub fn remaining(derived: &Derived, typical: Option<&Typical>, spec: &JobSpec) -> Option<Duration> {
    let elapsed = derived.elapsed;
    let by_history = || typical.and_then(|typical| typical.remaining(elapsed));
    // An estimate that has passed says nothing any more.
    let by_spec = || {
        let left = spec.estimated_duration.and_then(|expected| expected.checked_sub(elapsed));
        left.filter(|left| !left.is_zero())
    };
    derived.remaining.or_else(by_history).or_else(by_spec)
}

#[cfg(test)]
mod tests;
