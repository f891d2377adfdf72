//! Settings of what is kept, and for how long.

use std::path::PathBuf;

use super::Invalid;
use crate::domain::retention::{PurgeTiming, RetentionPolicy};
use crate::domain::validate::Violations;

/// What is kept for how long, when it is taken away, and where it is written before.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// How long.
    pub policy: RetentionPolicy,
    /// When it is taken away.
    pub timing: PurgeTiming,
    /// Where it is written before; nowhere if unset.
    pub archive: Option<PathBuf>,
}

impl Retention {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut wrong = Violations::default();
        self.policy.validate("retention-", &mut wrong);
        self.timing.validate("purge-", &mut wrong);
        match wrong.as_slice().first() {
            None => Ok(()),
            Some(first) => Err(Invalid {
                setting: if first.field.starts_with("purge-") { "purge" } else { "retention" },
                given: format!("wrong in {}", first.field),
                allowed: first.description.trim_start_matches("must be ").to_owned(),
            }),
        }
    }
}
