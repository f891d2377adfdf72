//! Keeping the views fed: showing commits as they come, and reading again what did not come.

use std::collections::HashSet;

use crate::domain::JobId;
use crate::domain::limits::{LOOP_ROWS_MAX, WATCH_RESUME_CHANGES_MAX};
use crate::runtime::Shutdown;
use crate::store::ChangesSince;
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
    /// Makes running jobs known to the views that reported and are not known there, and reads again
    /// what the views wait for in vain.
    pub async fn keep_views(&self) -> Result<u64> {
        let introduced = self.introduce_strangers().await?;
        self.repair_views().await?;
        Ok(introduced)
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

    /// Reads from the change log what the views wait for since the last time this was asked.
    async fn repair_views(&self) -> Result<()> {
        let Some(Head { position: from, .. }) = self.feed.head() else { return Ok(()) };
        let position = self.loop_db.read(|store| async move { store.position().await }).await?;
        if from.covers(&position) || !self.feed.waits_since_last_asked(&from) {
            return Ok(());
        }
        let since = from.clone();
        let read = self.loop_db.read(move |store| async move {
            store.changes_since(&since, WATCH_RESUME_CHANGES_MAX).await
        });
        match read.await? {
            ChangesSince::Found { ids, removed, position: to, .. } => {
                let (mut jobs, mut read_through) = (Vec::with_capacity(ids.len()), to.clone());
                for some in ids.chunks(LOOP_ROWS_MAX) {
                    let some = some.to_vec();
                    let read = self.loop_db.read(move |store| async move {
                        let jobs = store.load(&some).await?;
                        Ok((jobs, store.position().await?))
                    });
                    let (found, position) = read.await?;
                    jobs.extend(found);
                    read_through = position;
                }
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
            }
        }
        Ok(())
    }
}
