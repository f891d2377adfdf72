//! How the store does, as those who write to it see it.

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::runtime::Clock;

/// When the store last gave trouble. Whoever meets it says so: a commit or a ping that failed, one that
/// took long, a queue that is full. What workers said meanwhile may not be written, so nothing is to be
/// concluded from their silence.
pub struct Health {
    start: Instant,
    last_trouble: Mutex<Option<Instant>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { start: Clock::monotonic(), last_trouble: Mutex::new(None) }
    }
}

impl Health {
    /// Notes that the store gives trouble now.
    pub fn trouble(&self) {
        *self.last_trouble.lock() = Some(Clock::monotonic());
    }

    /// When there was trouble last; `None` if there was none since the start of the server.
    #[must_use]
    pub fn last_trouble(&self) -> Option<Instant> {
        *self.last_trouble.lock()
    }

    /// Since when there was no trouble: the end of the last one, or the start of the server.
    #[must_use]
    pub fn ok_since(&self) -> Instant {
        self.last_trouble().unwrap_or(self.start)
    }
}
