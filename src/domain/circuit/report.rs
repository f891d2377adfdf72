//! What a job's change says to the breaker of its type.

use super::CircuitReport;
use crate::domain::status::{JobStatus, Outcome, StateKind};

impl CircuitReport {
    /// What became of a run by this change; nothing if none ended by it. What fails without having
    /// started, because it expired, is no run.
    #[must_use]
    pub fn of(before: &JobStatus, after: &JobStatus) -> Option<Self> {
        if before.kind() != StateKind::Running {
            return None;
        }
        match after.kind() {
            StateKind::Running => None,
            StateKind::Succeeded => Some(Self::Succeeded),
            StateKind::Failed => Some(Self::Failed),
            StateKind::Cancelled | StateKind::Skipped => Some(Self::Other),
            StateKind::Pending => {
                let end = after.execution.as_ref().and_then(|execution| execution.end);
                Some(match end.map(|(_, outcome)| outcome) {
                    Some(Outcome::Failed | Outcome::LeaseLost | Outcome::TimedOut) => {
                        Self::AttemptFailed
                    }
                    Some(Outcome::Succeeded | Outcome::Cancelled | Outcome::Released) | None => {
                        Self::Other
                    }
                })
            }
        }
    }
}
