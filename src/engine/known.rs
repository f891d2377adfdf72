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

    /// Whether this type is known or there is room for it.
    pub(super) fn job_type(&self, job_type: &JobType) -> bool {
        self.types.contains(job_type)
            || (self.types.len() < TYPES_MAX && self.types.insert(job_type.clone()))
    }

    /// Whether this queue is known or there is room for it.
    pub(super) fn queue(&self, queue: &QueueName) -> bool {
        self.queues.contains(queue)
            || (self.queues.len() < QUEUES_MAX && self.queues.insert(queue.clone()))
    }
}
