//! What a round of starts goes by: what it keeps from other rounds until it ends, and how that stands.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{JobType, QueueName};

use super::rules::{Rule, RuleKey};

/// What a round keeps from others, and what it wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Kept from other rounds until this one ends, whether or not there are such rules; and read.
    /// Whoever else writes one of those that exist waits, too.
    pub keys: BTreeSet<RuleKey>,
    /// Rules to be read besides.
    pub rules: BTreeSet<RuleKey>,
    /// Whether all RUNNING jobs are to be counted.
    pub running: bool,
    /// Queues whose RUNNING jobs are to be counted.
    pub queues: BTreeSet<QueueName>,
    /// Types whose RUNNING jobs are to be counted.
    pub types: BTreeSet<JobType>,
    /// Types with the value of the label that they are capped by: the RUNNING jobs that started under it
    /// are to be counted.
    pub values: BTreeSet<(JobType, String)>,
}

impl Claims {
    /// Whether nothing is kept and nothing asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How what was claimed stands: read after all of it was kept from others, so that no start is missing. What
/// ended meanwhile may be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// The rules that exist.
    pub rules: BTreeMap<RuleKey, Rule>,
    /// RUNNING jobs in all.
    pub running: u64,
    /// RUNNING jobs by queue; none are left out.
    pub queues: BTreeMap<QueueName, u64>,
    /// RUNNING jobs by type.
    pub types: BTreeMap<JobType, u64>,
    /// RUNNING jobs by type and the value they started under.
    pub values: BTreeMap<(JobType, String), u64>,
}

impl Standing {
    /// A rule, if it exists.
    #[must_use]
    pub fn rule(&self, key: &RuleKey) -> Option<&Rule> {
        self.rules.get(key)
    }
}
