//! What other servers did to jobs that concern this one.

use std::collections::HashSet;

use crate::domain::limits::{LOOP_ROWS_MAX, NEWS_CHANGES_MAX};
use crate::domain::{Job, JobId};
use crate::runtime::Unreadable;
use crate::store::{self, ChangesSince};

use super::super::Engine;
use super::super::error::{Error, Result};

impl Engine {
    /// Reads on in the change log, and acts on what concerns this server: jobs that its workers hold
    /// or that somebody watches here, and places where jobs wait. What followed from its own commits was
    /// done when they were answered.
    pub async fn hear_changes(&self) -> Result<u64> {
        let from = self.ears.position.lock().clone();
        let Some(from) = from else { return self.look_at_all().await };
        let read = self
            .loop_db
            .read(move |store| async move { store.others_since(&from, NEWS_CHANGES_MAX).await });
        match read.await? {
            ChangesSince::Found { ids, removed, ready, rules, position } => {
                self.heed_rules(&rules).await?;
                if !ids.is_empty() {
                    self.line.freed_elsewhere();
                }
                let now = self.clock.now();
                for place in ready {
                    self.line.ready(&place.queue, &place.job_type, place.at, now);
                }
                for gone in removed {
                    self.gone(gone.id);
                }
                let mut jobs = self.ears.take_suspects();
                jobs.extend(ids.into_iter().filter(|id| self.concerns(*id)));
                if let Err(error) = self.look_at(&jobs).await {
                    self.ears.suspect(jobs);
                    return Err(error);
                }
                *self.ears.position.lock() = Some(position);
                Ok(0)
            }
            ChangesSince::TooOld | ChangesSince::Ahead | ChangesSince::TooMany => {
                tracing::warn!(
                    "too much happened elsewhere: all that concerns this server is read"
                );
                self.look_at_all().await
            }
        }
    }

    fn concerns(&self, id: JobId) -> bool {
        self.live.knows(id) || self.hub.is_watched(id) || self.cache.knows(id)
    }

    /// Reads all that concerns this server, however it came to be as it is.
    async fn look_at_all(&self) -> Result<u64> {
        *self.ears.position.lock() = None;
        // Before everything else: what comes later is read from there on.
        let position = self.loop_db.read(|store| async move { store.position().await }).await?;
        self.load_rules().await?;
        self.poll_line().await?;
        let mut jobs: HashSet<JobId> = self.ears.take_suspects().into_iter().collect();
        jobs.extend(self.live.jobs());
        jobs.extend(self.hub.watched());
        jobs.extend(self.cache.jobs());
        let jobs: Vec<JobId> = jobs.into_iter().collect();
        if let Err(error) = self.look_at(&jobs).await {
            self.ears.suspect(jobs);
            return Err(error);
        }
        *self.ears.position.lock() = Some(position);
        Ok(0)
    }

    /// Reads these jobs and tells whoever they concern how they stand.
    async fn look_at(&self, jobs: &[JobId]) -> Result<()> {
        for some in jobs.chunks(LOOP_ROWS_MAX) {
            let (mut jobs, unread) = self.load_readable(some).await?;
            self.sessions.heard_of(&jobs);
            for job in &mut jobs {
                self.cache.forget_older_than(job);
                self.live.overlay(job);
                self.hub.publish(job);
            }
            let found = jobs.iter().map(|job| job.id);
            let found: HashSet<JobId> = found.chain(unread).collect();
            for id in some.iter().filter(|id| !found.contains(id)) {
                self.gone(*id);
            }
        }
        Ok(())
    }

    /// Those of these jobs that exist, and those that cannot be read.
    async fn load_readable(&self, ids: &[JobId]) -> Result<(Vec<Job>, Vec<JobId>)> {
        static TOLD: Unreadable = Unreadable::new();
        let mut halves = Halves::of(ids);
        while let Some(some) = halves.open.pop() {
            let wanted = some.to_vec();
            let read = self.loop_db.read(|store| async move { store.load(&wanted).await });
            halves.take(some, read.await)?;
        }
        let Halves { jobs, unread, .. } = halves;
        let told = unread.into_iter().map(|(id, error)| {
            if TOLD.is_news(&id.to_string()) {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, job.id = %id, "a job that changed cannot be read");
            }
            id
        });
        Ok((jobs, told.collect()))
    }

    /// A job is not there any more: it was over before.
    fn gone(&self, id: JobId) {
        if self.concerns(id) {
            self.cache.forget(id);
            self.sessions.heard_gone(id);
            self.hub.publish_deleted(id);
        }
    }
}

/// Jobs that are read together, and by halves where one of them cannot be read: it keeps nobody from hearing of the others.
struct Halves<'a> {
    /// To be read.
    open: Vec<&'a [JobId]>,
    /// Those that exist.
    jobs: Vec<Job>,
    /// Those that cannot be read.
    unread: Vec<(JobId, store::Error)>,
}

impl<'a> Halves<'a> {
    fn of(ids: &'a [JobId]) -> Self {
        Self { open: vec![ids], jobs: Vec::new(), unread: Vec::new() }
    }

    /// Takes the answer to the read of `some`; other errors end it.
    fn take(&mut self, some: &'a [JobId], answer: Result<Vec<Job>>) -> Result<()> {
        match (answer, some) {
            (Ok(found), _) => self.jobs.extend(found),
            (Err(Error::Store(error @ store::Error::Corrupt { .. })), [id]) => {
                self.unread.push((*id, error));
            }
            (Err(Error::Store(store::Error::Corrupt { .. })), [_, _, ..]) => {
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
