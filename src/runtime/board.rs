//! What the background loops did last, for whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::Timestamp;

/// A background loop as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopStatus {
    /// Its name.
    pub name: &'static str,
    /// How often it runs if nothing makes it run earlier.
    pub period: Duration,
    /// When it ran last.
    pub last_run_time: Option<Timestamp>,
    /// What came of it: rows handled, or an error.
    pub last_result: Option<Result<u64, String>>,
    /// What it has to say of its work, for people; empty of most.
    pub said: String,
}

/// The loops by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LoopBoard(Arc<Mutex<BTreeMap<&'static str, LoopStatus>>>);

impl LoopBoard {
    /// Notes that a loop exists.
    pub fn announce(&self, name: &'static str, period: Duration) {
        let status = LoopStatus {
            name,
            period,
            last_run_time: None,
            last_result: None,
            said: String::new(),
        };
        self.0.lock().insert(name, status);
    }

    /// Notes what a run came to.
    pub fn ran(&self, name: &'static str, at: Timestamp, result: Result<u64, String>) {
        if let Some(status) = self.0.lock().get_mut(name) {
            status.last_run_time = Some(at);
            status.last_result = Some(result);
        }
    }

    /// Notes what a loop has to say of its work, for people.
    pub fn tell(&self, name: &'static str, words: String) {
        if let Some(status) = self.0.lock().get_mut(name) {
            status.said = words;
        }
    }

    /// Every loop, by name.
    #[must_use]
    pub fn all(&self) -> Vec<LoopStatus> {
        self.0.lock().values().cloned().collect()
    }
}
