//! Streams end at an age, each at its own: so the load of replicas evens out after one came late, and
//! those that were opened together, after a restart, do not come back together.
//!
//! A watch that is over ends with the status of [`aged`] and is resumed by its reader. A worker's
//! stream is told to attach anew first.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::domain::limits::STREAM_AGE_JITTER;
use crate::engine;
use crate::runtime::Clock;

use super::status::to_status;

/// When a stream has lived long enough.
#[derive(Debug, Clone, Copy)]
pub struct Ageing {
    end: Option<Instant>,
}

impl Ageing {
    /// A stream that begins now and lives about as long as `age`; zero is for ever.
    #[must_use]
    pub fn about(age: Duration) -> Self {
        if age.is_zero() {
            return Self { end: None };
        }
        let spread = rand::random_range(1.0 - STREAM_AGE_JITTER..=1.0 + STREAM_AGE_JITTER);
        Self::exactly(age.mul_f64(spread))
    }

    /// A stream that lives from now for so long.
    #[must_use]
    pub fn exactly(age: Duration) -> Self {
        Self { end: Some(Clock::monotonic() + age) }
    }

    /// Whether the stream is old at this moment.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// This moment, or the one when the stream is old if that comes first.
    #[must_use]
    pub fn at_latest(&self, moment: Instant) -> Instant {
        self.end.map_or(moment, |end| end.min(moment))
    }

    /// Waits until the stream is old. Safe to drop.
    pub async fn over(&self) {
        match self.end {
            Some(end) => tokio::time::sleep_until(end).await,
            None => std::future::pending().await,
        }
    }
}

/// What a stream ends with that is old: its reader opens it again, wherever.
#[must_use]
pub fn aged() -> Status {
    to_status(engine::Error::StreamAged)
}

#[cfg(test)]
mod tests;
