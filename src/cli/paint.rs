//! Modest colour: a job's state, a worker's, a line's level. Meaning never hangs on it alone.

use crate::proto::v1::{JobState, LogLevel, WorkerState};

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Good.
    Green,
    /// Bad.
    Red,
    /// Worth a look.
    Yellow,
    /// In the works.
    Cyan,
    /// Of little weight.
    Dim,
}

impl Paint {
    /// The text in this colour.
    #[must_use]
    pub fn on(self, text: &str) -> String {
        let code = match self {
            Self::Green => 32,
            Self::Red => 31,
            Self::Yellow => 33,
            Self::Cyan => 36,
            Self::Dim => 2,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The colour of a job's state.
    #[must_use]
    pub fn of_state(state: JobState) -> Option<Self> {
        match state {
            JobState::Unspecified | JobState::Pending => None,
            JobState::Running => Some(Self::Cyan),
            JobState::Succeeded => Some(Self::Green),
            JobState::Failed => Some(Self::Red),
            JobState::Cancelled => Some(Self::Yellow),
            JobState::Skipped => Some(Self::Dim),
        }
    }

    /// The colour of a worker's state.
    #[must_use]
    pub fn of_worker(state: WorkerState) -> Option<Self> {
        match state {
            WorkerState::Unspecified => None,
            WorkerState::Online => Some(Self::Green),
            WorkerState::Draining => Some(Self::Yellow),
            WorkerState::Lost => Some(Self::Red),
        }
    }

    /// The colour of a log line.
    #[must_use]
    pub fn of_level(level: LogLevel) -> Option<Self> {
        match level {
            LogLevel::Unspecified | LogLevel::Info => None,
            LogLevel::Debug => Some(Self::Dim),
            LogLevel::Warning => Some(Self::Yellow),
            LogLevel::Error => Some(Self::Red),
        }
    }
}

/// The text in the colour, if there is one and it is `welcome`.
#[must_use]
pub fn painted(text: &str, paint: Option<Paint>, welcome: bool) -> String {
    match paint {
        Some(paint) if welcome => paint.on(text),
        _ => text.to_owned(),
    }
}
