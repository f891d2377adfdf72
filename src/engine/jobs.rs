//! One job: look at it, stop it, run it again, let it go; and lists of jobs.

use std::time::Duration;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::limits::{CANCEL_GRACE_DEFAULT, RESPONSE_BYTES_MAX, TOTAL_SIZE_EXACT_MAX};
use crate::domain::machine::Command;
use crate::domain::stats::Count;
use crate::domain::{Attempt, Job, JobFilter, JobId, Timestamp};
use crate::store::ListQuery;

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::Work;

/// A wish for a page of jobs.
#[derive(Debug, Clone)]
pub struct ListJobs {
    /// Which jobs.
    pub filter: JobFilter,
    /// At most so many.
    pub page_size: usize,
    /// Where the page before ended.
    pub before: Option<JobId>,
    /// Whether payloads and results are wanted.
    pub full: bool,
}

/// A page of jobs, newest id first.
#[derive(Debug, Clone, Default)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there is one.
    pub next: Option<JobId>,
    /// Jobs that match in all.
    pub total: u64,
    /// Whether there are more than `total`.
    pub total_capped: bool,
}

/// Jobs read at once for a page that may end by its bytes.
const CHUNK: usize = 100;

impl Engine {
    /// The job, with its newest progress.
    pub async fn job(&self, _caller: &Caller, id: JobId) -> Result<Job> {
        self.find(id).await?.ok_or(Error::JobNotFound(id))
    }

    pub(super) async fn find(&self, id: JobId) -> Result<Option<Job>> {
        let jobs = self.db.read(move |store| async move { store.load(&[id]).await }).await?;
        Ok(jobs.into_iter().next().map(|mut job| {
            self.live.overlay(&mut job);
            job
        }))
    }

    /// Whether the progress of a job that was read here comes from memory, and may be newer than the
    /// disk.
    #[must_use]
    pub fn is_live(&self, job: &Job) -> bool {
        job.status.session().is_some() && self.live.find(job.id, job.status.lease_epoch).is_some()
    }

    /// A page of jobs; it ends by count or by bytes.
    pub async fn list(&self, _caller: &Caller, list: ListJobs) -> Result<JobPage> {
        let (total, total_capped) = self.total(&list.filter).await?;
        let mut page = JobPage { total, total_capped, ..JobPage::default() };
        let mut before = list.before;
        let mut bytes = 0;
        while page.jobs.len() < list.page_size {
            let wanted = (list.page_size - page.jobs.len()).min(CHUNK);
            // One more than wanted tells whether there is a next page.
            let query = ListQuery {
                filter: list.filter.clone(),
                before,
                limit: wanted + 1,
                full: list.full,
            };
            let chunk = self.db.read(move |store| async move { store.list(&query).await }).await?;
            let more = chunk.len() > wanted;
            for mut job in chunk.into_iter().take(wanted) {
                bytes += job.weight();
                if bytes > RESPONSE_BYTES_MAX && !page.jobs.is_empty() {
                    page.next = before;
                    return Ok(page);
                }
                before = Some(job.id);
                self.live.overlay(&mut job);
                page.jobs.push(job);
            }
            page.next = before.filter(|_| more);
            if !more {
                break;
            }
        }
        Ok(page)
    }

    async fn total(&self, filter: &JobFilter) -> Result<(u64, bool)> {
        if filter.is_counted() {
            let counts = self.db.read(|store| async move { store.counts().await }).await?;
            return Ok((counted(filter, &counts), false));
        }
        let filter = filter.clone();
        let cap = TOTAL_SIZE_EXACT_MAX + 1;
        let count =
            self.db.read(move |store| async move { store.count(&filter, cap).await }).await?;
        Ok((count.min(TOTAL_SIZE_EXACT_MAX), count > TOTAL_SIZE_EXACT_MAX))
    }

    /// Asks a job to stop; one that waits stops at once.
    pub async fn cancel(
        &self,
        caller: &Caller,
        job_id: JobId,
        reason: String,
        grace: Option<Duration>,
    ) -> Result<Job> {
        let deed = Deed::new(caller.principal(), AuditAction::CancelJob).because(reason.clone());
        let command = Command::Cancel {
            reason,
            requested_by: caller.principal().to_owned(),
            grace: grace.unwrap_or(CANCEL_GRACE_DEFAULT),
        };
        self.deed(job_id, command, deed).await
    }

