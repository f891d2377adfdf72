//! What a job may use, held against what its worker says it uses.
//!
//! Only samples are known: between two that are over the limit it is taken to have been over it. So a
//! job is over for good when two samples say so that lie the sustain time apart, with none in between
//! that says otherwise. The state belongs to one lease: a new execution begins with a new one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::ResourceLimits;
use super::limits::{
    CANCEL_GRACE_DEFAULT, CANCEL_GRACE_MAX, USAGE_SUSTAIN_DEFAULT, USAGE_SUSTAIN_MAX,
};
use super::machine::Command;
use super::progress::ResourceUsage;
use super::status::CancelCause;
use super::time::Timestamp;
use super::validate::Violations;
use super::written;

/// How limits are enforced, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsagePolicy {
    /// How long a job may be over a limit; zero = not for one sample.
    pub sustain: Duration,
    /// Time it has to stop.
    pub grace: Duration,
}

impl Default for UsagePolicy {
    fn default() -> Self {
        Self { sustain: USAGE_SUSTAIN_DEFAULT, grace: CANCEL_GRACE_DEFAULT }
    }
}

impl UsagePolicy {
    /// Notes each field that is wrong, named after `prefix` (`usage.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let spans =
            [("sustain", self.sustain, USAGE_SUSTAIN_MAX), ("grace", self.grace, CANCEL_GRACE_MAX)];
        for (name, span, most) in spans {
            violations.check(span <= most, &format!("{prefix}{name}"), || {
                written::out_of_range(span, &(Duration::ZERO..=most))
            });
        }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Resident memory, in bytes.
    Memory,
    /// Processor time, in percent of one core.
    Cpu,
}

/// Since when each limit has been exceeded, as far as samples tell. It is written down with the usage, for the
/// next sample may come to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageWatch {
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    memory_over_since: Option<Timestamp>,
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    cpu_over_since: Option<Timestamp>,
    /// When the newest sample came.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    sample_time: Option<Timestamp>,
}

/// What a job uses, as it is known in one place.
pub type KnownUsage = (Option<ResourceUsage>, UsageWatch);

/// The later of what is known in two places, `ours` if neither is; the peak is the greater one, whoever saw it.
#[must_use]
pub fn later(ours: KnownUsage, theirs: KnownUsage) -> KnownUsage {
    let (newer, older) =
        if theirs.1.sample_time > ours.1.sample_time { (theirs, ours) } else { (ours, theirs) };
    let peak = |known: KnownUsage| known.0.map_or(0, |usage| usage.peak_memory_bytes);
    let peak_memory_bytes = peak(newer).max(peak(older));
    let usage = newer.0.or(older.0).map(|usage| ResourceUsage { peak_memory_bytes, ..usage });
    (usage, newer.1)
}

/// A limit that was exceeded for too long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Over {
    /// Which.
    pub what: Resource,
    /// The newest sample, in its unit.
    pub used: f64,
    /// What was allowed, in the same unit.
    pub limit: f64,
    /// The first sample that was over it.
    pub since: Timestamp,
    /// From then to the newest one.
    pub span: Duration,
}

impl UsageWatch {
    /// When the newest sample came.
    #[must_use]
    pub const fn sample_time(&self) -> Option<Timestamp> {
        self.sample_time
    }

    /// Takes a sample into account. Answers the limit that has been exceeded for the sustain time;
    /// memory before processor time.
    pub fn sample(
        &mut self,
        policy: &UsagePolicy,
        limits: &ResourceLimits,
        usage: &ResourceUsage,
        now: Timestamp,
    ) -> Option<Over> {
        self.sample_time = self.sample_time.max(Some(now));
        #[expect(clippy::cast_precision_loss, reason = "a size, exact up to 8 PiB")]
        let sizes = [usage.memory_bytes as f64, limits.memory_bytes as f64];
        let [bytes, bytes_limit] = sizes;
        let memory = look(&mut self.memory_over_since, bytes, bytes_limit, now);
        let cpu = look(&mut self.cpu_over_since, usage.cpu_percent, limits.cpu_percent, now);
        let memory = memory.map(|since| (Resource::Memory, bytes, bytes_limit, since));
        let cpu = cpu.map(|since| (Resource::Cpu, usage.cpu_percent, limits.cpu_percent, since));
        let over = [memory, cpu].into_iter().flatten().map(|(what, used, limit, since)| Over {
            what,
            used,
            limit,
            since,
            span: now.since(since),
        });
        over.into_iter().find(|over| over.span >= policy.sustain)
    }
}

/// Since when samples are over the limit. No limit is exceeded by what is no number, or if it is zero.
fn look(
    over_since: &mut Option<Timestamp>,
    used: f64,
    limit: f64,
    now: Timestamp,
) -> Option<Timestamp> {
    let is_over = limit > 0.0 && used > limit;
    *over_since = if is_over { over_since.or(Some(now)) } else { None };
    *over_since
}

impl Over {
    /// For people.
    #[must_use]
    pub fn reason(&self) -> String {
        let seconds = self.span.as_secs();
        match self.what {
            Resource::Memory => format!(
                "used {} of memory, more than its limit of {}, for {seconds} s",
                mebibytes(self.used),
                mebibytes(self.limit),
            ),
            Resource::Cpu => format!(
                "used {:.0} % of a core, more than its limit of {:.0} %, for {seconds} s",
                self.used, self.limit,
            ),
        }
    }

    /// The command that ends it: it is asked to stop, and fails with RESOURCE_LIMIT.
    #[must_use]
    pub fn command(&self, policy: &UsagePolicy, lease_epoch: i64) -> Command {
        Command::RequestStop {
            lease_epoch,
            cause: CancelCause::ResourceLimit,
            reason: self.reason(),
            grace: policy.grace,
        }
    }
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1024 * 1024))
}

#[cfg(test)]
mod tests;
