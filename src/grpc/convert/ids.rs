//! Identities.

use crate::domain::validate::Violations;
use crate::domain::{InstanceId, JobId};

/// The id of a job.
pub fn job_id(text: &str, field: &str, violations: &mut Violations) -> Option<JobId> {
    if text.is_empty() {
        violations.add(field, "must not be empty");
        return None;
    }
    let id = text.parse();
    violations.check(id.is_ok(), field, || "must be a UUID, as CreateJob answers it".to_owned());
    id.ok()
}

/// A worker process; may be left out in unary calls.
pub fn instance_id(text: &str, field: &str, violations: &mut Violations) -> Option<InstanceId> {
    violations.take(field, InstanceId::new(text))
}

/// A worker process that must say who it is.
pub fn required_instance_id(
    text: &str,
    field: &str,
    violations: &mut Violations,
) -> Option<InstanceId> {
    if text.is_empty() {
        violations.add(field, "must not be empty: make a UUID at each start of the process");
        return None;
    }
    instance_id(text, field, violations)
}
