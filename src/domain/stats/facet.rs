//! Figures of one owner or one label: fewer than those of types and queues, and only if asked for.
//!
//! Owners and labels are free texts, so as a part of the main key they would cost a row for each job
//! (docs/adr/0009). Here each value has a small tally by the hour, without histograms.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Tally;
use crate::domain::job::JobSpec;
use crate::domain::limits::{LABEL_KEY_BYTES_MAX, STAT_LABELS_MAX, STAT_VALUES_MAX};
use crate::domain::validate::Violations;

/// What figures are kept by besides types and queues, as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FacetPolicy {
    /// Whether by owner.
    pub by_owner: bool,
    /// By these labels.
    pub by_labels: Vec<String>,
}

/// One owner, or one value of one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The jobs of the owners that are too many to be told apart.
    OtherOwners,
    /// The jobs of the values of a label that are too many to be told apart.
    OtherValues {
        /// Its key.
        key: String,
    },
}

/// What happened within one hour to the jobs of a facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
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

    /// Whether figures of `facet` are kept.
    #[must_use]
    pub fn keeps(&self, facet: &Facet) -> bool {
        match facet {
            Facet::Owner(_) | Facet::OtherOwners => self.by_owner,
            Facet::Label { key, .. } | Facet::OtherValues { key } => self.by_labels.contains(key),
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
    /// The facet under which this one is counted in an hour that has `known` already: itself, or the
    /// rest, so that nobody who makes up labels fills the table.
    #[must_use]
    pub fn within(self, known: &BTreeSet<Self>) -> Self {
        if known.contains(&self) {
            return self;
        }
        match self {
            Self::Owner(_) => {
                let owners = known.iter().filter(|facet| matches!(facet, Self::Owner(_))).count();
                if owners < STAT_VALUES_MAX { self } else { Self::OtherOwners }
            }
            Self::Label { ref key, .. } => {
                let same =
                    |facet: &&Self| matches!(facet, Self::Label { key: of, .. } if of == key);
                let is_full = known.iter().filter(same).count() >= STAT_VALUES_MAX;
                if is_full { Self::OtherValues { key: key.clone() } } else { self }
            }
            Self::OtherOwners | Self::OtherValues { .. } => self,
        }
    }
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
