//! How the store does, as those who write to it see it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::runtime::Clock;

/// When the store last gave trouble. Whoever meets it says so: a commit or a ping that failed, one that
/// took long, a queue that is full. What workers said meanwhile may not be written, so nothing is to be
/// concluded from their silence.
pub struct Health {
    start: Instant,
    last_trouble: Mutex<Option<Instant>>,
    /// When it was last known to work.
    works: Mutex<Instant>,
}

impl Default for Health {
    fn default() -> Self {
        let start = Clock::monotonic();
        Self { start, last_trouble: Mutex::new(None), works: Mutex::new(start) }
    }
}

impl Health {
    /// Notes that the store gives trouble now.
    pub fn trouble(&self) {
        *self.last_trouble.lock() = Some(Clock::monotonic());
    }

    /// Notes that the store works.
    pub fn works(&self) {
        *self.works.lock() = Clock::monotonic();
    }

    /// How long nothing is known to have worked; `None` if there was no trouble since.
    #[must_use]
    pub fn lost_for(&self) -> Option<Duration> {
        let works = *self.works.lock();
        let is_lost = self.last_trouble().is_some_and(|trouble| trouble > works);
        is_lost.then(|| Clock::monotonic().duration_since(works))
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
