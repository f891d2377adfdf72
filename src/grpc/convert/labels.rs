//! Labels of jobs and workers.

use std::collections::BTreeMap;

use crate::domain::limits::{LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX};
use crate::domain::validate::Violations;

use super::path::Path;
use super::text;

/// Labels within their bounds.
pub fn check(labels: &BTreeMap<String, String>, at: Path<'_>, violations: &mut Violations) {
    if labels.len() > LABELS_MAX {
        let found = labels.len();
        at.wrong(violations, format!("must have at most {LABELS_MAX} elements, has {found}"));
        return;
    }
    for (key, value) in labels {
        let at = at.key(key);
        at.check(violations, !key.is_empty(), || "must not have an empty key".to_owned());
        at.check(violations, key.len() <= LABEL_KEY_BYTES_MAX, || {
            format!("must have a key of at most {LABEL_KEY_BYTES_MAX} bytes, has {}", key.len())
        });
        at.check(violations, !key.contains('\0'), || "must not have U+0000 in its key".to_owned());
        text::key(value, LABEL_VALUE_BYTES_MAX, at, violations);
    }
}
