//! Who calls. Pure.
//!
//! Owns: the caller's identity. Everybody is anonymous so far; every use case of the engine takes the
//! caller, so that permissions come in at one place.

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    principal: String,
}

impl Caller {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { principal: "anonymous".to_owned() }
    }

    /// The server itself.
    #[must_use]
    pub fn server() -> Self {
        Self { principal: "jobplane".to_owned() }
    }

    /// The name that stands in `created_by`, sessions and request ids.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }
}
