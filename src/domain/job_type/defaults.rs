//! What a type says of its jobs if their creators say nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::JobTypeSpec;
use crate::domain::ids::QueueName;
use crate::domain::job::{JobSpec, OnStuck, Priority, ResourceLimits};
use crate::domain::limits::LABELS_MAX;
use crate::domain::retry::{RetryPatch, RetryPolicy};
use crate::domain::written;

/// What its jobs are like if nothing is said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobDefaults {
    /// Where they wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// How they stand in line there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// How often and when they are tried again.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub retry_policy: RetryPatch,
    /// Longest run of one attempt.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Longest run without activity.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub stuck_after: Option<Duration>,
    /// What then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_stuck: Option<OnStuck>,
    /// What they may use; a zero says nothing.
    #[serde(skip_serializing_if = "no_limits")]
    pub limits: ResourceLimits,
    /// Labels they have beside their own.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How long they are kept after their end.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub retention: Option<Duration>,
}

fn is_unsaid(policy: &RetryPatch) -> bool {
    *policy == RetryPatch::default()
}

fn no_limits(limits: &ResourceLimits) -> bool {
    *limits == ResourceLimits::default()
}

impl JobDefaults {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A job as its creator asks for it. What is unset here, and what is unset, zero or without an entry in
/// `rest`, the creator leaves to the type.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Everything else. Its queue, priority, retry policy, rules and `on_stuck` say nothing.
    pub rest: JobSpec,
    /// Where it waits.
    pub queue: Option<QueueName>,
    /// How it stands in line there.
    pub priority: Option<Priority>,
    /// How often and when it is tried again.
    pub retry_policy: RetryPatch,
    /// What happens when it shows no activity.
    pub on_stuck: Option<OnStuck>,
    /// Its creator starts it: one attempt, unless the creator says otherwise.
    pub started: bool,
}

impl Draft {
    /// A draft that leaves everything to the type.
    #[must_use]
    pub fn new(rest: JobSpec) -> Self {
        Self {
            rest,
            queue: None,
            priority: None,
            retry_policy: RetryPatch::default(),
            on_stuck: None,
            started: false,
        }
    }

    /// The job: what is said here, else what its type says, else what the server says.
    #[must_use]
    pub fn complete(self, definition: Option<&JobTypeSpec>) -> JobSpec {
        let nothing = JobDefaults::default();
        let defaults = definition.map_or(&nothing, |definition| &definition.defaults);
        let mut spec = self.rest;
        spec.queue = self.queue.or_else(|| defaults.queue.clone()).unwrap_or_default();
        spec.priority = self.priority.or(defaults.priority).unwrap_or_default();
        spec.on_stuck = self.on_stuck.or(defaults.on_stuck).unwrap_or_default();
        let mut base = defaults.retry_policy.over(&RetryPolicy::default());
        if self.started {
            base.max_attempts = 1;
        }
        spec.retry_policy = self.retry_policy.over(&base);
        spec.retry_rules =
            definition.map_or_else(Vec::new, |definition| definition.retry_rules.clone());
        spec.timeout = spec.timeout.or(defaults.timeout);
        spec.stuck_after = spec.stuck_after.or(defaults.stuck_after);
        spec.retention = spec.retention.or(defaults.retention);
        if spec.limits.memory_bytes == 0 {
            spec.limits.memory_bytes = defaults.limits.memory_bytes;
        }
        if spec.limits.cpu_percent == 0.0 {
            spec.limits.cpu_percent = defaults.limits.cpu_percent;
        }
        for (label, value) in &defaults.labels {
            // The creator's own labels go first where there is not room for all.
            if spec.labels.len() < LABELS_MAX {
                spec.labels.entry(label.clone()).or_insert_with(|| value.clone());
            }
        }
        spec
    }
}
