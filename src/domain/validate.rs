//! What is checked at the door: every wrong field is named, all at once.

use std::collections::HashSet;
use std::fmt::Display;

/// A field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, as the API names it: `spec.retry_policy.max_attempts`.
    pub field: String,
    /// What is wrong, with the bound.
    pub description: String,
}

/// Collects what is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations {
    noted: Vec<Violation>,
    /// Those that were noted.
    fields: HashSet<String>,
}

impl Violations {
    /// Notes that `field` is wrong. What was noted of it first stays: a later check sees what the first one put
    /// in the place of a value that it could not read.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let (field, description) = (field.into(), description.into());
        if self.fields.insert(field.clone()) {
            self.noted.push(Violation { field, description });
        }
    }

    /// Notes that `field` is wrong unless `good`.
    pub fn check(&mut self, good: bool, field: &str, description: impl FnOnce() -> String) {
        if !good {
            self.add(field, description());
        }
    }

    /// The value, or a note that `field` is wrong.
    pub fn take<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// `Ok` if nothing was noted.
    ///
    /// # Errors
    /// Everything that was noted.
    pub fn into_result(self) -> Result<(), Self> {
        if self.noted.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// What was noted.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.noted
    }
}

#[cfg(test)]
mod tests {
    //! What is noted.

    use super::*;

    #[test]
    fn a_field_is_named_once() {
        let mut violations = Violations::default();
        for (field, text) in [("cost", "must not be negative"), ("cost", "must be 1"), ("cap", "x")]
        {
            violations.add(field, text);
        }
        let told: Vec<_> =
            violations.as_slice().iter().map(|one| one.description.as_str()).collect();
        assert_eq!(told, ["must not be negative", "x"]);
    }
}
