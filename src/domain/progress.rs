//! How far a job is: what a worker reports, and what follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use super::written::is_default;

/// Time constant of the moving rate: a report this old weighs 1/e of one made now.
const RATE_TIME_CONSTANT: Duration = Duration::from_secs(10);
/// Reports closer together than this are taken as one sample of the rate.
const RATE_SAMPLE_MIN: Duration = Duration::from_millis(100);
/// No remaining time follows from a younger attempt: its pace is an accident of the first report.
const REMAINING_ELAPSED_MIN: Duration = Duration::from_secs(1);
/// No remaining time is told after a longer silence, not even the worker's own.
const REMAINING_SILENCE_MAX: Duration = Duration::from_secs(30);

/// A worker's report of how far it is, with the rate measured along the way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Units in all; unset while unknown.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Units done, however they went.
    #[serde(rename = "c", skip_serializing_if = "is_default")]
    pub completed: i64,
    /// Units done well.
    #[serde(rename = "s", skip_serializing_if = "is_default")]
    pub succeeded: i64,
    /// Units that failed.
    #[serde(rename = "f", skip_serializing_if = "is_default")]
    pub failed: i64,
    /// What is counted; `items` if empty.
    #[serde(rename = "u", skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The worker's own percentage, only while `total` is unset.
    #[serde(rename = "pc", skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// The step's number, from 1; 0 if steps are not counted.
    #[serde(rename = "sn", skip_serializing_if = "is_default")]
    pub step_number: u32,
    /// Steps in all; 0 if unknown.
    #[serde(rename = "sc", skip_serializing_if = "is_default")]
    pub step_count: u32,
    /// The step's name.
    #[serde(rename = "cs", skip_serializing_if = "String::is_empty")]
    pub current_step: String,
    /// What is going on, for people.
    #[serde(rename = "m", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Time left, if the worker knows better than the rate does.
    #[serde(rename = "er", skip_serializing_if = "Option::is_none")]
    pub estimated_remaining: Option<Duration>,
    /// Named figures, at most eight.
    #[serde(rename = "k", skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<(String, f64)>,
    /// The report's number within its lease epoch: a lower one is old news.
    #[serde(rename = "q", skip_serializing_if = "is_default")]
    pub sequence: i64,
    /// Units that an earlier execution had done, as the first report of this one tells: they say nothing of its
    /// pace. Before that report: how far the execution before came.
    #[serde(rename = "b", skip_serializing_if = "is_default")]
    pub base: i64,
    /// The moving rate and where it was last sampled.
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// When the report arrived.
    #[serde(rename = "rt", skip_serializing_if = "Option::is_none")]
    pub report_time: Option<Timestamp>,
    /// When something last happened, not only was said: `completed`, `current_step` or `message`
    /// changed, or a line was logged. Unset while nothing was ever reported.
    #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
    pub activity_time: Option<Timestamp>,
}

/// An exponentially weighted moving rate over uneven intervals: a moment of age `t` weighs
/// `exp(−t / 10 s)`. The weights are summed beside the paces, and what is told is the quotient, so
/// that the first samples weigh no more than their length: the bias correction of Adam (Kingma and
/// Ba, 2015), here for spans of any length. A steady pace is told as it is from the first sample on.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// The sum of the paces, in units per second, each times its weight.
    #[serde(rename = "w")]
    pub weighted: f64,
    /// The sum of the weights, below 1; zero before the first sample.
    #[serde(rename = "g")]
    pub weight: f64,
    /// Where the last sample ended.
    #[serde(rename = "c")]
    pub sampled_completed: i64,
    /// When the last sample ended.
    #[serde(rename = "a")]
    pub sampled_at: Timestamp,
}

impl Rate {
    /// A rate that starts counting at `start` with `completed` units done.
    #[must_use]
    pub const fn starting(start: Timestamp, completed: i64) -> Self {
        Self { weighted: 0.0, weight: 0.0, sampled_completed: completed, sampled_at: start }
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
        let kept = decay(span);
        self.weighted = kept * self.weighted + (1.0 - kept) * pace;
        self.weight = kept * self.weight + (1.0 - kept);
        self.sampled_completed = completed;
        self.sampled_at = now;
        self
    }

    /// Units per second; unset before the first sample.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.weighted / self.weight)
    }
}

