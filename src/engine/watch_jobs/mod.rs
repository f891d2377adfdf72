//! Watching many jobs: what each watcher is sent, and where it goes on when it comes back.
//!
//! Owns: the order of a start (follow, position, pages, the changes meanwhile, the end of the
//! snapshot), pace and bookmarks ([`JobsWatch`]), what a client holds ([`held`]), catching up from the
//! change log, and keeping the views fed ([`keeper`]).
//! Does not own: matching and conflation (`watch`), tokens and messages (`grpc`).
//! Entry: [`Engine::watch_jobs`].
//! Invariants: what is sent of one job never goes back in revision nor, within it, in (lease epoch,
//! progress sequence); a position that is told lies behind everything that was sent, and all up to it
//! was sent or is newer there; progress from memory follows the bookmark of its revision, so that a
//! resume after a crash does not bring an older one.

mod held;
mod keeper;
mod start;
mod ticks;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::limits::WATCH_BOOKMARK_EVERY;
use crate::domain::{JobFilter, JobId, Origin, Position};
use crate::runtime::Clock;
use crate::watch::{Event, Follower, News, Snapshot, Why};

use super::Engine;
use super::error::Result;

use held::Held;
pub(super) use keeper::feed;

/// A wish to watch many jobs.
#[derive(Debug, Clone)]
pub struct WatchJobs {
    /// Which jobs, normalized; without states those that are not over.
    pub filter: JobFilter,
    /// Whether payloads and results are wanted.
    pub full: bool,
    /// Where to begin.
    pub start: Start,
    /// Least time between two rounds of changes.
    pub min_interval: Duration,
}

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the jobs that match.
    Snapshot,
    /// With what changes from now on.
    Now,
    /// Where an earlier one was.
    After(Resume),
}

/// Where a watch was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The change log it was at.
    pub origin: Origin,
    /// The place there.
    pub position: Position,
}

/// What a watcher is to be sent.
#[derive(Debug, Clone)]
pub enum Sent {
    /// A job that matches, as it is.
    Job(Arc<Snapshot>),
    /// A job that is not among those watched any more.
    Removed {
        /// Its id.
        job_id: JobId,
        /// Why.
        why: Why,
        /// How it is now, unless it was deleted.
        job: Option<Arc<Snapshot>>,
    },
    /// The client holds one committed state; resume from here.
    SnapshotEnd(Resume),
    /// Everything up to here was sent; resume from here.
    Bookmark(Resume),
    /// Forget everything: a new snapshot follows.
    Reset,
}

/// What a watch does next.
enum Phase {
    /// Read the next page of matching jobs, those with a lower id.
    Paging(Option<JobId>),
    /// Tell the client to forget everything, and begin with a snapshot.
    Lost,
    /// Ask the change log what happened since the position.
    CatchingUp,
    /// Read these jobs that the change log named.
    Loading(Vec<JobId>),
    /// Wait until the views show everything up to here, and tell it.
    Settling(Position),
    /// Wait for changes.
    Live,
}

/// One watch of many jobs.
pub struct JobsWatch {
    engine: Engine,
    filter: Arc<JobFilter>,
    full: bool,
    min_interval: Duration,
    origin: Origin,
    follower: Follower,
    phase: Phase,
    held: Held,
    /// Progress that is not sent yet: it follows a bookmark, or is looked up first.
    ticks: HashMap<JobId, Arc<Snapshot>>,
    /// Everything up to here was sent.
    position: Position,
    /// The end of the first snapshot is still to be told.
    is_starting: bool,
    /// Something changed that was not looked at.
    is_dirty: bool,
    last_round: Option<Instant>,
    last_bookmark: Instant,
}

