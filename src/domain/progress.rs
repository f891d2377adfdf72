//! How far a job is: what a worker reports, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Time constant of the moving rate: a report this old weighs 1/e of one made now.
const RATE_TIME_CONSTANT: Duration = Duration::from_secs(10);
/// Reports closer together than this are taken as one sample of the rate.
const RATE_SAMPLE_MIN: Duration = Duration::from_millis(100);

/// A worker's report of how far it is, with the rate measured along the way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Units in all; unset while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Units done, however they went.
    pub completed: i64,
    /// Units done well.
    pub succeeded: i64,
    /// Units that failed.
    pub failed: i64,
    /// What is counted; `items` if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The worker's own percentage, only while `total` is unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// The step's number, from 1; 0 if steps are not counted.
    pub step_number: u32,
    /// Steps in all; 0 if unknown.
    pub step_count: u32,
    /// The step's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_step: String,
    /// What is going on, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Time left, if the worker knows better than the rate does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_remaining: Option<Duration>,
    /// Named figures, at most eight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<(String, f64)>,
    /// The report's number within its lease epoch: a lower one is old news.
    pub sequence: i64,
    /// The moving rate and where it was last sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// When the report arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_time: Option<Timestamp>,
}

/// An exponentially weighted moving rate over uneven intervals: a sample of age `t` weighs
/// `exp(−t / 10 s)`, as in the load averages of Unix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Units per second; zero before the first sample.
    pub per_second: f64,
    /// Where the last sample ended.
    pub sampled_completed: i64,
    /// When the last sample ended.
    pub sampled_at: Timestamp,
    /// Whether a sample was taken yet.
    pub warm: bool,
}

impl Rate {
    /// A rate that starts counting at `start` with `completed` units done.
    #[must_use]
    pub const fn starting(start: Timestamp, completed: i64) -> Self {
        Self { per_second: 0.0, sampled_completed: completed, sampled_at: start, warm: false }
    }

    /// Takes a report of `completed` at `now` into account.
    #[must_use]
    pub fn observe(mut self, completed: i64, now: Timestamp) -> Self {
        if completed < self.sampled_completed {
            // The worker started counting anew: nothing is known about its pace.
            return Self::starting(now, completed);
        }
        let span = now.since(self.sampled_at);
        if span < RATE_SAMPLE_MIN {
            return self;
        }
        #[expect(clippy::cast_precision_loss, reason = "a pace, for people")]
        let pace = (completed - self.sampled_completed) as f64 / span.as_secs_f64();
        self.per_second = if self.warm {
            let weight = 1.0 - (-span.as_secs_f64() / RATE_TIME_CONSTANT.as_secs_f64()).exp();
            self.per_second + weight * (pace - self.per_second)
        } else {
            pace
        };
        self.sampled_completed = completed;
        self.sampled_at = now;
        self.warm = true;
        self
    }
}

/// What follows from a progress at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Derived {
    /// Part done, 0 to 100; unset while it cannot be told.
    pub percent: Option<f64>,
    /// Units per second of late.
    pub rate_per_second: f64,
    /// Units per second since the attempt's start.
    pub average_rate_per_second: f64,
    /// Time since the attempt's start, up to its end.
    pub elapsed: Duration,
    /// Time left at the rate of late; unset while it cannot be told.
    pub remaining: Option<Duration>,
}

/// Longest remaining time that is told: beyond it a rate is as good as zero.
const REMAINING_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Progress {
    /// What follows for an attempt that started at `start`, seen at `now` (its end, once it ended).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shares and paces, for people")]
    pub fn derive(&self, start: Timestamp, now: Timestamp) -> Derived {
        let elapsed = now.since(start);
        let percent = match self.total {
            Some(0) => Some(100.0),
            Some(total) => Some(100.0 * self.completed as f64 / total as f64),
            None => self.percent,
        }
        .map(|percent| percent.clamp(0.0, 100.0));
        let seconds = elapsed.as_secs_f64();
        let average = if seconds > 0.0 { self.completed as f64 / seconds } else { 0.0 };
        let rate = match self.rate {
            Some(rate) if rate.warm => rate.per_second,
            _ => average,
        };
        let by_rate = || -> Option<f64> {
            match (self.total, percent) {
                (Some(total), _) if total <= self.completed => Some(0.0),
                (Some(total), _) if rate > 0.0 => Some((total - self.completed) as f64 / rate),
                (None, Some(percent)) if percent > 0.0 => {
                    Some(seconds * (100.0 - percent) / percent)
                }
                _ => None,
            }
        };
        let remaining = self.estimated_remaining.or_else(|| {
            by_rate()
                .filter(|seconds| *seconds <= REMAINING_MAX.as_secs_f64())
                .map(Duration::from_secs_f64)
        });
        Derived {
            percent,
            rate_per_second: rate,
            average_rate_per_second: average,
            elapsed,
            remaining,
        }
    }

    /// Takes over the rate measured so far from `held` and counts this report into it.
    #[must_use]
    pub fn following(mut self, held: &Self, start: Timestamp, now: Timestamp) -> Self {
        let rate = held.rate.unwrap_or(Rate::starting(start, 0));
        self.rate = Some(rate.observe(self.completed, now));
        self.report_time = Some(now);
        self
    }

    /// Whether anything was ever reported.
    #[must_use]
    pub const fn is_reported(&self) -> bool {
        self.report_time.is_some()
    }
}

/// What a job used, as its worker measured it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceUsage {
    /// Processor time of late, in percent of one core.
    pub cpu_percent: f64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Highest resident memory in bytes.
    pub peak_memory_bytes: u64,
}

#[cfg(test)]
mod tests;