    /// Runs a job again, or now instead of later.
    pub async fn retry(
        &self,
        caller: &Caller,
        job_id: JobId,
        schedule_time: Option<Timestamp>,
        force: bool,
        reason: String,
    ) -> Result<Job> {
        let deed = Deed::new(caller.principal(), AuditAction::RetryJob).because(reason);
        self.deed(job_id, Command::Retry { schedule_time, force }, deed).await
    }

    /// Lets go of a job that is over, with its log and history.
    pub async fn delete(&self, caller: &Caller, job_id: JobId) -> Result<()> {
        let deed = Some(Box::new(Deed::new(caller.principal(), AuditAction::DeleteJob)));
        self.pipeline.ask(|reply| Work::Delete { job_id, deed, reply }).await
    }

    /// The executions of a job, oldest first, the last one included.
    pub async fn attempts(&self, caller: &Caller, job_id: JobId) -> Result<Vec<Attempt>> {
        // The job is read first: an attempt that moves to the history in between shows up twice
        // rather than not at all, and the repetition is dropped.
        let job = self.job(caller, job_id).await?;
        let mut attempts =
            self.db.read(move |store| async move { store.attempts(job_id).await }).await?;
        if let Some(last) = job.status.last_attempt() {
            attempts.retain(|attempt| attempt.lease_epoch != last.lease_epoch);
            attempts.push(last);
        }
        attempts.sort_by_key(|attempt| attempt.lease_epoch);
        Ok(attempts)
    }

    /// A command in somebody's name: recorded, unless it changes nothing.
    async fn deed(&self, job_id: JobId, command: Command, deed: Deed) -> Result<Job> {
        let deed = Box::new(deed);
        let mut job =
            self.pipeline.ask(|reply| Work::Deed { job_id, command, deed, reply }).await?;
        self.live.overlay(&mut job);
        Ok(job)
    }

    pub(super) async fn command(&self, job_id: JobId, command: Command) -> Result<Job> {
        let mut job = self
            .pipeline
            .ask(|reply| Work::Command { job_id, command, patient: false, reply })
            .await?;
        self.live.overlay(&mut job);
        Ok(job)
    }
}

/// The jobs that a filter of types, queues and states matches, by the counters. A counter below zero
/// would be wrong: it neither shows nor takes from the others.
fn counted(filter: &JobFilter, counts: &[Count]) -> u64 {
    let of = |count: &&Count| {
        filter.takes_type(&count.key.job_type)
            && (filter.queues.is_empty() || filter.queues.contains(&count.key.queue))
            && (filter.states.is_empty() || filter.states.contains(&count.state))
    };
    let stored = counts.iter().filter(of).map(|count| u64::try_from(count.stored).unwrap_or(0));
    stored.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stats::StatKey;
    use crate::domain::{JobType, QueueName, StateKind};

    #[test]
    fn a_total_is_the_sum_of_the_counters_that_match() {
        let queue = |name| QueueName::new(name).expect("a name");
        let count = |name, state, stored| {
            let key =
                StatKey { job_type: JobType::new("sync").expect("a name"), queue: queue(name) };
            Count { key, state, stored, finished_total: 0 }
        };
        let counts = [
            count("a", StateKind::Pending, 3),
            count("a", StateKind::Running, -5),
            count("b", StateKind::Pending, 4),
            count("c", StateKind::Failed, i64::MAX),
            count("c", StateKind::Succeeded, i64::MAX),
        ];
        let of = |queues: Vec<QueueName>, states: Vec<StateKind>| {
            counted(&JobFilter { states, queues, ..JobFilter::default() }, &counts)
        };
        assert_eq!(of(vec![queue("a")], Vec::new()), 3);
        assert_eq!(of(vec![queue("a"), queue("b")], vec![StateKind::Pending]), 7);
        assert_eq!(of(Vec::new(), vec![StateKind::Running]), 0);
        assert_eq!(of(vec![queue("c")], Vec::new()), 2 * i64::MAX.unsigned_abs());
    }
}
