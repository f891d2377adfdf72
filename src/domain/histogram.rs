//! A mergeable histogram of durations with a bounded relative error.
//!
//! Buckets are log-linear as in HdrHistogram (Tene) and DDSketch (Masson et al., VLDB 2019): a power
//! of two split into [`SUB_BUCKETS`] equal parts. A quantile answers the middle of its bucket, so it
//! is off by at most 1 / (2 × `SUB_BUCKETS`), about 3 %.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const SUB_BITS: u32 = 4;
/// Parts a power of two is split into.
pub const SUB_BUCKETS: u64 = 1 << SUB_BITS;

/// Counts of durations by bucket; the resolution is one millisecond.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// (bucket, count), sorted by bucket.
    buckets: Vec<(u16, u64)>,
    /// Sum of all durations in microseconds.
    sum_micros: u64,
}

fn bucket_of(millis: u64) -> u16 {
    if millis < SUB_BUCKETS {
        return u16::try_from(millis).unwrap_or(u16::MAX);
    }
    let power = millis.ilog2();
    let part = (millis >> (power - SUB_BITS)) & (SUB_BUCKETS - 1);
    let index = u64::from(power - SUB_BITS + 1) * SUB_BUCKETS + part;
    u16::try_from(index).unwrap_or(u16::MAX)
}

/// The middle of a bucket in microseconds.
fn middle_micros(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < SUB_BUCKETS {
        return bucket * 1_000 + 500;
    }
    let shift = u32::try_from(bucket / SUB_BUCKETS - 1).unwrap_or(0).min(48);
    let low = (SUB_BUCKETS + bucket % SUB_BUCKETS) << shift;
    low.saturating_mul(1_000).saturating_add(500 << shift)
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, span: Duration) {
        let bucket = bucket_of(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        self.sum_micros =
            self.sum_micros.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
        match self.buckets.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (bucket, 1)),
        }
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
        for (bucket, count) in &other.buckets {
            match self.buckets.binary_search_by_key(bucket, |(at, _)| *at) {
                Ok(at) => self.buckets[at].1 += count,
                Err(at) => self.buckets.insert(at, (*bucket, *count)),
            }
        }
    }

    /// What is left without what `other` counted, which is a part of this.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        rest.sum_micros = rest.sum_micros.saturating_sub(other.sum_micros);
        for (bucket, count) in &mut rest.buckets {
            if let Ok(at) = other.buckets.binary_search_by_key(bucket, |(at, _)| *at) {
                *count = count.saturating_sub(other.buckets[at].1);
            }
        }
        rest.buckets.retain(|(_, count)| *count > 0);
        rest
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Their sum, exact.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// Their mean, exact.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        match self.count() {
            0 => None,
            count => Some(Duration::from_micros(self.sum_micros / count)),
        }
    }

    /// The duration below which a fraction `quantile` (0 to 1) of them lies, within about 3 %.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        quantile_of(&self.buckets, quantile)
    }

    /// Of the durations longer than `span`: how many there are, and their median.
    #[must_use]
    pub fn beyond(&self, span: Duration) -> Option<(u64, Duration)> {
        let bucket = bucket_of(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let longer = &self.buckets[self.buckets.partition_point(|(at, _)| *at <= bucket)..];
        let count = longer.iter().map(|(_, count)| count).sum();
        quantile_of(longer, 0.5).map(|median| (count, median))
    }
}

fn quantile_of(buckets: &[(u16, u64)], quantile: f64) -> Option<Duration> {
    let count: u64 = buckets.iter().map(|(_, count)| count).sum();
    if count == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank within a count; a count beyond 2^53 is out of reach"
    )]
    let rank = ((quantile.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, count) in buckets {
        seen += count;
        if seen >= rank {
            return Some(Duration::from_micros(middle_micros(*bucket)));
        }
    }
    None
}

#[cfg(test)]
mod tests;
