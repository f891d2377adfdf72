//! Circuit breakers: a type that keeps failing is left alone for a while, then tried with one job.
//!
//! All state is data: who stores it compares [`CircuitState::revision`], so that of racing starts one
//! is the probe.

mod report;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::JobId;
use super::limits::{
    CIRCUIT_FAILURES_MAX, CIRCUIT_PROBE_DEFAULT, CIRCUIT_WINDOW_DEFAULT, SPAN_MAX, TIMEOUT_MIN,
};
use super::time::Timestamp;
use super::validate::Violations;
use super::written;

/// Which failures a breaker counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CircuitCounts {
    /// Jobs that failed for good.
    #[default]
    Final,
    /// Each failed attempt.
    Attempts,
}

written::short_names!(CircuitCounts { Final = "FINAL", Attempts = "ATTEMPTS" });

/// A breaker as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CircuitSpec {
    /// Failures within the window that open it; 0 = no breaker.
    pub max_failures: u32,
    /// The window; an hour if unset.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub window: Option<Duration>,
    /// Time from its opening to the first probe, and from one that failed to the next; 5 min if unset.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub probe_after: Option<Duration>,
    /// Which failures count.
    pub counts: CircuitCounts,
}

impl CircuitSpec {
    /// No breaker.
    pub const NEVER: Self =
        Self { max_failures: 0, window: None, probe_after: None, counts: CircuitCounts::Final };

    /// Notes each field that is wrong, named after `prefix` (`job_type.circuit.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let most = self.max_failures <= CIRCUIT_FAILURES_MAX;
        violations.check(most, &format!("{prefix}max_failures"), || {
            format!("must be from 0 to {CIRCUIT_FAILURES_MAX}, is {}", self.max_failures)
        });
        for (span, name) in [(self.window, "window"), (self.probe_after, "probe_after")] {
            let range = TIMEOUT_MIN..=SPAN_MAX;
            if let Some(span) = span.filter(|span| !range.contains(span)) {
                violations.add(format!("{prefix}{name}"), written::out_of_range(span, &range));
            }
        }
    }

    fn window(&self) -> Duration {
        self.window.unwrap_or(CIRCUIT_WINDOW_DEFAULT)
    }

    /// Time from its opening to the first probe, and from one that failed to the next.
    #[must_use]
    pub fn probe_after(&self) -> Duration {
        self.probe_after.unwrap_or(CIRCUIT_PROBE_DEFAULT)
    }
}

/// Where a breaker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CircuitPhase {
    /// Everything runs.
    Closed {
        /// The failures that still count, the oldest first.
        failures: Vec<Timestamp>,
    },
    /// Nothing runs until the probe.
    Open {
        /// Since when.
        since: Timestamp,
        /// When one job may try.
        next_probe_time: Timestamp,
    },
    /// One job tries; everything else waits for what comes of it.
    HalfOpen {
        /// Since when it has been open.
        since: Timestamp,
        /// The job that tries.
        probe: JobId,
        /// When a next one may try, should this one fail right away.
        next_probe_time: Timestamp,
    },
}

/// A breaker's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitState {
    /// +1 for each change: guards a write.
    pub revision: i64,
    /// Where it is.
    pub phase: CircuitPhase,
}

impl Default for CircuitState {
    fn default() -> Self {
        Self { revision: 0, phase: CircuitPhase::Closed { failures: Vec::new() } }
    }
}

/// What a breaker says to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitDecision {
    /// It may go.
    Allow,
    /// It may go as the probe, after [`CircuitState::begin_probe`].
    Probe,
    /// It may not.
    Refuse {
        /// When one may.
        next_probe_time: Timestamp,
    },
}

/// What became of a run, as far as a breaker wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitReport {
    /// It succeeded.
    Succeeded,
    /// An attempt failed and another one will be made.
    AttemptFailed,
    /// It failed for good.
    Failed,
    /// It ended otherwise, or was given back: nothing is known.
    Other,
}

/// What a report changed that others are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitChange {
    /// It opened, or stays open after a failed probe.
    Opened {
        /// When one job may try.
        next_probe_time: Timestamp,
    },
    /// It closed.
    Closed,
}

