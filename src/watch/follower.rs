//! One watcher of many jobs: a place in a view.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::{JobFilter, Position};

use super::feed::{Feed, Head};
use super::slot::Snapshot;
use super::view::{Cursor, Event, View};

/// What a follower has not seen before.
pub struct News {
    /// Everything up to here is in it, or was before.
    pub head: Head,
    /// The latest event of each job that changed; `None` if the view does not reach back that far.
    pub changes: Option<Vec<Event>>,
    /// Running jobs with progress that was not seen, as of the same moment.
    pub ticks: Vec<Arc<Snapshot>>,
}

/// Watches the jobs of one filter; ends when dropped.
pub struct Follower {
    feed: Feed,
    key: Arc<JobFilter>,
    view: Arc<View>,
    cursor: Cursor,
    versions: watch::Receiver<u64>,
    heads: watch::Receiver<Option<Head>>,
}

impl Follower {
    pub(super) fn new(
        feed: Feed,
        key: Arc<JobFilter>,
        view: Arc<View>,
        heads: watch::Receiver<Option<Head>>,
        with_ticks: bool,
    ) -> Self {
        let (cursor, versions) = view.enter(with_ticks);
        Self { feed, key, view, cursor, versions, heads }
    }

    /// All that was not seen, as of one moment between two commits; it counts as seen then. `None` if
    /// no position is known yet.
    pub fn take(&mut self) -> Option<News> {
        // Before the look: the view holds at least what the head says.
        let head = self.heads.borrow().clone()?;
        self.versions.mark_unchanged();
        let drained = self.view.drain(&mut self.cursor);
        Some(News { head, changes: drained.durable, ticks: drained.ticks })
    }

    /// Counts every change so far as seen: whoever missed some is told otherwise.
    pub fn skip(&mut self) {
        self.view.skip(&mut self.cursor);
    }

    /// How far the views are.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.heads.borrow().clone()
    }

    /// Waits until the views show everything up to `position`. Safe to drop.
    pub async fn reached(&mut self, position: &Position) {
        let shows =
            |head: &Option<Head>| head.as_ref().is_some_and(|head| head.position.covers(position));
        // The sender lives in the feed, which this follower keeps.
        let _ = self.heads.wait_for(shows).await;
    }

    /// Waits for something not seen yet. Safe to drop.
    pub async fn changed(&mut self) {
        // The sender lives in the view, which this follower keeps.
        let _ = self.versions.changed().await;
    }

    /// Whether something was not seen that watchers hear of at once.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.view.is_urgent(self.cursor)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.view.leave(self.cursor);
        self.feed.unfollow(&self.key);
    }
}
