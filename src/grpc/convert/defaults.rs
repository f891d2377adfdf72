//! What holds for the whole server where a type says nothing.

use crate::domain::definitions::ServerDefaults;
use crate::domain::limits::CAP_MAX;
use crate::domain::validate::Violations;
use crate::proto::v1;

use super::job_type;
use super::path::{Path, is_clean};

/// What can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Circuit,
    MaxRunning,
    MaxPending,
}

const FIELDS: [(&str, Field); 3] = [
    ("circuit", Field::Circuit),
    ("max_running", Field::MaxRunning),
    ("max_pending", Field::MaxPending),
];

/// A change.
#[derive(Debug, Clone, PartialEq)]
pub struct DefaultsChange {
    fields: Vec<Field>,
    to: ServerDefaults,
}

impl DefaultsChange {
    /// Changes the fields that are meant.
    pub fn apply(&self, defaults: &mut ServerDefaults) {
        for field in &self.fields {
            match field {
                Field::Circuit => defaults.circuit.clone_from(&self.to.circuit),
                Field::MaxRunning => defaults.max_running = self.to.max_running,
                Field::MaxPending => defaults.max_pending = self.to.max_pending,
            }
        }
    }
}

/// A change whose every field was checked.
pub fn from_proto(
    request: &v1::UpdateDefaultsRequest,
    violations: &mut Violations,
) -> Option<DefaultsChange> {
    let before = violations.as_slice().len();
    let fields = fields(request.update_mask.as_ref(), violations);
    let Some(given) = &request.defaults else {
        Path::root("defaults").wrong(violations, "must be set");
        return None;
    };
    let to = settings(given, violations);
    to.validate("defaults.", violations);
    is_clean(violations, before).then_some(DefaultsChange { fields, to })
}

/// What the message says; what is wrong with it is noted.
pub fn settings(given: &v1::Defaults, violations: &mut Violations) -> ServerDefaults {
    let at = Path::root("defaults");
    let circuit = given.circuit.as_ref();
    let circuit = circuit.map(|given| job_type::circuit(given, at.field("circuit"), violations));
    let mut cap = |value: i64, name| {
        let cap = u32::try_from(value).ok();
        at.field(name).check(violations, cap.is_some(), || {
            format!("must be from 0 to {CAP_MAX}, is {value}")
        });
        cap.unwrap_or_default()
    };
    ServerDefaults {
        circuit: circuit.unwrap_or_default(),
        max_running: cap(given.max_running, "max_running"),
        max_pending: cap(given.max_pending, "max_pending"),
    }
}

/// The fields that are meant; all if none is named.
fn fields(mask: Option<&prost_types::FieldMask>, violations: &mut Violations) -> Vec<Field> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() || matches!(paths, [all] if all == "*") {
        return FIELDS.iter().map(|(_, field)| *field).collect();
    }
    let at = Path::root("update_mask.paths");
    if paths.len() > FIELDS.len() {
        at.wrong(violations, format!("must have at most {} elements", FIELDS.len()));
        return Vec::new();
    }
    let mut fields = Vec::with_capacity(paths.len());
    for (place, path) in paths.iter().enumerate() {
        if let Some((_, field)) = FIELDS.iter().find(|(name, _)| name == path) {
            fields.push(*field);
        } else {
            let known = FIELDS.map(|(name, _)| name).join(", ");
            at.index(place).wrong(violations, format!("must be one of {known}"));
        }
    }
    fields
}

/// What holds, as a message.
#[must_use]
pub fn to_proto(defaults: &ServerDefaults) -> v1::Defaults {
    let circuit = &defaults.circuit;
    v1::Defaults {
        circuit: (circuit.max_failures > 0).then(|| job_type::circuit_to_proto(circuit, None)),
        max_running: defaults.max_running.into(),
        max_pending: defaults.max_pending.into(),
    }
}
