//! How a type stands: what changes of its own accord, beside its definition.

use serde::{Deserialize, Serialize};

use crate::domain::circuit::CircuitState;
use crate::domain::rate::Bucket;
use crate::domain::time::Timestamp;

/// Where a type comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeOrigin {
    /// By file or API: it can be triggered.
    Declared,
    /// Made by the first job that named it.
    Observed,
}

crate::domain::written::short_names!(TypeOrigin {
    Declared = "DECLARED",
    Observed = "OBSERVED",
});

/// How a type stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeState {
    /// Nominal times of its schedule up to here are settled: each has its job.
    pub schedule_through: Timestamp,
    /// Its breaker.
    pub circuit: CircuitState,
    /// Its start rate's bucket; full if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_bucket: Option<Bucket>,
}
