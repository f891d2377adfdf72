//! How queues share the starts: each weighted queue is served in proportion to its weight while it has
//! something waiting, and what it does not use is not saved up.
//!
//! Start-time fair queueing: a start of a queue costs `1 / weight`, the queue that has paid least is
//! next, and one that comes back after a pause has paid as much as whoever is being served.

use std::collections::BTreeMap;

use crate::domain::ids::QueueName;

/// Who stands in one line: the jobs of a queue with a weight, or those of all queues without.
pub(super) type Flow = Option<QueueName>;

/// What each line has paid, beyond what the one served last had. Small: lines that are even with it
/// are forgotten.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    paid: BTreeMap<Flow, f64>,
}

impl Shares {
    /// The line that is next.
    pub(super) fn next<'a>(&self, flows: impl Iterator<Item = &'a Flow>) -> Option<&'a Flow> {
        let paid = |flow: &Flow| self.paid.get(flow).copied().unwrap_or(0.0);
        flows.min_by(|a, b| paid(a).total_cmp(&paid(b)))
    }

    /// Charges a start to a line of that weight: from now on it is the one served last.
    pub(super) fn charge(&mut self, flow: &Flow, weight: u32) {
        let start = self.paid.get(flow).copied().unwrap_or(0.0);
        if start > 0.0 {
            for paid in self.paid.values_mut() {
                *paid -= start;
            }
            self.paid.retain(|_, paid| *paid > 0.0);
        }
        self.paid.insert(flow.clone(), 1.0 / f64::from(weight.max(1)));
    }

    /// Nobody waits for a worker any more: who was served more in a quiet time owes nothing for it.
    pub(super) fn settle(&mut self) {
        self.paid.clear();
    }
}
