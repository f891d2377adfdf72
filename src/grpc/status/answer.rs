//! A status in the making: reason, message, metadata and details.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::domain::limits::{VIOLATION_BYTES_MAX, VIOLATIONS_TOLD_MAX};
use crate::domain::validate::Violations;
use crate::domain::{JobId, JobType};
use crate::grpc::reasons::Reason;

/// The `domain` of every `ErrorInfo`.
pub const DOMAIN: &str = "jobplane";

/// A status in the making.
pub(super) struct Answer {
    reason: Reason,
    message: String,
    metadata: HashMap<String, String>,
    details: ErrorDetails,
}

impl Answer {
    pub(super) fn new(reason: Reason, message: String) -> Self {
        Self { reason, message, metadata: HashMap::new(), details: ErrorDetails::new() }
    }

    /// All wrong fields, as many as trailers hold; how many there are stands in the metadata.
    pub(super) fn violations(violations: &Violations) -> Self {
        let all = violations.as_slice();
        let first = all.first().map_or_else(
            || "the request is invalid".to_owned(),
            |first| format!("{} {}", clipped(&first.field), clipped(&first.description)),
        );
        let message = match all.len() {
            0 | 1 => first,
            2 => format!("{first}, and 1 more field"),
            many => format!("{first}, and {} more fields", many - 1),
        };
        let mut answer =
            Self::new(Reason::InvalidField, message).fact("violations", all.len().to_string());
        for violation in all.iter().take(VIOLATIONS_TOLD_MAX) {
            answer = answer.violation(&violation.field, &violation.description);
        }
        if all.len() > VIOLATIONS_TOLD_MAX {
            let left_out = all.len() - VIOLATIONS_TOLD_MAX;
            answer = answer.violation("", &format!("and {left_out} more"));
        }
        answer
    }

    pub(super) fn quota(reason: Reason, what: &'static str, limit: u64) -> Self {
        let message = format!("{what} is limited to {limit}");
        let mut answer =
            Self::new(reason, message.clone()).fact("what", what).fact("limit", limit.to_string());
        answer.details.add_quota_failure_violation(what, message);
        answer
    }

    /// Too little is left of something; how much there may be changes.
    pub(super) fn short(reason: Reason, what: &'static str, message: String) -> Self {
        let mut answer = Self::new(reason, message.clone()).fact("what", what);
        answer.details.add_quota_failure_violation(what, message);
        answer
    }

    /// As many jobs wait as may.
    pub(super) fn full(what: &str, limit: u64, message: String) -> Self {
        let mut answer = Self::new(Reason::LimitExceeded, message.clone())
            .fact("what", "jobs that wait")
            .fact("limit", limit.to_string());
        answer.details.add_quota_failure_violation(what, message);
        answer
    }

    /// With another message.
    pub(super) fn saying(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    pub(super) fn fact(mut self, name: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn job(self, id: JobId) -> Self {
        self.fact("job_id", id.to_string())
    }

    pub(super) fn job_type(self, name: &JobType) -> Self {
        self.fact("type", name.as_str())
    }

    /// What would have to be otherwise.
    pub(super) fn unmet(mut self, what: &str, name: impl std::fmt::Display) -> Self {
        let (kind, message) = (self.reason.row().name, self.message.clone());
        self.details.add_precondition_failure_violation(kind, format!("{what}/{name}"), message);
        self
    }

    pub(super) fn resource(mut self, id: JobId) -> Self {
        self.details.set_resource_info("job", id.to_string(), "", self.message.clone());
        self
    }

    pub(super) fn precondition(mut self, id: JobId) -> Self {
        let (kind, message) = (self.reason.row().name, self.message.clone());
        self.details.add_precondition_failure_violation(kind, format!("job/{id}"), message);
        self
    }

    pub(super) fn violation(mut self, field: &str, description: &str) -> Self {
        self.details.add_bad_request_violation(clipped(field), clipped(description));
        self
    }

    pub(super) fn retry(mut self, after: Duration) -> Self {
        self.details.set_retry_info(Some(after));
        self
    }

    pub(super) fn into_status(mut self) -> Status {
        let row = self.reason.row();
        self.details.set_error_info(row.name, DOMAIN, self.metadata);
        Status::with_error_details(row.code, self.message, self.details)
    }
}

/// A text that fits into trailers with others of its kind.
fn clipped(text: &str) -> String {
    if text.len() <= VIOLATION_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(VIOLATION_BYTES_MAX);
    format!("{}…", &text[..end])
}
