//! Rules: what is set up, each with its revision.

use crate::store::{Rule, RuleKey, RuleWrite};

use super::Tables;

impl Tables {
    /// Rules whose key is wanted, in order.
    pub(super) fn rules(&self, wanted: impl Fn(&RuleKey) -> bool) -> Vec<Rule> {
        self.rules.values().filter(|rule| wanted(&rule.key)).cloned().collect()
    }

    /// Rules that do not stand as these writes expect.
    pub(super) fn missed_rules(&self, writes: &[RuleWrite]) -> Vec<RuleKey> {
        let stands = |key| self.rules.get(key).map_or(0, |rule| rule.revision);
        let missed = writes.iter().filter(|write| stands(&write.key) != write.expected_revision);
        missed.map(|write| write.key.clone()).collect()
    }

    /// Writes rules whose guards all held.
    pub(super) fn write_rules(&mut self, writes: &[RuleWrite]) {
        for RuleWrite { key, expected_revision, body } in writes {
            match body {
                Some(body) => {
                    let (key, revision) = (key.clone(), expected_revision + 1);
                    self.rules.insert(key.clone(), Rule { key, revision, body: body.clone() });
                }
                None => {
                    self.rules.remove(key);
                }
            }
        }
    }
}
