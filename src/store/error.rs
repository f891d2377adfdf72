//! Why the store could not do as it was told.

use std::sync::Arc;

/// Why the store could not do as it was told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not reachable, busy, or failing for now: nothing was written.
    #[error("the store is not available")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The commit may have happened or not: look for the batch before repeating it.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store said no to this batch and would again: a smaller one may pass.
    #[error("the store rejected the statement")]
    Rejected(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// What was read cannot be understood.
    #[error("the store holds something unreadable in {what}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
        /// Why it cannot be understood.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The error's kind, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Rejected(_) => "rejected",
            Self::Corrupt { .. } => "corrupt",
        }
    }
}

/// What the store answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;
