//! What is said of a kind of work.
//!
//! Owns: a type's definition ([`JobTypeSpec`]) and its check, what it adds to a job that says nothing
//! ([`JobDefaults`], [`Draft`]), how it stands ([`TypeState`]), and whether a run may be made of it
//! ([`gate`]).
//! Does not own: when its runs are due (`schedule`), when they start (`admission`).
//! Invariants: what a caller says goes before what a type says, and that before what the server says.

mod defaults;
pub mod gate;
mod state;
mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::circuit::CircuitSpec;
use super::ids::{Category, JobType, QuotaName};
use super::rate::StartRate;
use super::retry::RetryRule;
use super::schedule::ScheduleSpec;
use super::schedule::expected::Expected;

pub use defaults::{Draft, JobDefaults};
pub use state::{TypeOrigin, TypeState};

/// A cap on jobs that have the same value of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencyKey {
    /// The label. Jobs without it are not capped by this.
    pub label: String,
    /// Jobs of the type with the same value that run at once.
    pub max_running: u32,
}

/// A type as its author writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobTypeSpec {
    /// Its name.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// For people; the type's name if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Copied to each job at its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its jobs are recorded as SKIPPED with TYPE_DISABLED.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Why, in the operator's words; empty unless it is disabled.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub disabled_reason: String,
    /// What its jobs are like if nothing is said.
    #[serde(default, skip_serializing_if = "JobDefaults::is_empty")]
    pub defaults: JobDefaults,
    /// When a job of it is made, or expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
    /// Its runs are started elsewhere: the schedule makes none, and misses those that do not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Jobs of it that run at once; 0 = no cap.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_concurrent: u32,
    /// A cap for each value of a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<ConcurrencyKey>,
    /// How fast its jobs start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_rate: Option<StartRate>,
    /// What a start draws from outside quotas.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quota_costs: BTreeMap<QuotaName, u64>,
    /// When it is left alone because it keeps failing. Unset, the server's default holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<CircuitSpec>,
    /// What errors mean for the next attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retry_rules: Vec<RetryRule>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl JobTypeSpec {
    /// A type of which nothing is said.
    #[must_use]
    pub fn new(job_type: JobType) -> Self {
        Self {
            job_type,
            display_name: String::new(),
            category: None,
            description: String::new(),
            disabled: false,
            disabled_reason: String::new(),
            defaults: JobDefaults::default(),
            schedule: None,
            expected: None,
            max_concurrent: 0,
            concurrency_key: None,
            start_rate: None,
            quota_costs: BTreeMap::new(),
            circuit: None,
            retry_rules: Vec::new(),
        }
    }

    /// Without a reason for what it is not.
    #[must_use]
    pub fn tidied(mut self) -> Self {
        if !self.disabled {
            self.disabled_reason.clear();
        }
        self
    }

    /// The value that a job's cap by label goes by, if it has one.
    #[must_use]
    pub fn concurrency_value<'a>(&self, labels: &'a BTreeMap<String, String>) -> Option<&'a str> {
        labels.get(&self.concurrency_key.as_ref()?.label).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
