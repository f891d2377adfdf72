//! A queue's settings: what an operator says of the jobs that wait in it.

use serde::{Deserialize, Serialize};

use super::limits::{CAP_MAX, REASON_BYTES_MAX, WEIGHT_MAX};
use super::rate::StartRate;
use super::validate::Violations;

/// What is said of a queue. A queue of which nothing is said has no limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// Nothing starts from it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pause_reason: String,
    /// Jobs of it that run at once; 0 = no cap.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_running: u32,
    /// Jobs that may wait in it; 0 = no cap. A create beyond it is refused.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_pending: u32,
    /// How fast they start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_rate: Option<StartRate>,
    /// Its share of the starts while other queues wait, too. 0 = its jobs stand in one line with those
    /// of all queues without a weight, each of which counts as one of weight 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A create that a full queue, or a full server, refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pending} jobs wait already, at most {max_pending} may")]
pub struct TooManyPending {
    /// How many wait.
    pub pending: u64,
    /// How many may.
    pub max_pending: u32,
}

/// Whether `more` jobs may wait beside `pending` ones; `max_pending` 0 is no cap.
///
/// # Errors
/// [`TooManyPending`] if they may not: then none of them is made.
pub fn room_to_wait(pending: u64, more: u64, max_pending: u32) -> Result<(), TooManyPending> {
    if max_pending == 0 || pending.saturating_add(more) <= u64::from(max_pending) {
        Ok(())
    } else {
        Err(TooManyPending { pending, max_pending })
    }
}

impl QueueSettings {
    /// Notes each field that is wrong, named after `prefix` (`queue.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        for (cap, name) in [(self.max_running, "max_running"), (self.max_pending, "max_pending")] {
            violations.check(cap <= CAP_MAX, &format!("{prefix}{name}"), || {
                format!("must be from 0 to {CAP_MAX}, is {cap}")
            });
        }
        violations.check(self.weight <= WEIGHT_MAX, &format!("{prefix}weight"), || {
            format!("must be from 0 to {WEIGHT_MAX}, is {}", self.weight)
        });
        let reason = self.pause_reason.len();
        violations.check(reason <= REASON_BYTES_MAX, &format!("{prefix}pause_reason"), || {
            format!("must have at most {REASON_BYTES_MAX} bytes, has {reason}")
        });
        if let Some(rate) = &self.start_rate {
            rate.validate(&format!("{prefix}start_rate."), violations);
        }
    }
}

#[cfg(test)]
mod tests {
    //! Rooms that are full.

    use super::*;

    #[test]
    fn a_full_queue_takes_none_of_too_many() {
        assert_eq!(room_to_wait(8, 2, 10), Ok(()));
        assert_eq!(room_to_wait(8, 3, 10), Err(TooManyPending { pending: 8, max_pending: 10 }));
        assert_eq!(room_to_wait(u64::MAX, 1, 0), Ok(()));
    }

    #[test]
    fn wrong_fields_are_named_at_once() {
        let settings = QueueSettings {
            max_running: CAP_MAX + 1,
            weight: WEIGHT_MAX + 1,
            pause_reason: "x".repeat(REASON_BYTES_MAX + 1),
            ..QueueSettings::default()
        };
        let mut violations = Violations::default();
        settings.validate("queue.", &mut violations);
        let fields: Vec<_> = violations.as_slice().iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["queue.max_running", "queue.weight", "queue.pause_reason"]);
    }
}
