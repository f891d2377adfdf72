//! Which jobs are meant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{Category, JobId, JobType, QueueName, WorkerName};
use super::job::{Job, Trigger};
use super::status::StateKind;
use super::time::Timestamp;

/// OR within a field, AND between fields; an empty field does not filter; every label must be equal;
/// ranges are `[after, before)`. The server's own jobs are meant only by their type or id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct JobFilter {
    /// These jobs.
    pub job_ids: Vec<JobId>,
    /// Jobs in these states.
    pub states: Vec<StateKind>,
    /// Jobs of these types.
    pub types: Vec<JobType>,
    /// Jobs of these categories.
    pub categories: Vec<Category>,
    /// Jobs that wait or waited in these queues (effective ones).
    pub queues: Vec<QueueName>,
    /// Jobs with all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Jobs for this owner.
    pub owner: Option<String>,
    /// Jobs that work on this subject.
    pub subject: Option<String>,
    /// Jobs with this id in another system.
    pub external_id: Option<String>,
    /// Jobs made in one of these ways.
    pub triggers: Vec<Trigger>,
    /// Jobs whose last execution was on this worker.
    pub worker_id: Option<WorkerName>,
    /// Jobs made by this caller.
    pub created_by: Option<String>,
    /// Jobs made in this range.
    pub create_time: TimeRange,
    /// Jobs that ended in this range.
    pub end_time: TimeRange,
}

/// `[after, before)`, either side open if unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TimeRange {
    /// From this moment on.
    pub after: Option<Timestamp>,
    /// Up to this moment, exclusive.
    pub before: Option<Timestamp>,
}

impl TimeRange {
    /// Whether nothing is bounded.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }

    /// Whether `time` lies in it; a missing time lies in an open range only.
    #[must_use]
    pub fn contains(&self, time: Option<Timestamp>) -> bool {
        match time {
            Some(time) => {
                self.after.is_none_or(|after| time >= after)
                    && self.before.is_none_or(|before| time < before)
            }
            None => self.is_open(),
        }
    }
}

fn any<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

fn equal(wanted: Option<&String>, found: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

impl JobFilter {
    /// Whether `job` is meant.
    #[must_use]
    pub fn matches(&self, job: &Job) -> bool {
        let status = &job.status;
        any(&self.states, &status.kind())
            && any(&self.queues, &status.effective.queue)
            && self.worker_id.as_ref().is_none_or(|wanted| {
                status.execution.as_ref().is_some_and(|run| run.worker_id == *wanted)
            })
            && self.end_time.contains(status.end_time)
            && self.fits(job)
    }

    /// Whether `job` fits in everything that never changes of a job: one that fits and does not match
    /// may have matched before, or may later.
    #[must_use]
    pub fn fits(&self, job: &Job) -> bool {
        let (spec, status) = (&job.spec, &job.status);
        any(&self.job_ids, &job.id)
            && self.takes_type(&spec.job_type)
            && (self.categories.is_empty()
                || status.category.as_ref().is_some_and(|c| self.categories.contains(c)))
            && self.labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
            && equal(self.owner.as_ref(), &spec.owner)
            && equal(self.subject.as_ref(), &spec.subject)
            && equal(self.external_id.as_ref(), &spec.external_id)
            && any(&self.triggers, &status.trigger)
            && equal(self.created_by.as_ref(), &status.created_by)
            && self.create_time.contains(Some(status.create_time))
    }

    /// Whether jobs of this type may be meant.
    #[must_use]
    pub fn takes_type(&self, job_type: &JobType) -> bool {
        if self.types.is_empty() {
            return self.takes_reserved() || !job_type.is_reserved();
        }
        self.types.contains(job_type)
    }

    /// Whether the server's own jobs are meant, too, although no type is named.
    #[must_use]
    pub fn takes_reserved(&self) -> bool {
        !self.job_ids.is_empty()
    }

    /// Whether a deleted job of which only this is known may have matched.
    #[must_use]
    pub fn may_have_matched(&self, id: JobId, job_type: Option<&JobType>) -> bool {
        any(&self.job_ids, &id) && job_type.is_none_or(|job_type| self.takes_type(job_type))
    }

    /// The same filter in the one way of writing it: lists in order and without repetitions.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        fn sort<T: Ord>(list: &mut Vec<T>) {
            list.sort_unstable();
            list.dedup();
        }
        sort(&mut self.job_ids);
        sort(&mut self.states);
        sort(&mut self.types);
        sort(&mut self.categories);
        sort(&mut self.queues);
        sort(&mut self.triggers);
        self
    }

    /// Whether only types, queues and states are named, so that counters alone answer how many.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        let rest =
            Self { states: Vec::new(), types: Vec::new(), queues: Vec::new(), ..self.clone() };
        rest == Self::default()
    }
}

#[cfg(test)]
mod tests;
