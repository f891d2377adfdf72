//! Why an attempt failed.

use prost::Message as _;

use crate::domain::limits::{ERROR_BYTES_MAX, ERROR_CODE_BYTES_MAX};
use crate::domain::validate::Violations;
use crate::domain::{ErrorOrigin, JobError};
use crate::proto::v1;

use super::enums::Named as _;
use super::job::View;
use super::path::{Path, is_clean};
use super::{opaque, text};

/// A worker's error; one that says nothing if unset.
pub fn from_proto(
    error: Option<v1::JobError>,
    prefix: &str,
    violations: &mut Violations,
) -> Option<JobError> {
    let error = error.unwrap_or_default();
    let at = Path::root(prefix);
    let size = error.encoded_len();
    if size > ERROR_BYTES_MAX {
        at.wrong(
            violations,
            format!("must have at most {ERROR_BYTES_MAX} bytes encoded, has {size}"),
        );
        return None;
    }
    let before = violations.as_slice().len();
    text::key(&error.code, ERROR_CODE_BYTES_MAX, at.field("code"), violations);
    if let Some(details) = &error.details {
        opaque::check_at(details, ERROR_BYTES_MAX, at.field("details"), violations);
    }
    is_clean(violations, before).then(|| JobError {
        origin: ErrorOrigin::Worker,
        code: error.code,
        message: error.message,
        details: error.details,
        stack_trace: error.stack_trace,
        non_retryable: error.non_retryable,
    })
}

/// An error as a message.
#[must_use]
pub fn to_proto(error: &JobError, view: View) -> v1::JobError {
    let full = view == View::Full;
    v1::JobError {
        origin: error.origin.to_wire(),
        code: error.code.clone(),
        message: error.message.clone(),
        details: error.details.clone().filter(|_| full),
        stack_trace: if full { error.stack_trace.clone() } else { String::new() },
        non_retryable: error.non_retryable,
    }
}
