//! A file of definitions: types, queues, quotas and the server's defaults, as `jobplane apply` takes
//! them. docs/types.yaml shows every field.
//!
//! What a file says is checked whole: every key that nobody knows and every wrong field, all at once.
//! Columns hold the same shapes and let keys of newer versions pass.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_ignored::Path;
use serde_path_to_error::Track;

use super::circuit::CircuitSpec;
use super::ids::{QueueName, QuotaName};
use super::job_type::JobTypeSpec;
use super::limits::{CAP_MAX, QUEUES_MAX, QUOTAS_MAX, TYPES_MAX};
use super::queue::QueueSettings;
use super::quota::QuotaSpec;
use super::validate::Violations;

/// What holds for the whole server if a type says nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerDefaults {
    /// The breaker of types without one, those nobody declared among them.
    pub circuit: CircuitSpec,
    /// Jobs that run at once; 0 = no cap.
    pub max_running: u32,
    /// Jobs that may wait; 0 = no cap.
    pub max_pending: u32,
}

impl ServerDefaults {
    /// Notes each field that is wrong, named after `prefix` (`defaults.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        self.circuit.validate(&format!("{prefix}circuit."), violations);
        for (cap, name) in [(self.max_running, "max_running"), (self.max_pending, "max_pending")] {
            violations.check(cap <= CAP_MAX, &format!("{prefix}{name}"), || {
                format!("must be from 0 to {CAP_MAX}, is {cap}")
            });
        }
    }
}

/// The definitions of a file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Definitions {
    /// Unset, the server's stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ServerDefaults>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<QuotaName, QuotaSpec>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<QueueName, QueueSettings>,
    /// In any order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<JobTypeSpec>,
}

impl Definitions {
    /// Reads a file and notes in `violations` each key that means nothing.
    ///
    /// # Errors
    /// That of the format, if a value is not of the kind that belongs there; its place is noted in `broken`.
    pub fn read<'de, D: Deserializer<'de>>(
        from: D,
        violations: &mut Violations,
        broken: &mut String,
    ) -> Result<Self, D::Error> {
        let mut track = Track::new();
        let from = serde_path_to_error::Deserializer::new(from, &mut track);
        let read = serde_ignored::deserialize(from, |path| {
            violations.add(place(&path), "there is no such field");
        });
        if read.is_err() {
            *broken = track.path().to_string();
        }
        read
    }

    /// Notes each field that is wrong.
    ///
    /// Quotas that types draw from may be known to the server already, so they are looked for
    /// by whoever knows both ([`JobTypeSpec::validate_quotas`]).
    pub fn validate(&self, violations: &mut Violations) {
        for (count, most, field) in [
            (self.quotas.len(), QUOTAS_MAX, "quotas"),
            (self.queues.len(), QUEUES_MAX, "queues"),
            (self.types.len(), TYPES_MAX, "types"),
        ] {
            violations.check(count <= most, field, || {
                format!("must have at most {most} elements, has {count}")
            });
        }
        if let Some(defaults) = &self.defaults {
            defaults.validate("defaults.", violations);
        }
        for (name, quota) in &self.quotas {
            let at = format!("quotas.{name}");
            violations.take(&at, QuotaName::new(name.as_str()));
            quota.compile(&format!("{at}."), violations);
        }
        for (name, queue) in &self.queues {
            let at = format!("queues.{name}");
            violations.take(&at, QueueName::new(name.as_str()));
            queue.validate(&format!("{at}."), violations);
            let explained = queue.paused || queue.pause_reason.is_empty();
            violations.check(explained, &format!("{at}.pause_reason"), || {
                "must be empty where paused is not true".to_owned()
            });
        }
        let mut seen = BTreeSet::new();
        for (at, definition) in self.types.iter().enumerate() {
            definition.validate(&format!("types[{at}]."), violations);
            let name = &definition.job_type;
            violations.check(seen.insert(name), &format!("types[{at}].type"), || {
                format!("must be defined once, {name} is above already")
            });
        }
    }
}

/// A place in a file as violations name it: `types[0].schedule.zone`.
fn place(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", place(parent)),
        Path::Map { parent, key } => match place(parent) {
            above if above.is_empty() => key.clone(),
            above => format!("{above}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => place(parent),
    }
}

#[cfg(test)]
mod tests;
