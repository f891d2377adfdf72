//! When a failed attempt runs again, and what is different then.

mod patch;
mod rule;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{
    ATTEMPTS_DEFAULT, BACKOFF_INITIAL_DEFAULT, BACKOFF_JITTER_DEFAULT, BACKOFF_MAX_DEFAULT,
    BACKOFF_MULTIPLIER_DEFAULT, RETRY_DELAY_MAX,
};

pub use patch::RetryPatch;
pub use rule::{Change, RetryRule};

/// How often a job is tried, and how long it waits in between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included.
    #[serde(rename = "n")]
    pub max_attempts: u32,
    /// Wait after the first failed attempt.
    #[serde(rename = "i")]
    pub initial_backoff: Duration,
    /// Growth of the wait from one attempt to the next, at least 1.
    #[serde(rename = "x")]
    pub backoff_multiplier: f64,
    /// The wait grows no longer than this.
    #[serde(rename = "m")]
    pub max_backoff: Duration,
    /// Spread of the wait as a fraction of it, 0 to 1.
    #[serde(rename = "j")]
    pub jitter: f64,
    /// Waits in order, instead of the exponential ones; past the end the last one again.
    #[serde(rename = "d", skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: ATTEMPTS_DEFAULT,
            initial_backoff: BACKOFF_INITIAL_DEFAULT,
            backoff_multiplier: BACKOFF_MULTIPLIER_DEFAULT,
            max_backoff: BACKOFF_MAX_DEFAULT,
            jitter: BACKOFF_JITTER_DEFAULT,
            delays: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// The wait after the failed attempt number `attempt` (from 1).
    ///
    /// The wait is `initial_backoff × backoff_multiplier^(attempt − 1)`, at most `max_backoff`, or
    /// the delay of that place in `delays`; then spread by `chance` (−1 to 1) times `jitter`.
    /// A delay list is spread only if the policy was given a jitter of its own with it.
    #[must_use]
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let place = attempt.max(1) - 1;
        let base = if let Some(last) = self.delays.last() {
            let listed = usize::try_from(place).ok().and_then(|at| self.delays.get(at));
            listed.unwrap_or(last).as_secs_f64()
        } else {
            // No wait stays none, however often an infinite growth is applied to it.
            let first = self.initial_backoff.as_secs_f64();
            let grown = self.backoff_multiplier.powf(f64::from(place)) * first;
            if first > 0.0 { grown.min(self.max_backoff.as_secs_f64()) } else { 0.0 }
        };
        let spread = base * (1.0 + self.jitter * chance.clamp(-1.0, 1.0));
        // Figures that are no numbers must not stop the writer: the wait goes without a spread.
        let wait = if spread.is_finite() { spread } else { base };
        Duration::from_secs_f64(wait.clamp(0.0, RETRY_DELAY_MAX.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests;
