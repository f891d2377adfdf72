//! What the client of a watch holds: so that nothing it is sent goes back, and it is not told of the
//! end of what it never had.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::limits::{WATCH_JOBS_GONE_MAX, WATCH_JOBS_MAX};
use crate::domain::{Job, JobId};
use crate::watch::{Event, Snapshot, Why};

use super::Sent;

/// A job as it was sent last: its revision, and how new its progress was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    revision: i64,
    lease_epoch: i64,
    sequence: i64,
}

impl Mark {
    fn of(job: &Job) -> Self {
        let status = &job.status;
        let (revision, lease_epoch) = (status.revision, status.lease_epoch);
        Self { revision, lease_epoch, sequence: status.progress.sequence }
    }
}

/// See the module: some 100 bytes for each job.
#[derive(Default)]
pub(super) struct Held {
    marks: HashMap<JobId, Mark>,
    /// Jobs that were taken back of late, with their revision then: a tick of a run that is over may
    /// still be on its way.
    gone: HashMap<JobId, i64>,
    /// The client holds nothing else.
    is_all: bool,
}

impl Held {
    /// Of a client that holds nothing yet (`is_all`), or that holds what is not known.
    pub(super) fn new(is_all: bool) -> Self {
        Self { is_all, ..Self::default() }
    }

    /// What a durable change means to the client.
    pub(super) fn change(&mut self, event: Event) -> Option<Sent> {
        match event {
            Event::Upsert(snapshot) => {
                let mark = Mark::of(&snapshot.job);
                let known = self.marks.get(&snapshot.job.id);
                let is_news = known.is_none_or(|known| *known < mark);
                (is_news && !self.is_over(&snapshot)).then(|| self.upsert(snapshot, mark))
            }
            Event::Removed { job_id, why, job } => self.remove(job_id, why, job),
        }
    }

    /// What newer progress means to the client. One that is as new as known may bring the usage.
    pub(super) fn tick(&mut self, snapshot: Arc<Snapshot>) -> Option<Sent> {
        let mark = Mark::of(&snapshot.job);
        let known = self.marks.get(&snapshot.job.id);
        let is_news = known.is_none_or(|known| *known <= mark);
        (is_news && !self.is_over(&snapshot)).then(|| self.upsert(snapshot, mark))
    }

    /// Whether the client may hold the job from an earlier watch, nobody knows how new.
    pub(super) fn may_hold_unknown(&self, job_id: JobId) -> bool {
        !self.is_all && !self.marks.contains_key(&job_id)
    }

    /// Whether the job was taken back in this state or a later one.
    fn is_over(&self, snapshot: &Snapshot) -> bool {
        let gone = self.gone.get(&snapshot.job.id);
        gone.is_some_and(|revision| *revision >= snapshot.job.status.revision)
    }

    fn upsert(&mut self, snapshot: Arc<Snapshot>, mark: Mark) -> Sent {
        if self.marks.len() as u64 > 2 * WATCH_JOBS_MAX {
            // Jobs that are over, most of them, and such a job hardly changes.
            self.marks.clear();
            self.is_all = false;
        }
        self.marks.insert(snapshot.job.id, mark);
        self.gone.remove(&snapshot.job.id);
        Sent::Job(snapshot)
    }

    fn remove(&mut self, job_id: JobId, why: Why, job: Option<Arc<Snapshot>>) -> Option<Sent> {
        // One that is deleted never comes again.
        let revision = job.as_ref().map_or(i64::MAX, |snapshot| snapshot.job.status.revision);
        let is_news = match self.marks.get(&job_id) {
            Some(known) => revision >= known.revision,
            None => !self.is_all && self.gone.get(&job_id).is_none_or(|gone| *gone < revision),
        };
        if !is_news {
            return None;
        }
        self.marks.remove(&job_id);
        if self.gone.len() >= WATCH_JOBS_GONE_MAX {
            self.gone.clear();
        }
        self.gone.insert(job_id, revision);
        Some(Sent::Removed { job_id, why, job })
    }
}

#[cfg(test)]
mod tests;
