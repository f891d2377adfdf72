//! Trouble that comes in floods and is told of now and then.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::limits::LOG_AGAIN_AFTER;
use crate::runtime::Clock;

/// Says when the next line of a kind may be logged.
#[derive(Debug)]
pub(super) struct Rarely {
    last: Mutex<Option<Instant>>,
    untold: AtomicU64,
}

impl Rarely {
    /// Nothing was told yet.
    pub(super) const fn new() -> Self {
        Self { last: Mutex::new(None), untold: AtomicU64::new(0) }
    }

    /// How many there were since the last line, this one included, if it is time for another.
    pub(super) fn tell(&self) -> Option<u64> {
        let untold = self.untold.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Clock::monotonic();
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.duration_since(last) < LOG_AGAIN_AFTER) {
            return None;
        }
        *last = Some(now);
        self.untold.fetch_sub(untold, Ordering::Relaxed);
        Some(untold)
    }
}
