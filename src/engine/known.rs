//! Types and queues heard of, so that their number has a bound.

use dashmap::DashSet;

use crate::domain::limits::{QUEUES_MAX, TYPES_MAX};
use crate::domain::stats::Count;
use crate::domain::{JobType, QueueName};

/// Types and queues heard of. Other replicas may know more: the bound is on what one server adds.
#[derive(Default)]
pub(super) struct Known {
    types: DashSet<JobType>,
    queues: DashSet<QueueName>,
}

impl Known {
    /// Takes up what the counters name.
    pub(super) fn learn(&self, counts: &[Count]) {
        for count in counts {
            self.types.insert(count.key.job_type.clone());
            self.queues.insert(count.key.queue.clone());
        }
    }

    /// A job of this type stands in this queue now.
    pub(super) fn note(&self, job_type: &JobType, queue: &QueueName) {
        // Hardly ever new: no lock for writing, and no copy of the name.
        if !self.types.contains(job_type) {
            self.types.insert(job_type.clone());
        }
        if !self.queues.contains(queue) {
            self.queues.insert(queue.clone());
        }
    }

    /// Whether this type is known or there is room for it. Creates under way at the same moment may
    /// share the last room.
    pub(super) fn takes_type(&self, job_type: &JobType) -> bool {
        self.types.contains(job_type) || self.types.len() < TYPES_MAX
    }

    /// Whether this queue is known or there is room for it.
    pub(super) fn takes_queue(&self, queue: &QueueName) -> bool {
        self.queues.contains(queue) || self.queues.len() < QUEUES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_noted_takes_room() {
        let known = Known::default();
        let queue = |n: usize| QueueName::new(&format!("q{n}")).expect("a name");
        let job_type = JobType::new("sync").expect("a name");
        for n in 0..QUEUES_MAX {
            assert!(known.takes_queue(&queue(QUEUES_MAX + n)), "asked for, never made");
            known.note(&job_type, &queue(n));
        }
        assert!(!known.takes_queue(&queue(QUEUES_MAX)));
        assert!(known.takes_queue(&queue(0)));
        assert!(known.takes_type(&JobType::new("other").expect("a name")));
    }
}
