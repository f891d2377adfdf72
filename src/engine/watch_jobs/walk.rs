//! What a watch reads of the store: pages of matching jobs, and what the change log names.

use std::sync::Arc;

use crate::domain::limits::{WATCH_PAGE_JOBS, WATCH_PAGE_JOBS_FULL, WATCH_RESUME_CHANGES_MAX};
use crate::domain::{Job, JobFilter, JobId};
use crate::store::{ChangesSince, ListQuery};
use crate::watch::{Event, Snapshot, Why};

use super::super::error::Result;
use super::held::Held;
use super::{JobsWatch, Phase, Sent};

impl JobsWatch {
    /// Sends the next page of matching jobs; after the last one, what changed meanwhile is next.
    pub(super) async fn page(&mut self, before: Option<JobId>) -> Result<Vec<Sent>> {
        let limit = if self.full { WATCH_PAGE_JOBS_FULL } else { WATCH_PAGE_JOBS };
        let filter = (*self.filter).clone();
        let query = ListQuery { filter, before, limit, full: self.full };
        let read = self.engine.db.read(move |store| async move {
            let jobs = store.list(&query).await?;
            // After the jobs: no state was read that is not at or before it.
            Ok((jobs, store.position().await?))
        });
        let (jobs, position) = read.await?;
        self.phase = match jobs.last() {
            Some(last) if jobs.len() >= limit => Phase::Paging(Some(last.id)),
            _ => Phase::Settling(position),
        };
        let as_it_runs = |mut job: Job| {
            self.engine.live.overlay(&mut job);
            self.change(Event::Upsert(Arc::new(Snapshot::of(job))))
        };
        Ok(jobs.into_iter().filter_map(as_it_runs).collect())
    }

    /// Asks the change log what happened since the watch was here.
    pub(super) async fn catch_up(&mut self) -> Result<Vec<Sent>> {
        // What the view shows from now on comes later than this read.
        self.follower.skip();
        let since = self.position.clone();
        let found = self.engine.db.read(move |store| async move {
            store.changes_since(&since, WATCH_RESUME_CHANGES_MAX).await
        });
        match found.await? {
            ChangesSince::Found { ids, removed, .. } => {
                self.phase = Phase::Loading(ids);
                let filter = Arc::clone(&self.filter);
                let gone = removed
                    .into_iter()
                    .filter(|gone| filter.may_have_matched(gone.id, Some(&gone.job_type)));
                Ok(gone.filter_map(|gone| self.gone(gone.id)).collect())
            }
            ChangesSince::TooOld | ChangesSince::Ahead | ChangesSince::TooMany => {
                self.phase = Phase::Lost;
                Ok(Vec::new())
            }
        }
    }

    /// The client is to forget everything and gets a new snapshot.
    pub(super) async fn start_over(&mut self) -> Result<Vec<Sent>> {
        self.check_size().await?;
        if let Some(head) = self.follower.head() {
            self.position = head.position;
        }
        self.follower.skip();
        self.held = Held::new(true);
        self.ticks.clear();
        self.is_starting = true;
        self.phase = Phase::Paging(None);
        Ok(vec![Sent::Reset])
    }

    /// Sends some of the jobs that the change log named; after the last ones, what changed meanwhile is
    /// next.
    pub(super) async fn load(&mut self, mut ids: Vec<JobId>) -> Result<Vec<Sent>> {
        let limit = if self.full { WATCH_PAGE_JOBS_FULL } else { WATCH_PAGE_JOBS };
        let rest = ids.split_off(ids.len().min(limit));
        let named = ids.clone();
        let is_whole = self.full || ids.is_empty();
        let read = self.engine.db.read(move |store| async move {
            let jobs = if is_whole {
                store.load(&ids).await?
            } else {
                let filter = JobFilter { job_ids: ids, ..JobFilter::default() };
                store.list(&ListQuery { filter, before: None, limit, full: false }).await?
            };
            Ok((jobs, store.position().await?))
        });
        let (jobs, position) = read.await?;
        let found: std::collections::HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
        let mut sent: Vec<Sent> = jobs.into_iter().filter_map(|job| self.as_it_is(job)).collect();
        // Deleted since the change log was read: whether it matched before nobody knows any more.
        let gone = named.into_iter().filter(|id| !found.contains(id));
        let filter = Arc::clone(&self.filter);
        let gone = gone.filter(|id| filter.may_have_matched(*id, None));
        sent.extend(gone.filter_map(|id| self.gone(id)));
        self.phase = if rest.is_empty() { Phase::Settling(position) } else { Phase::Loading(rest) };
        Ok(sent)
    }

    /// A job that was read: sent if it matches, told to be gone if it may have matched before.
    fn as_it_is(&mut self, job: Job) -> Option<Sent> {
        let snapshot = Arc::new(Snapshot::of(job));
        if self.filter.matches(&snapshot.job) {
            self.change(Event::Upsert(snapshot))
        } else if self.filter.fits(&snapshot.job) {
            let (job_id, job) = (snapshot.job.id, Some(snapshot));
            self.change(Event::Removed { job_id, why: Why::Unmatched, job })
        } else {
            None
        }
    }

    fn gone(&mut self, job_id: JobId) -> Option<Sent> {
        self.change(Event::Removed { job_id, why: Why::Deleted, job: None })
    }
}
