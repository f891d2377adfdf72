//! Trouble that comes in floods and is told of now and then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::domain::limits::{LOG_AGAIN_AFTER, UNREADABLE_AGAIN_AFTER, UNREADABLE_NAMES_MAX};

use super::Clock;

/// Says when the next line of a kind may be logged.
#[derive(Debug, Default)]
pub struct Rarely {
    last: Mutex<Option<Instant>>,
    untold: AtomicU64,
}

impl Rarely {
    /// Nothing was told yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: Mutex::new(None), untold: AtomicU64::new(0) }
    }

    /// How many there were since the last line, this one included, if it is time for another.
    pub fn tell(&self) -> Option<u64> {
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

/// Says when something by name that cannot be read may be told of again: whoever needs it stumbles over it at every
/// turn.
#[derive(Debug, Default)]
pub struct Unreadable(Mutex<BTreeMap<String, Instant>>);

impl Unreadable {
    /// Nothing was told yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Whether it is time to tell of this one.
    pub fn is_news(&self, name: &str) -> bool {
        let now = Clock::monotonic();
        let is_old = |at: Instant| now.duration_since(at) >= UNREADABLE_AGAIN_AFTER;
        let mut told = self.0.lock();
        if let Some(at) = told.get_mut(name) {
            let is_old = is_old(*at);
            if is_old {
                *at = now;
            }
            return is_old;
        }
        if told.len() >= UNREADABLE_NAMES_MAX {
            told.retain(|_, at| !is_old(*at));
        }
        let has_room = told.len() < UNREADABLE_NAMES_MAX;
        if has_room {
            told.insert(name.to_owned(), now);
        }
        has_room
    }
}

#[cfg(test)]
mod tests;