/// What is left of a weight after `span`.
fn decay(span: Duration) -> f64 {
    (-span.as_secs_f64() / RATE_TIME_CONSTANT.as_secs_f64()).exp()
}

/// What follows from a progress at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Derived {
    /// Part done, 0 to 100; unset while it cannot be told.
    pub percent: Option<f64>,
    /// Units per second of late; falls while nothing is reported.
    pub rate_per_second: f64,
    /// Units per second since the attempt's start.
    pub average_rate_per_second: f64,
    /// Time since the attempt's start, up to its end.
    pub elapsed: Duration,
    /// Time left by the worker's estimate, else at the rate of late; unset while it cannot be told.
    pub remaining: Option<Duration>,
}

/// Longest remaining time that is told: beyond it a rate is as good as zero.
const REMAINING_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Progress {
    /// What follows for an attempt that started at `start`, seen at `now` (its end, once it ended).
    ///
    /// Silence, the time since the newest report, counts as no progress once it is longer than the
    /// rate's time constant: from then on the rate falls by `exp(−t / 10 s)`.
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
        let done = (self.completed - self.base).max(0) as f64;
        let average = if seconds > 0.0 { done / seconds } else { 0.0 };
        let rate = self.rate.and_then(|rate| rate.per_second()).unwrap_or(average)
            * decay(self.silence(now).saturating_sub(RATE_TIME_CONSTANT));
        Derived {
            percent,
            rate_per_second: rate,
            average_rate_per_second: average,
            elapsed,
            remaining: self.remaining(rate, percent, elapsed, now),
        }
    }

    /// Time since the newest report; none before the first.
    fn silence(&self, now: Timestamp) -> Duration {
        self.report_time.map_or(Duration::ZERO, |reported| now.since(reported))
    }

    /// Time left: the worker's estimate less the silence since, else by the pace. After a long silence
    /// neither is worth telling; that nothing is left when all is counted, still is.
    #[expect(clippy::cast_precision_loss, reason = "an estimate, for people")]
    fn remaining(
        &self,
        rate: f64,
        percent: Option<f64>,
        elapsed: Duration,
        now: Timestamp,
    ) -> Option<Duration> {
        let silence = self.silence(now);
        let heard = silence <= REMAINING_SILENCE_MAX;
        if let Some(estimate) = self.estimated_remaining.filter(|_| heard) {
            return Some(estimate.saturating_sub(silence));
        }
        let known = heard && elapsed >= REMAINING_ELAPSED_MIN;
        let seconds = match (self.total, percent) {
            (Some(total), _) if total <= self.completed => 0.0,
            (Some(total), _) if known && rate > 0.0 => (total - self.completed) as f64 / rate,
            (None, Some(percent)) if known && percent > 0.0 => {
                elapsed.as_secs_f64() * (100.0 - percent) / percent
            }
            _ => return None,
        };
        (seconds <= REMAINING_MAX.as_secs_f64()).then(|| Duration::from_secs_f64(seconds))
    }

    /// What the next execution begins with: no report, and how far this one came.
    #[must_use]
    pub fn of_next(&self) -> Self {
        let base = if self.is_reported() { self.completed } else { self.base };
        Self { base, ..Self::default() }
    }

    /// What a report of `completed` that follows this one has of an earlier execution: the first one tells whether
    /// the work goes on from there, or begins anew.
    #[must_use]
    pub const fn base_of(&self, completed: i64) -> i64 {
        if self.is_reported() {
            self.base
        } else if self.base > 0 && completed >= self.base {
            completed
        } else {
            0
        }
    }

    /// Takes over the rate measured so far from `held` and counts this report into it.
    pub fn follow(&mut self, held: &Self, (start, now): (Timestamp, Timestamp)) {
        self.base = held.base_of(self.completed);
        let unknown =
            if self.base > 0 { Rate::starting(now, self.base) } else { Rate::starting(start, 0) };
        self.rate = Some(held.rate.unwrap_or(unknown).observe(self.completed, now));
        self.report_time = Some(now);
        let is_same = held.is_reported()
            && self.completed == held.completed
            && self.current_step == held.current_step
            && self.message == held.message;
        self.activity_time = if is_same { held.activity_time } else { Some(now) };
    }

    /// The same progress with a sign of life at `now` that is no report: a line in the log.
    #[must_use]
    pub fn active_at(mut self, now: Timestamp) -> Self {
        self.activity_time = self.activity_time.max(Some(now));
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
