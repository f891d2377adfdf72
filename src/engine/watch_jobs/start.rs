//! How a watch of many jobs begins.

use std::collections::HashMap;
use std::sync::Arc;

use crate::auth::Caller;
use crate::domain::limits::{WATCH_JOBS_COUNTED_MAX, WATCH_JOBS_MAX};
use crate::domain::{JobFilter, StateKind};
use crate::runtime::Clock;

use super::super::Engine;
use super::super::error::{Error, Result};
use super::held::Held;
use super::{JobsWatch, Phase, Start, WatchJobs};

impl WatchJobs {
    /// The filter in the one way of writing it, so that equal wishes share a view and a token: without
    /// states, those that are not over.
    #[must_use]
    pub fn normalized(mut filter: JobFilter) -> JobFilter {
        if filter.states.is_empty() {
            filter.states = vec![StateKind::Pending, StateKind::Running];
        }
        filter.normalized()
    }
}

impl Engine {
    /// Starts watching many jobs: first the view, then the position, then the jobs, so nothing falls in
    /// between.
    ///
    /// # Errors
    /// If too many jobs match, too many filters are watched, or the store fails.
    pub async fn watch_jobs(&self, _caller: &Caller, wish: WatchJobs) -> Result<JobsWatch> {
        let resumes = matches!(wish.start, Start::After(_));
        let follower = self
            .feed
            .follow(wish.filter.clone(), resumes)
            .map_err(|full| Error::LimitExceeded { what: full.what, limit: full.limit as u64 })?;
        let read = self
            .db
            .read(|store| async move { Ok((store.origin().await?, store.position().await?)) });
        let (origin, now) = read.await?;
        self.feed.begin_at(now.clone());
        let mut watch = JobsWatch {
            engine: self.clone(),
            filter: Arc::new(wish.filter),
            full: wish.full,
            min_interval: wish.min_interval,
            origin,
            follower,
            phase: Phase::Paging(None),
            held: Held::new(true),
            ticks: HashMap::new(),
            position: now.clone(),
            is_starting: true,
            is_dirty: false,
            last_round: None,
            last_bookmark: Clock::monotonic(),
        };
        match wish.start {
            Start::Snapshot => watch.check_size().await?,
            Start::Now => {
                watch.held = Held::new(false);
                watch.phase = Phase::Settling(now);
            }
            Start::After(resume) => {
                watch.held = Held::new(false);
                watch.phase = Phase::CatchingUp;
                watch.position = resume.position;
                // The bookmark that ends the catching up is an end of nothing.
                watch.is_starting = false;
                if resume.origin != origin {
                    watch.phase = Phase::Lost;
                }
            }
        }
        Ok(watch)
    }
}

impl JobsWatch {
    /// Whether the client can be sent all that match.
    pub(super) async fn check_size(&self) -> Result<()> {
        let filter = Arc::clone(&self.filter);
        let count = |cap: u64| {
            let filter = Arc::clone(&filter);
            self.engine.db.read(move |store| async move { store.count(&filter, cap).await })
        };
        if count(WATCH_JOBS_MAX + 1).await? <= WATCH_JOBS_MAX {
            return Ok(());
        }
        let count = count(WATCH_JOBS_COUNTED_MAX).await?;
        Err(Error::TooManyMatch { count, limit: WATCH_JOBS_MAX })
    }
}
