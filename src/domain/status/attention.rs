//! What the watchdogs have noted of a running attempt, so that it is looked at in time and told of once.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// What the watchdogs have noted of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attention {
    /// When to look whether it is stuck by its own `stuck_after`: no sooner can it be. Unset if it has
    /// none, or if somebody was told already and it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_time: Option<Timestamp>,
    /// When somebody was told that it is stuck and runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_time: Option<Timestamp>,
    /// When somebody was told that it takes unusually long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_time: Option<Timestamp>,
}

impl Attention {
    /// Whether there is nothing to note.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.look_time.is_none() && self.stuck_time.is_none() && self.slow_time.is_none()
    }
}
