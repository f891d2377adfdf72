//! A wish that a running job stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Why a running job was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CancelCause {
    /// Somebody asked.
    Caller,
    /// Its attempt ran for too long.
    Timeout,
    /// It showed no activity.
    Stuck,
    /// It used more than it may.
    ResourceLimit,
    /// A newer run takes its place.
    Overlap,
}

impl CancelCause {
    /// Whether the job ends CANCELLED; otherwise its attempt fails with [`CancelCause::as_str`].
    #[must_use]
    pub const fn ends_cancelled(self) -> bool {
        match self {
            Self::Caller | Self::Overlap => true,
            Self::Timeout | Self::Stuck | Self::ResourceLimit => false,
        }
    }

    /// The name, which is the error code of an attempt that fails for this cause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "CALLER",
            Self::Timeout => "TIMEOUT",
            Self::Stuck => "STUCK",
            Self::ResourceLimit => "RESOURCE_LIMIT",
            Self::Overlap => "OVERLAP",
        }
    }
}

/// A wish that a running job stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Why.
    #[serde(rename = "c")]
    pub cause: CancelCause,
    /// Since when.
    #[serde(rename = "t")]
    pub time: Timestamp,
    /// In the asker's words.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who asked; empty for the server itself.
    #[serde(rename = "b", default, skip_serializing_if = "String::is_empty")]
    pub requested_by: String,
    /// Time to stop, from `time` on.
    #[serde(rename = "g")]
    pub grace: Duration,
}

impl CancelRequest {
    /// When the server ends the job itself.
    #[must_use]
    pub fn end_time(&self) -> Timestamp {
        self.time.plus(self.grace)
    }
}
