//! A retry policy of which only some is said: the rest is as whoever stands behind it says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RetryPolicy;
use super::rule::check_delays;
use crate::domain::limits::{ATTEMPTS_MAX, RETRY_DELAY_MAX};
use crate::domain::validate::Violations;
use crate::domain::written;

/// See the fields of [`RetryPolicy`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPatch {
    /// Attempts in all, the first one included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Wait after the first failed attempt.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub initial_backoff: Option<Duration>,
    /// Growth of the wait from one attempt to the next, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_multiplier: Option<f64>,
    /// The wait grows no longer than this.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<Duration>,
    /// Spread of the wait as a fraction of it, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// Waits in order, instead of the exponential ones; past the end the last one again.
    #[serde(with = "written::spans", skip_serializing_if = "Vec::is_empty")]
    pub delays: Vec<Duration>,
}

impl RetryPatch {
    /// This over `base`.
    ///
    /// A list of delays here and a back-off there, or the other way round, are not mixed: what is said
    /// here decides which of the two it is. A list is spread only if it comes with a jitter.
    #[must_use]
    pub fn over(&self, base: &RetryPolicy) -> RetryPolicy {
        let says_backoff = self.initial_backoff.is_some()
            || self.backoff_multiplier.is_some()
            || self.max_backoff.is_some();
        let initial_backoff = self.initial_backoff.unwrap_or(base.initial_backoff);
        let (delays, jitter) = if !self.delays.is_empty() {
            (self.delays.clone(), 0.0)
        } else if says_backoff && !base.delays.is_empty() {
            (Vec::new(), RetryPolicy::default().jitter)
        } else {
            (base.delays.clone(), base.jitter)
        };
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(base.max_attempts),
            initial_backoff,
            backoff_multiplier: self.backoff_multiplier.unwrap_or(base.backoff_multiplier),
            // A first wait beyond the cap behind it is meant.
            max_backoff: self.max_backoff.unwrap_or(base.max_backoff.max(initial_backoff)),
            jitter: self.jitter.unwrap_or(jitter),
            delays,
        }
    }

    /// Notes each field that is wrong, named after `prefix` (`job_type.defaults.retry_policy.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let field = |name: &str| format!("{prefix}{name}");
        let attempts = self.max_attempts.unwrap_or(1);
        violations.check((1..=ATTEMPTS_MAX).contains(&attempts), &field("max_attempts"), || {
            format!("must be from 1 to {ATTEMPTS_MAX}, is {attempts}")
        });
        let growth = self.backoff_multiplier.unwrap_or(1.0);
        violations.check((1.0..=f64::MAX).contains(&growth), &field("backoff_multiplier"), || {
            format!("must be at least 1, is {growth}")
        });
        let jitter = self.jitter.unwrap_or(0.0);
        violations.check((0.0..=1.0).contains(&jitter), &field("jitter"), || {
            format!("must be from 0 to 1, is {jitter}")
        });
        for (span, name) in
            [(self.initial_backoff, "initial_backoff"), (self.max_backoff, "max_backoff")]
        {
            if let Some(span) = span.filter(|span| *span > RETRY_DELAY_MAX) {
                let range = Duration::ZERO..=RETRY_DELAY_MAX;
                violations.add(field(name), written::out_of_range(span, &range));
            }
        }
        if let (Some(initial), Some(max)) = (self.initial_backoff, self.max_backoff) {
            violations.check(initial <= max, &field("max_backoff"), || {
                "must not be less than initial_backoff".to_owned()
            });
        }
        check_delays(&self.delays, &field("delays"), violations);
    }
}
