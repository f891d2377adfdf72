//! Texts.

use crate::domain::limits::{REASON_BYTES_MAX, REQUEST_ID_BYTES_MAX, TEXT_BYTES_MAX};
use crate::domain::validate::Violations;

use super::path::Path;

/// A text for people: at most `bytes_max` bytes.
pub(super) fn bounded(text: &str, bytes_max: usize, at: Path<'_>, violations: &mut Violations) {
    at.check(violations, text.len() <= bytes_max, || {
        format!("must have at most {bytes_max} bytes, has {}", text.len())
    });
}

/// A text that is indexed and compared: as [`bounded`], and without U+0000, which no database takes
/// in a text.
pub fn key(text: &str, bytes_max: usize, at: Path<'_>, violations: &mut Violations) {
    bounded(text, bytes_max, at, violations);
    at.check(violations, !text.contains('\0'), || "must not contain U+0000".to_owned());
}

/// A reason in the words of a person or worker.
pub fn reason(text: String, field: &str, violations: &mut Violations) -> Option<String> {
    let before = violations.as_slice().len();
    key(&text, REASON_BYTES_MAX, Path::root(field), violations);
    super::path::is_clean(violations, before).then_some(text)
}

/// An owner, a subject, or whatever else is indexed and compared.
pub fn indexed(text: String, field: &str, violations: &mut Violations) -> String {
    key(&text, TEXT_BYTES_MAX, Path::root(field), violations);
    text
}

/// A request id; `Some(None)` if the request is not to be repeatable.
pub fn request_id(
    text: String,
    field: &str,
    violations: &mut Violations,
) -> Option<Option<String>> {
    let before = violations.as_slice().len();
    key(&text, REQUEST_ID_BYTES_MAX, Path::root(field), violations);
    super::path::is_clean(violations, before).then(|| (!text.is_empty()).then_some(text))
}
