//! The birth of a job.

use std::collections::BTreeMap;

use crate::domain::admission;
use crate::domain::ids::Category;
use crate::domain::job::{JobSpec, Trigger};
use crate::domain::progress::Progress;
use crate::domain::status::{Attention, Effective, JobStatus, SkipReason, State};
use crate::domain::time::Timestamp;
use crate::domain::usage::UsageWatch;

/// What is known of a job at its birth besides its spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Birth {
    /// The caller that makes it.
    pub created_by: String,
    /// What makes it.
    pub trigger: Trigger,
    /// Its type's category.
    pub category: Option<Category>,
    /// The policy that refuses it from the start.
    pub skipped: Option<SkipReason>,
}

/// The first status of a job: PENDING, or SKIPPED if a policy refuses it.
#[must_use]
pub fn create(spec: &JobSpec, birth: Birth, now: Timestamp) -> JobStatus {
    let schedule_time = spec.schedule_time.unwrap_or(now).max(now);
    let state = match birth.skipped {
        Some(reason) => State::Skipped { reason },
        None => State::Pending { ready_key: admission::ready_key(schedule_time, spec.priority) },
    };
    JobStatus {
        state,
        revision: 1,
        attempt: 0,
        max_attempts: spec.retry_policy.max_attempts.max(1),
        lease_epoch: 0,
        releases: 0,
        leases_lost: 0,
        category: birth.category,
        created_by: birth.created_by,
        trigger: birth.trigger,
        effective: Effective {
            queue: spec.queue.clone(),
            priority: spec.priority,
            limits: spec.limits,
            avoid_worker: None,
        },
        progress: Progress::default(),
        resource_usage: None,
        usage_watch: UsageWatch::default(),
        execution: None,
        create_time: now,
        schedule_time,
        end_time: birth.skipped.map(|_| now),
        update_time: now,
        cancel_request: None,
        result: None,
        error: None,
        attention: Attention::default(),
        skip_until: None,
        quota_draws: BTreeMap::new(),
    }
}
