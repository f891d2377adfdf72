//! Keeping the views fed: showing commits as they come, and reading again what did not come.

use std::collections::HashSet;

use crate::domain::limits::{FEED_STRANGERS_MAX, LOOP_ROWS_MAX, WATCH_RESUME_CHANGES_MAX};
use crate::domain::{JobFilter, JobId, StateKind};
use crate::runtime::Shutdown;
use crate::store::{Caught, ChangesSince, ListQuery};
use crate::watch::{Feed, Head, Repair};

use super::super::Engine;
use super::super::error::Result;

/// Shows what comes in until `shutdown` is signalled.
pub(in super::super) async fn feed(feed: Feed, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = feed.filled() => feed.work(),
            () = shutdown.signalled() => return,
        }
        // Whoever commits goes first: what is shown together costs less.
        tokio::task::yield_now().await;
    }
}

impl Engine {
    /// Makes running jobs known to the views that are not known there, and reads what the views wait
    /// for: in vain, or at all where other servers commit, too.
    pub async fn keep_views(&self) -> Result<u64> {
        self.repair_views().await?;
        self.meet_running().await?;
        let introduced = self.introduce_strangers().await?;
        if introduced > 0 {
            // They are shown once the views have come as far as they were read.
            self.feed.look_again();
        }
        Ok(introduced)
    }

    /// Finds the jobs that run, match a view, and of which nobody has reported here: their workers report
    /// to another server, or have said nothing since this one started.
    async fn meet_running(&self) -> Result<()> {
        let mut unmet = self.feed.take_unmet();
        while let Some(filter) = unmet.last() {
            if let Err(error) = self.meet(filter).await {
                self.feed.put_unmet(unmet);
                return Err(error);
            }
            unmet.pop();
        }
        Ok(())
    }

    async fn meet(&self, filter: &JobFilter) -> Result<()> {
        if !filter.states.is_empty() && !filter.states.contains(&StateKind::Running) {
            return Ok(());
        }
        let filter = JobFilter { states: vec![StateKind::Running], ..filter.clone() };
        let (mut before, mut met) = (None, 0);
        while met < FEED_STRANGERS_MAX {
            let query =
                ListQuery { filter: filter.clone(), before, limit: LOOP_ROWS_MAX, full: false };
            let jobs =
                self.loop_db.read(move |store| async move { store.list(&query).await }).await?;
            met += jobs.len();
            before = jobs.last().map(|job| job.id);
            let is_last = jobs.len() < LOOP_ROWS_MAX;
            let strangers = jobs.into_iter().map(|job| job.id);
            self.feed.put_strangers(strangers.filter(|id| !self.feed.knows(*id)));
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn introduce_strangers(&self) -> Result<u64> {
        let strangers = self.feed.strangers(LOOP_ROWS_MAX);
        if strangers.is_empty() {
            return Ok(0);
        }
        let count = strangers.len() as u64;
        let wanted = strangers.clone();
        let read = self.loop_db.read(move |store| async move {
            let jobs = store.load(&wanted).await?;
            Ok((jobs, store.position().await?))
        });
        let (jobs, position) = read.await.inspect_err(|_| self.feed.put_strangers(strangers))?;
        self.feed.introduce(jobs, position);
        Ok(count)
    }

    /// Reads from the change log what the views wait for: on a shared store whatever is new, on another
    /// one what did not come since the last time this was asked.
    async fn repair_views(&self) -> Result<()> {
        let Some(Head { position: from, .. }) = self.feed.head() else { return Ok(()) };
        let position = self.loop_db.read(|store| async move { store.position().await }).await?;
        if from.covers(&position) || !(self.is_shared() || self.feed.waits_since_last_asked(&from))
        {
            return Ok(());
        }
        let since = from.clone();
        let read = self.loop_db.read(move |store| async move {
            store.catch_up(&since, WATCH_RESUME_CHANGES_MAX).await
        });
        let Caught { changes, jobs, read_through } = read.await?;
        match changes {
            ChangesSince::Found { ids, removed, position: to, .. } => {
                let found: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
                let gone = ids.into_iter().filter(|id| !found.contains(id));
                let gone = gone.map(|id| (id, None));
                let removed = removed.into_iter().map(|gone| (gone.id, Some(gone.job_type)));
                let removed = removed.chain(gone).collect();
                tracing::debug!(jobs = jobs.len(), "views caught up from the change log");
                self.feed.repair(Repair { from, to, read_through, jobs, removed });
            }
            ChangesSince::TooOld | ChangesSince::Ahead | ChangesSince::TooMany => {
                tracing::warn!(
                    "views missed too much: every watch of many jobs catches up by itself"
                );
                self.feed.lose_all(position);
                self.feed.look_again();
            }
        }
        Ok(())
    }
}