impl CircuitState {
    /// Whether runs are refused, or tried with one.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.phase {
            CircuitPhase::Closed { .. } => false,
            CircuitPhase::Open { .. } | CircuitPhase::HalfOpen { .. } => true,
        }
    }

    /// The phase's name.
    #[must_use]
    pub const fn phase_name(&self) -> &'static str {
        match self.phase {
            CircuitPhase::Closed { .. } => "CLOSED",
            CircuitPhase::Open { .. } => "OPEN",
            CircuitPhase::HalfOpen { .. } => "HALF_OPEN",
        }
    }

    /// Whether a run may go now.
    #[must_use]
    pub fn decide(&self, spec: &CircuitSpec, now: Timestamp) -> CircuitDecision {
        match self.phase {
            // A breaker that was taken away holds up nothing.
            _ if spec.max_failures == 0 => CircuitDecision::Allow,
            CircuitPhase::Closed { .. } => CircuitDecision::Allow,
            CircuitPhase::Open { next_probe_time, .. } if next_probe_time <= now => {
                CircuitDecision::Probe
            }
            CircuitPhase::Open { next_probe_time, .. }
            | CircuitPhase::HalfOpen { next_probe_time, .. } => {
                CircuitDecision::Refuse { next_probe_time: next_probe_time.max(now) }
            }
        }
    }

    /// The state after `job` started as the probe; nothing if it is not time for one.
    #[must_use]
    pub fn begin_probe(&self, spec: &CircuitSpec, job: JobId, now: Timestamp) -> Option<Self> {
        match self.phase {
            CircuitPhase::Open { since, next_probe_time } if next_probe_time <= now => {
                let next_probe_time = now.plus(spec.probe_after());
                let phase = CircuitPhase::HalfOpen { since, probe: job, next_probe_time };
                Some(self.followed_by(phase))
            }
            CircuitPhase::Open { .. }
            | CircuitPhase::Closed { .. }
            | CircuitPhase::HalfOpen { .. } => None,
        }
    }

    /// The job that tries, from the moment on at which a next one might: should it not run any more,
    /// what became of it was not told, and [`after_lost_probe`](Self::after_lost_probe) follows.
    #[must_use]
    pub fn overdue_probe(&self, now: Timestamp) -> Option<JobId> {
        match self.phase {
            CircuitPhase::HalfOpen { probe, next_probe_time, .. } if next_probe_time <= now => {
                Some(probe)
            }
            CircuitPhase::HalfOpen { .. }
            | CircuitPhase::Open { .. }
            | CircuitPhase::Closed { .. } => None,
        }
    }

    /// The state once it is known that `probe` does not run any more: the next one may try at once.
    /// Nothing if it is not the one that tries, or if it is not yet time for a next one.
    #[must_use]
    pub fn after_lost_probe(&self, probe: JobId, now: Timestamp) -> Option<Self> {
        match self.phase {
            CircuitPhase::HalfOpen { since, .. } if self.overdue_probe(now) == Some(probe) => {
                Some(self.followed_by(CircuitPhase::Open { since, next_probe_time: now }))
            }
            CircuitPhase::HalfOpen { .. }
            | CircuitPhase::Open { .. }
            | CircuitPhase::Closed { .. } => None,
        }
    }

    /// The state after `report` of `job`, and what others are told; nothing if it changes nothing.
    ///
    /// While it is not closed only the probe counts: what started before it opened says little about
    /// how things are now. A probe that fails an attempt has failed, whatever else it may try.
    #[must_use]
    pub fn after(
        &self,
        spec: &CircuitSpec,
        job: JobId,
        report: CircuitReport,
        now: Timestamp,
    ) -> Option<(Self, Option<CircuitChange>)> {
        match (&self.phase, report) {
            (CircuitPhase::Closed { failures }, _) => {
                let counts = match report {
                    CircuitReport::Failed => true,
                    CircuitReport::AttemptFailed => spec.counts == CircuitCounts::Attempts,
                    CircuitReport::Succeeded | CircuitReport::Other => false,
                };
                (counts && spec.max_failures > 0).then(|| self.after_failure(spec, failures, now))
            }
            (CircuitPhase::HalfOpen { probe, since, .. }, _) if *probe == job => {
                Some(match report {
                    CircuitReport::Succeeded => {
                        let phase = CircuitPhase::Closed { failures: Vec::new() };
                        (self.followed_by(phase), Some(CircuitChange::Closed))
                    }
                    CircuitReport::AttemptFailed | CircuitReport::Failed => {
                        let next_probe_time = now.plus(spec.probe_after());
                        let phase = CircuitPhase::Open { since: *since, next_probe_time };
                        (self.followed_by(phase), Some(CircuitChange::Opened { next_probe_time }))
                    }
                    CircuitReport::Other => {
                        // It says nothing, so the next one may try at once.
                        let phase = CircuitPhase::Open { since: *since, next_probe_time: now };
                        (self.followed_by(phase), None)
                    }
                })
            }
            (CircuitPhase::HalfOpen { .. } | CircuitPhase::Open { .. }, _) => None,
        }
    }

    fn after_failure(
        &self,
        spec: &CircuitSpec,
        failures: &[Timestamp],
        now: Timestamp,
    ) -> (Self, Option<CircuitChange>) {
        let oldest = now.minus(spec.window());
        let mut failures: Vec<_> = failures.iter().copied().filter(|at| *at > oldest).collect();
        failures.push(now);
        let enough = usize::try_from(spec.max_failures).unwrap_or(usize::MAX);
        if failures.len() < enough {
            return (self.followed_by(CircuitPhase::Closed { failures }), None);
        }
        let next_probe_time = now.plus(spec.probe_after());
        let phase = CircuitPhase::Open { since: now, next_probe_time };
        (self.followed_by(phase), Some(CircuitChange::Opened { next_probe_time }))
    }

    /// The state after the breaker was taken away, if it remembers anything: put back it begins anew.
    #[must_use]
    pub fn forgotten(&self) -> Option<Self> {
        let closed = CircuitPhase::Closed { failures: Vec::new() };
        (self.phase != closed).then(|| self.followed_by(closed))
    }

    fn followed_by(&self, phase: CircuitPhase) -> Self {
        Self { revision: self.revision + 1, phase }
    }
}

#[cfg(test)]
mod tests;
