//! Whether a run of a type may be made now.

use std::time::Duration;

use super::{JobTypeSpec, TypeOrigin, TypeState};
use crate::domain::circuit::{CircuitDecision, CircuitSpec};
use crate::domain::status::{Skip, SkipReason};
use crate::domain::time::Timestamp;
use crate::domain::written;

/// The breaker of a type: its own, else the server's.
#[must_use]
pub fn circuit_of<'a>(
    definition: Option<&'a JobTypeSpec>,
    default: &'a CircuitSpec,
) -> &'a CircuitSpec {
    definition.and_then(|definition| definition.circuit.as_ref()).unwrap_or(default)
}

/// Why a job of this type is recorded as SKIPPED instead of made PENDING, if it is.
///
/// A breaker that is due for a probe lets jobs be made: the first that starts is the probe.
#[must_use]
pub fn skip_at_create(
    definition: Option<&JobTypeSpec>,
    circuit: &CircuitSpec,
    state: &TypeState,
    now: Timestamp,
) -> Option<Skip> {
    if definition.is_some_and(|definition| definition.disabled) {
        return Some(SkipReason::TypeDisabled.into());
    }
    match state.circuit.decide(circuit, now) {
        CircuitDecision::Allow | CircuitDecision::Probe => None,
        CircuitDecision::Refuse { next_probe_time } => {
            let until = Some(probe_time(circuit, next_probe_time, now));
            Some(Skip { reason: SkipReason::CircuitOpen, until })
        }
    }
}

/// When to ask again. A probe that runs on past the time of the next one refuses all others as long as it does: who is
/// told "now" would ask without end.
fn probe_time(circuit: &CircuitSpec, next: Timestamp, now: Timestamp) -> Timestamp {
    if next > now { next } else { now.plus(circuit.probe_after()) }
}

/// Why a type cannot be triggered now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerRefusal {
    /// Nobody declared it.
    #[error("the type was not declared, only seen on jobs")]
    TypeNotDeclared,
    /// It is switched off.
    #[error("the type is disabled{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    TypeDisabled {
        /// In the operator's words.
        reason: String,
    },
    /// As many run as may.
    #[error("{}, at most {max_concurrent} may", running_already(*running))]
    AlreadyRunning {
        /// How many run.
        running: u64,
        /// How many may.
        max_concurrent: u32,
    },
    /// Nothing starts from its queue.
    #[error("its queue is paused{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    QueuePaused {
        /// In the operator's words.
        reason: String,
    },
    /// Its breaker is open.
    #[error("its circuit breaker is open until {}", written::moment_shown(whole_second(*next_probe_time)))]
    CircuitOpen {
        /// When one may try.
        next_probe_time: Timestamp,
        /// How long that is from now.
        wait: Duration,
    },
}

/// The second that a moment is in: people need no more.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros().div_euclid(1_000_000) * 1_000_000)
}

fn running_already(running: u64) -> String {
    if running == 1 { "1 job of it runs".to_owned() } else { format!("{running} jobs of it run") }
}

/// What a trigger has to know besides the type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where the type comes from.
    pub origin: TypeOrigin,
    /// Jobs of it that run.
    pub running: u64,
    /// Why its queue is paused, if it is.
    pub queue_paused: Option<String>,
}

/// Whether the type can be triggered now.
///
/// # Errors
/// The first [`TriggerRefusal`] in the order of what an operator would have to do about it.
pub fn trigger(
    definition: &JobTypeSpec,
    circuit: &CircuitSpec,
    state: &TypeState,
    standing: Standing,
    now: Timestamp,
) -> Result<(), TriggerRefusal> {
    match standing.origin {
        TypeOrigin::Observed => return Err(TriggerRefusal::TypeNotDeclared),
        TypeOrigin::Declared => {}
    }
    if definition.disabled {
        let reason = definition.disabled_reason.clone();
        return Err(TriggerRefusal::TypeDisabled { reason });
    }
    let (running, max_concurrent) = (standing.running, definition.max_concurrent);
    if max_concurrent > 0 && running >= u64::from(max_concurrent) {
        return Err(TriggerRefusal::AlreadyRunning { running, max_concurrent });
    }
    if let Some(reason) = standing.queue_paused {
        return Err(TriggerRefusal::QueuePaused { reason });
    }
    match state.circuit.decide(circuit, now) {
        CircuitDecision::Allow | CircuitDecision::Probe => Ok(()),
        CircuitDecision::Refuse { next_probe_time } => {
            let next_probe_time = probe_time(circuit, next_probe_time, now);
            let wait = next_probe_time.since(now);
            Err(TriggerRefusal::CircuitOpen { next_probe_time, wait })
        }
    }
}
