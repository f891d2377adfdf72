//! Jobs without those that cannot be read: one spoilt row keeps nobody from the others.

use std::sync::Arc;

use crate::domain::limits::READABLE_AT_ONCE;
use crate::domain::{Job, JobId};
use crate::runtime::Unreadable;
use crate::store::{ListQuery, Store};

use super::Engine;
use super::db::Db;
use super::error::{Error, Result};

/// What could be read of some jobs.
#[derive(Debug, Default)]
pub(super) struct Readable {
    /// Those that exist.
    pub(super) jobs: Vec<Job>,
    /// Those that cannot be read, and why.
    pub(super) unread: Vec<(JobId, Error)>,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(super) struct ReadablePage {
    /// What of it could be read, and still matches.
    pub(super) found: Readable,
    /// Where the next page begins; none if there was nothing.
    pub(super) last: Option<JobId>,
}

impl Readable {
    pub(super) const fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.unread.is_empty()
    }
}

impl Engine {
    /// Those of these jobs that exist, as far as they can be read; the others are told of.
    pub(super) async fn load_readable(&self, db: &Db, ids: &[JobId]) -> Result<Readable> {
        static TOLD: Unreadable = Unreadable::new();
        let mut halves = Halves::of(ids);
        while let Some(some) = halves.open.pop() {
            let wanted = some.to_vec();
            let read = db.read(|store| async move { store.load(&wanted).await });
            halves.take(some, read.await)?;
        }
        for (id, error) in &halves.found.unread {
            if TOLD.is_news(&id.to_string()) {
                let error = error as &dyn std::error::Error;
                tracing::error!(error, job.id = %id, "a job cannot be read");
            }
        }
        Ok(halves.found)
    }

    /// A page of a list, as far as it can be read, newest first.
    pub(super) async fn list_readable(&self, db: &Db, query: ListQuery) -> Result<ReadablePage> {
        let query = Arc::new(query);
        let of = Arc::clone(&query);
        let list = |store: Arc<dyn Store>| async move { store.list(&of).await };
        match db.read(list).await {
            Err(error) if error.is_corrupt() => {}
            answer => {
                let jobs = answer?;
                let last = jobs.iter().map(|job| job.id).min();
                return Ok(ReadablePage { found: Readable { jobs, unread: Vec::new() }, last });
            }
        }
        let of = Arc::clone(&query);
        let list = |store: Arc<dyn Store>| async move { store.list_ids(&of).await };
        let ids = db.read(list).await?;
        let mut found = Readable::default();
        // They come with all they have: so not many at once.
        for some in ids.chunks(READABLE_AT_ONCE) {
            let Readable { jobs, unread } = self.load_readable(db, some).await?;
            // What moved on in between matches no more.
            let jobs = jobs.into_iter().filter(|job| query.filter.matches(job));
            found.jobs.extend(jobs.map(|job| if query.full { job } else { without_data(job) }));
            found.unread.extend(unread);
        }
        found.jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
        Ok(ReadablePage { found, last: ids.into_iter().min() })
    }
}

/// A job as lists show it.
fn without_data(mut job: Job) -> Job {
    if job.spec.payload.is_some() {
        Arc::make_mut(&mut job.spec).payload = None;
    }
    job.status.result = None;
    job
}

/// Jobs that are read together, and by halves where one of them cannot be read: it keeps nobody from the others.
struct Halves<'a> {
    /// To be read.
    open: Vec<&'a [JobId]>,
    found: Readable,
}

impl<'a> Halves<'a> {
    fn of(ids: &'a [JobId]) -> Self {
        Self { open: vec![ids], found: Readable::default() }
    }

    /// Takes the answer to the read of `some`; other errors end it.
    fn take(&mut self, some: &'a [JobId], answer: Result<Vec<Job>>) -> Result<()> {
        match (answer, some) {
            (Ok(found), _) => self.found.jobs.extend(found),
            (Err(error), [id]) if error.is_corrupt() => self.found.unread.push((*id, error)),
            (Err(error), [_, _, ..]) if error.is_corrupt() => {
                let (early, late) = some.split_at(some.len() / 2);
                self.open.extend([early, late]);
            }
            (Err(error), _) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
