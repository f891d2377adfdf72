//! Figures of one owner or one label: fewer than those of types and queues, and only if asked for.
//!
//! Owners and labels are free texts, so as a part of the main key they would cost a row with histograms
//! for each job (docs/adr/0010). Here each value has a small tally for each [`slot`], without them.

use std::sync::Arc;
use std::time::Duration;

use super::Tally;
use crate::domain::Timestamp;
use crate::domain::job::JobSpec;
use crate::domain::limits::{LABEL_KEY_BYTES_MAX, STAT_LABELS_MAX, STAT_SLOT_MINUTES};
use crate::domain::validate::Violations;

/// What figures are kept by besides types and queues, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FacetPolicy {
    /// Whether by owner.
    pub by_owner: bool,
    /// By these labels.
    pub by_labels: Vec<String>,
}

/// One owner, or one value of one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// The jobs for an owner.
    Owner(String),
    /// The jobs with a label.
    Label {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// What happened within one slot to the jobs of a facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FacetTally {
    /// Jobs made.
    pub created: u64,
    /// Jobs done.
    pub succeeded: u64,
    /// Jobs failed for good.
    pub failed: u64,
    /// Jobs cancelled.
    pub cancelled: u64,
    /// Jobs skipped.
    pub skipped: u64,
    /// Executions handed out.
    pub started: u64,
    /// What these waited in all.
    pub waited: Duration,
    /// Attempts ended that were not released.
    pub ended: u64,
    /// What these ran in all.
    pub ran: Duration,
}

impl FacetPolicy {
    /// Notes each field that is wrong, named after `prefix` (`stats.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let count = self.by_labels.len();
        violations.check(count <= STAT_LABELS_MAX, &format!("{prefix}by_labels"), || {
            format!("must name at most {STAT_LABELS_MAX} labels, names {count}")
        });
        for (index, key) in self.by_labels.iter().enumerate() {
            let good = !key.is_empty() && key.len() <= LABEL_KEY_BYTES_MAX;
            violations.check(good, &format!("{prefix}by_labels[{index}]"), || {
                format!("must have from 1 to {LABEL_KEY_BYTES_MAX} bytes")
            });
        }
    }

    /// Whether it keeps any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.by_owner && self.by_labels.is_empty()
    }

    /// The same, to be shared; none if it keeps nothing.
    #[must_use]
    pub fn kept(&self) -> Option<Arc<Self>> {
        (!self.is_empty()).then(|| Arc::new(self.clone()))
    }

    /// Whether figures of `facet` are kept.
    #[must_use]
    pub fn keeps(&self, facet: &Facet) -> bool {
        match facet {
            Facet::Owner(_) => self.by_owner,
            Facet::Label { key, .. } => self.by_labels.contains(key),
        }
    }

    /// The facets a job counts in.
    #[must_use]
    pub fn facets(&self, spec: &JobSpec) -> Vec<Facet> {
        let owner =
            (self.by_owner && !spec.owner.is_empty()).then(|| Facet::Owner(spec.owner.clone()));
        let labels = self.by_labels.iter().filter_map(|key| {
            let value = spec.labels.get(key)?.clone();
            Some(Facet::Label { key: key.clone(), value })
        });
        owner.into_iter().chain(labels).collect()
    }
}

impl Facet {
    /// The key of its label; empty for an owner, as no label has an empty key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Owner(_) => "",
            Self::Label { key, .. } => key,
        }
    }

    /// The owner, or the label's value.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Owner(value) | Self::Label { value, .. } => value,
        }
    }
}

/// The slot that a minute is in.
#[must_use]
pub const fn slot_of(minute: i64) -> i64 {
    minute.div_euclid(STAT_SLOT_MINUTES)
}

/// When a slot begins.
#[must_use]
pub const fn slot_start(slot: i64) -> Timestamp {
    Timestamp::from_micros(slot.saturating_mul(STAT_SLOT_MINUTES * 60_000_000))
}

impl From<&Tally> for FacetTally {
    /// What a tally says, without how it was spread.
    fn from(tally: &Tally) -> Self {
        Self {
            created: tally.created,
            succeeded: tally.succeeded,
            failed: tally.failed,
            cancelled: tally.cancelled,
            skipped: tally.skipped,
            started: tally.wait.count(),
            waited: tally.wait.sum(),
            ended: tally.run.count(),
            ran: tally.run.sum(),
        }
    }
}

impl FacetTally {
    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.created += other.created;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.skipped += other.skipped;
        self.started += other.started;
        self.waited = self.waited.saturating_add(other.waited);
        self.ended += other.ended;
        self.ran = self.ran.saturating_add(other.ran);
    }

    /// How long a job waited on average.
    #[must_use]
    pub fn mean_wait(&self) -> Option<Duration> {
        mean(self.waited, self.started)
    }

    /// How long an attempt ran on average.
    #[must_use]
    pub fn mean_run(&self) -> Option<Duration> {
        mean(self.ran, self.ended)
    }
}

fn mean(sum: Duration, count: u64) -> Option<Duration> {
    let micros = u64::try_from(sum.as_micros()).unwrap_or(u64::MAX);
    micros.checked_div(count).map(Duration::from_micros)
}

#[cfg(test)]
mod tests;
