//! What figures are kept by besides types and queues.

use crate::domain::limits::{LABEL_KEY_BYTES_MAX, STAT_LABELS_MAX};
use crate::domain::stats::FacetPolicy;
use crate::domain::validate::Violations;

use super::Invalid;

/// Checks the labels.
///
/// # Errors
/// If there are too many, or one cannot be a label's key.
pub(super) fn validate(policy: &FacetPolicy) -> Result<(), Invalid> {
    let mut wrong = Violations::default();
    policy.validate("", &mut wrong);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Invalid {
        setting: "stats-by-label",
        given: policy.by_labels.join(","),
        allowed: format!(
            "at most {STAT_LABELS_MAX} keys of labels, of 1 to {LABEL_KEY_BYTES_MAX} bytes"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_and_can_be_keys() {
        let policy = |labels: &[&str]| FacetPolicy {
            by_owner: true,
            by_labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        };
        assert_eq!(validate(&FacetPolicy::default()), Ok(()));
        assert_eq!(validate(&policy(&["a", "b", "c", "d"])), Ok(()));
        let too_many = validate(&policy(&["a", "b", "c", "d", "e"])).unwrap_err();
        assert_eq!(
            too_many.to_string(),
            "stats-by-label is a,b,c,d,e, and must be at most 4 keys of labels, of 1 to 63 bytes"
        );
        assert!(validate(&policy(&[""])).is_err());
    }
}