impl JobsWatch {
    /// Waits for what is to be sent next; may answer nothing, when more is to be done. Safe to drop.
    ///
    /// # Errors
    /// If the store fails, or if there are too many jobs for a new snapshot.
    pub async fn next(&mut self) -> Result<Vec<Sent>> {
        match &mut self.phase {
            Phase::Paging(before) => {
                let before = *before;
                self.page(before).await
            }
            Phase::Lost => self.start_over().await,
            Phase::CatchingUp => self.catch_up().await,
            Phase::Loading(ids) => {
                let ids = std::mem::take(ids);
                // Put back first: a caller that goes away in between loses nothing.
                self.phase = Phase::Loading(ids.clone());
                self.load(ids).await
            }
            Phase::Settling(through) => {
                let through = through.clone();
                self.settle(&through).await
            }
            Phase::Live if !self.ticks.is_empty() => self.look_up().await,
            Phase::Live => self.round().await,
        }
    }

    /// Sends what happened while jobs were read; when that is a committed state as a whole, says so.
    async fn settle(&mut self, through: &Position) -> Result<Vec<Sent>> {
        // A position may have moved on without any commit that would have the views read again.
        self.engine.feed.look_again();
        self.follower.reached(through).await;
        let Some(news) = self.follower.take() else { return Ok(Vec::new()) };
        let Some(mut sent) = self.take_changes(news.changes) else { return Ok(Vec::new()) };
        match self.follower.head() {
            Some(later) if !news.head.is_whole_until(&later) => {
                self.phase = Phase::Settling(later.read_through);
                self.keep(news.ticks);
            }
            _ => {
                self.phase = Phase::Live;
                self.position = news.head.position;
                self.last_bookmark = Clock::monotonic();
                let here = self.here();
                let is_first = std::mem::replace(&mut self.is_starting, false);
                sent.push(if is_first { Sent::SnapshotEnd(here) } else { Sent::Bookmark(here) });
                self.take_ticks(news.ticks, &mut sent);
            }
        }
        Ok(sent)
    }

    /// Waits for changes, holds them back to the pace that is wanted, and sends them with a bookmark.
    async fn round(&mut self) -> Result<Vec<Sent>> {
        let bookmark_due = self.last_bookmark + WATCH_BOOKMARK_EVERY;
        if !self.is_dirty {
            tokio::select! {
                () = self.follower.changed() => self.is_dirty = true,
                () = tokio::time::sleep_until(bookmark_due) => {}
            }
        }
        let due = self.last_round.map(|last| last + self.min_interval).filter(|_| self.is_dirty);
        while let Some(due) = due.filter(|due| Clock::monotonic() < *due)
            && !self.follower.is_urgent()
        {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.follower.changed() => {}
            }
        }
        self.is_dirty = false;
        let Some(News { head, changes, ticks }) = self.follower.take() else {
            return Ok(Vec::new());
        };
        let Some(mut sent) = self.take_changes(changes) else { return Ok(Vec::new()) };
        let now = Clock::monotonic();
        if !sent.is_empty() || !ticks.is_empty() {
            self.last_round = Some(now);
        }
        let is_due = now >= bookmark_due;
        if head.position != self.position && (is_due || !sent.is_empty()) {
            self.position = head.position;
            self.last_bookmark = now;
            sent.push(Sent::Bookmark(self.here()));
        } else if is_due {
            self.last_bookmark = now;
        }
        self.take_ticks(ticks, &mut sent);
        Ok(sent)
    }

    /// What of these changes is news to the client; `None` if some were lost: then the change log has
    /// them.
    fn take_changes(&mut self, changes: Option<Vec<Event>>) -> Option<Vec<Sent>> {
        let Some(changes) = changes else {
            self.phase = Phase::CatchingUp;
            return None;
        };
        Some(changes.into_iter().filter_map(|event| self.change(event)).collect())
    }

    /// What a durable change means to the client.
    fn change(&mut self, event: Event) -> Option<Sent> {
        if let Event::Removed { job_id, .. } = &event {
            // What was kept of it is older.
            self.ticks.remove(job_id);
        }
        self.held.change(event)
    }

    fn here(&self) -> Resume {
        Resume { origin: self.origin, position: self.position.clone() }
    }
}
