//! Where in a request a value stands.

use std::fmt;

use crate::domain::limits::LABEL_KEY_BYTES_MAX;
use crate::domain::validate::Violations;

/// A field's path, spelled out only when the field is wrong: `spec.labels["team"]`, `logs[3].step`.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root(&'a str),
    Field(&'static str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// The path of a message within its request; empty for the request itself.
    #[must_use]
    pub const fn root(prefix: &'a str) -> Self {
        Self { parent: None, step: Step::Root(prefix) }
    }

    /// A field of the message here.
    #[must_use]
    pub const fn field<'b>(&'b self, name: &'static str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the list here.
    #[must_use]
    pub const fn index<'b>(&'b self, index: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// A value of the map here.
    #[must_use]
    pub const fn key<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    /// Notes that the value here is wrong.
    pub fn wrong(&self, violations: &mut Violations, description: impl fmt::Display) {
        violations.add(self.to_string(), description.to_string());
    }

    /// Notes that the value here is wrong unless `good`.
    pub fn check(
        &self,
        violations: &mut Violations,
        good: bool,
        description: impl FnOnce() -> String,
    ) {
        if !good {
            self.wrong(violations, description());
        }
    }

    /// The value, or a note that it is wrong.
    pub fn take<T, E: fmt::Display>(
        &self,
        violations: &mut Violations,
        value: Result<T, E>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(violations, error);
                None
            }
        }
    }
}

/// Whether nothing was noted since `before`, the number of violations at that time.
pub(super) fn is_clean(violations: &Violations, before: usize) -> bool {
    violations.as_slice().len() == before
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(prefix) => f.write_str(prefix),
            Step::Field(name) if self.parent.is_some_and(Path::is_empty) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            // A key is the caller's: it may be of any length.
            Step::Key(key) if key.len() > LABEL_KEY_BYTES_MAX => {
                let end = key.floor_char_boundary(LABEL_KEY_BYTES_MAX);
                write!(f, "[{:?}…]", &key[..end])
            }
            Step::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}

impl Path<'_> {
    fn is_empty(&self) -> bool {
        self.parent.is_none() && matches!(self.step, Step::Root(""))
    }
}
