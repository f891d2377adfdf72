//! Start rates: a bucket of tokens that fills steadily. All state is data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limits::{RATE_COUNT_MAX, RATE_PERIOD_MAX, RATE_PERIOD_MIN};
use super::time::Timestamp;
use super::validate::Violations;
use super::written;

mod text;

pub use text::NoRate;

/// How many may start in how long. Read from its fields, or from a [word](StartRate::word).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StartRate {
    /// Starts in a period; they come evenly.
    pub count: u32,
    /// The period.
    #[serde(with = "written::span")]
    pub period: Duration,
    /// Starts at once after a quiet time; 0 = as many as in a period.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub burst: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_unset(burst: &u32) -> bool {
    *burst == 0
}

impl StartRate {
    /// Notes each field that is wrong, named after `prefix` (`queue.start_rate.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let counted = (1..=RATE_COUNT_MAX).contains(&self.count);
        violations.check(counted, &format!("{prefix}count"), || {
            format!("must be from 1 to {RATE_COUNT_MAX}, is {}", self.count)
        });
        let spans = RATE_PERIOD_MIN..=RATE_PERIOD_MAX;
        violations.check(spans.contains(&self.period), &format!("{prefix}period"), || {
            written::out_of_range(self.period, &spans)
        });
        violations.check(self.burst <= RATE_COUNT_MAX, &format!("{prefix}burst"), || {
            format!("must be from 0 to {RATE_COUNT_MAX}, is {}", self.burst)
        });
    }

    fn capacity(&self) -> f64 {
        f64::from(if self.burst == 0 { self.count } else { self.burst })
    }

    /// Tokens that come in a second.
    fn per_second(&self) -> f64 {
        f64::from(self.count) / self.period.as_secs_f64()
    }
}

/// What is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Tokens at `time`.
    pub tokens: f64,
    /// When that was so.
    pub time: Timestamp,
}

/// What half a rounding error of a sum of tokens may come to.
const ROUNDING: f64 = 1e-6;

impl Bucket {
    /// A bucket that nobody has taken from yet.
    #[must_use]
    pub fn full(rate: &StartRate, now: Timestamp) -> Self {
        Self { tokens: rate.capacity(), time: now }
    }

    /// What is in it at `now`: never more than it holds, whatever the rate was before.
    #[must_use]
    pub fn filled(self, rate: &StartRate, now: Timestamp) -> Self {
        let come = now.since(self.time).as_secs_f64() * rate.per_second();
        Self { tokens: (self.tokens + come).min(rate.capacity()), time: self.time.max(now) }
    }

    /// Takes up to `wanted` whole tokens: how many, and what is left.
    #[must_use]
    pub fn take(self, rate: &StartRate, wanted: u32, now: Timestamp) -> (u32, Self) {
        let filled = self.filled(rate, now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to a bucket's capacity, which is a u32"
        )]
        let whole = (filled.tokens + ROUNDING).max(0.0) as u32;
        let taken = whole.min(wanted);
        (taken, Self { tokens: (filled.tokens - f64::from(taken)).max(0.0), ..filled })
    }

    /// When the next token is there.
    #[must_use]
    pub fn next_time(self, rate: &StartRate, now: Timestamp) -> Timestamp {
        let missing = 1.0 - self.filled(rate, now).tokens;
        if missing <= ROUNDING {
            return now;
        }
        let wait = missing / rate.per_second();
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(RATE_PERIOD_MAX);
        // To the next microsecond: then it is there and not about to be.
        now.plus(wait + Duration::from_micros(1))
    }
}

#[cfg(test)]
mod tests;
