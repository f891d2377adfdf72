//! Settings of what is told: events and the audit.

use std::time::Duration;

use super::Invalid;
use super::transport::span;
use crate::domain::event::Wanted;
use crate::domain::limits::{
    AUDIT_RETENTION_DEFAULT, EVENT_RETENTION_DEFAULT, QUEUE_AGE_DEFAULT, QUEUE_AGE_MAX,
    QUEUE_AGE_MIN, RETENTION_MAX, RETENTION_MIN,
};

/// What is told, and how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Which events are written that are not worth a row unless somebody asks for them.
    pub wanted: Wanted,
    /// How long the oldest ready job of a queue may have waited; zero if nobody wants to know.
    pub queue_age: Duration,
    /// How long events are kept.
    pub events_kept: Duration,
    /// How long the audit is kept.
    pub audit_kept: Duration,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            wanted: Wanted::default(),
            queue_age: QUEUE_AGE_DEFAULT,
            events_kept: EVENT_RETENTION_DEFAULT,
            audit_kept: AUDIT_RETENTION_DEFAULT,
        }
    }
}

impl Telling {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        if !self.queue_age.is_zero() {
            span("queue-age", self.queue_age, QUEUE_AGE_MIN, QUEUE_AGE_MAX)?;
        }
        span("event-retention", self.events_kept, RETENTION_MIN, RETENTION_MAX)?;
        span("audit-retention", self.audit_kept, RETENTION_MIN, RETENTION_MAX)
    }
}

#[cfg(test)]
mod tests;
