//! Jobs that workers of this process hold: an optimistic base for a guarded write, nothing else.

use dashmap::DashMap;

use crate::domain::limits::CACHE_JOBS_MAX;
use crate::domain::{Job, JobId, SessionId};

/// Running jobs by id. What it holds may be old: a write made on it is guarded, and nothing that
/// writes nothing may be answered from it.
#[derive(Default)]
pub(crate) struct Cache(DashMap<JobId, Job>);

impl Cache {
    /// The job as last seen here.
    pub(super) fn look_up(&self, id: JobId) -> Option<Job> {
        self.0.get(&id).map(|job| job.clone())
    }

    /// Notes how a job stands after a commit: kept while a session of this process holds it, as far as
    /// `is_here` knows, and forgotten when none does. Others may change it unseen.
    pub(crate) fn note(&self, job: &Job, is_here: impl FnOnce(SessionId) -> bool) {
        if !job.status.session().is_some_and(is_here) {
            self.0.remove(&job.id);
        } else if self.0.len() < CACHE_JOBS_MAX || self.0.contains_key(&job.id) {
            self.0.insert(job.id, job.clone());
        }
    }

    /// Whether it holds the job under this lease.
    pub(crate) fn holds(&self, id: JobId, lease_epoch: i64) -> bool {
        self.0.get(&id).is_some_and(|job| job.status.lease_epoch == lease_epoch)
    }

    /// Whether it holds the job at all.
    pub(crate) fn knows(&self, id: JobId) -> bool {
        self.0.contains_key(&id)
    }

    /// The jobs it holds.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.0.iter().map(|entry| *entry.key()).collect()
    }

    /// Forgets a job that has changed since.
    pub(crate) fn forget_older_than(&self, job: &Job) {
        self.0.remove_if(&job.id, |_, held| held.status.revision < job.status.revision);
    }

    /// Forgets a job.
    pub(crate) fn forget(&self, id: JobId) {
        self.0.remove(&id);
    }
}
