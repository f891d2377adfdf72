//! How far the lines are known that a round looks into.

use std::collections::BTreeMap;

use super::rules::{Candidate, Rules};
use super::share::Flow;
use crate::domain::limits::DISPATCH_BLUR;
use crate::domain::time::Timestamp;

/// Up to which place of each line all jobs that wait are among the candidates of a round; a line without one is
/// there as a whole. Nobody behind it starts, for somebody who was not looked at may stand before them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Horizons(BTreeMap<Flow, Timestamp>);

impl Horizons {
    /// Behind this one, more of its kind wait. What became ready within a moment of it may still start.
    pub fn end_at(&mut self, last: &Candidate, rules: &Rules) {
        let end = last.ready_key.plus(DISPATCH_BLUR);
        let horizon = self.0.entry(rules.flow(&last.queue)).or_insert(end);
        *horizon = end.min(*horizon);
    }

    /// Whether a job of that line stands behind its horizon.
    pub(super) fn hides(&self, flow: &Flow, job: &Candidate) -> bool {
        self.0.get(flow).is_some_and(|end| job.ready_key > *end)
    }
}
