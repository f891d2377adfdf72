//! Every commit on its way to the views: in the order of the change log, each whole.
//!
//! Commits are left in an inbox by whoever made them, and shown by one task ([`Feed::work`]), each when
//! the one before was. One that never comes (its outcome was unknown, it did not fit) leaves a gap that
//! is read again from the change log ([`Feed::repair`]).
//!
//! Over a store that other servers share no commit is left here: only the change log knows their order.
//! Whoever commits, or hears of others who do, has it read again ([`Feed::look_again`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::domain::{Job, JobFilter, JobId, JobType, Position};

use super::change::{Change, Commit};
use super::follower::Follower;
use super::inbox::Inbox;
use super::slot::Snapshot;
use super::ticker::{LiveProgress, Ticker};

mod shared;
mod show;
mod state;

use state::State;

/// How far the views are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// They show everything up to here.
    pub position: Position,
    /// They may show some of what was done up to here: while this lies ahead of `position`, they show
    /// no state that ever was as a whole.
    pub read_through: Position,
}

impl Head {
    /// Whether what the views showed at this head, and at any before `later`, was one committed state.
    #[must_use]
    pub fn is_whole_until(&self, later: &Self) -> bool {
        self.position.covers(&later.read_through)
    }
}

/// No further filter can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// What is bounded.
    pub what: &'static str,
    /// The bound.
    pub limit: usize,
}

/// What was read from the change log, and how those jobs stand now.
#[derive(Debug)]
pub struct Repair {
    /// The position it was read from.
    pub from: Position,
    /// The position it leads to.
    pub to: Position,
    /// The position after the jobs were read.
    pub read_through: Position,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Jobs that were deleted, with their type if it is known.
    pub removed: Vec<(JobId, Option<JobType>)>,
}

/// How much matching there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tried {
    /// Changes that were shown.
    pub changes: u64,
    /// Filters that they were tried against.
    pub filters: u64,
}

struct Inner {
    /// Somebody watches; without that nobody has to leave anything here. Sequentially consistent: a
    /// watcher turns it on before it reads the position, a writer looks after its commit, so a commit
    /// after that position is left here.
    on: AtomicBool,
    inbox: Mutex<Inbox>,
    filled: Notify,
    /// There is something to read: a running job reported that is not known, or others commit, too.
    wanted: Arc<Notify>,
    /// Other servers commit to the same store.
    is_shared: bool,
    state: Mutex<State>,
    tickers: DashMap<JobId, Arc<Ticker>>,
    head: watch::Sender<Option<Head>>,
    live: Arc<dyn LiveProgress>,
    watchers: AtomicUsize,
    views: AtomicUsize,
    changes: AtomicU64,
    filters: AtomicU64,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

impl Feed {
    /// A feed that nobody follows, of jobs whose newest progress `live` knows.
    #[must_use]
    pub fn new(live: Arc<dyn LiveProgress>) -> Self {
        Self::over(live, false)
    }

    /// The same, where other servers commit to the same store.
    #[must_use]
    pub fn of_shared_store(live: Arc<dyn LiveProgress>) -> Self {
        Self::over(live, true)
    }

    fn over(live: Arc<dyn LiveProgress>, is_shared: bool) -> Self {
        Self(Arc::new(Inner {
            on: AtomicBool::new(false),
            inbox: Mutex::default(),
            filled: Notify::new(),
            wanted: Arc::default(),
            is_shared,
            state: Mutex::default(),
            tickers: DashMap::new(),
            head: watch::Sender::new(None),
            live,
            watchers: AtomicUsize::new(0),
            views: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            filters: AtomicU64::new(0),
        }))
    }

    /// Starts following the jobs that match. Follow first, then read the position and tell it
    /// ([`begin_at`](Self::begin_at)), then read the jobs: no change falls in between. With
    /// `with_progress`, progress known already counts as news.
    ///
    /// # Errors
    /// Too many different filters are watched.
    pub fn follow(&self, filter: JobFilter, with_progress: bool) -> Result<Follower, Full> {
        let key = Arc::new(filter);
        let mut state = self.0.state.lock();
        let (view, is_new) = state.enter(&key)?;
        if is_new && !self.0.on.swap(true, Ordering::SeqCst) {
            self.put_strangers(self.0.live.reporting());
        } else if is_new {
            self.show_running(&view);
        }
        // Jobs run that nobody reports of here: on other servers, or since before this one started.
        if (self.0.is_shared || with_progress) && state.meet(&key) {
            self.0.wanted.notify_one();
        }
        self.0.watchers.fetch_add(1, Ordering::Relaxed);
        self.0.views.store(state.views(), Ordering::Relaxed);
        let heads = self.0.head.subscribe();
        Ok(Follower::new(self.clone(), key, view, heads, with_progress))
    }

    pub(super) fn unfollow(&self, key: &Arc<JobFilter>) {
        let mut state = self.0.state.lock();
        state.leave(key);
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
        self.0.views.store(state.views(), Ordering::Relaxed);
        if state.views() == 0 {
            self.0.on.store(false, Ordering::SeqCst);
            state.forget();
            self.0.tickers.clear();
            *self.0.inbox.lock() = Inbox::default();
            self.0.head.send_replace(None);
        }
    }

    /// Tells where the change log is, to be read after [`follow`](Self::follow): what comes later is
    /// left in the inbox. Only the first one who tells is listened to.
    pub fn begin_at(&self, position: Position) {
        let mut state = self.0.state.lock();
        if state.views() > 0 && self.0.head.borrow().is_none() {
            self.move_head(&mut state, position.clone(), position);
            self.show_pending(&mut state);
            // What had to wait for it.
            self.0.wanted.notify_one();
        }
    }

    /// Whether anybody wants to know of commits. Ask after the commit.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.on.load(Ordering::SeqCst)
    }

    /// Leaves a commit to be shown: every one, also if it did nothing to jobs.
    pub fn publish(&self, commit: Commit) {
        self.0.inbox.lock().add(commit);
        self.0.filled.notify_one();
    }

    /// Notes that a running job reported.
    pub fn tick(&self, job_id: JobId) {
        if !self.is_on() {
            return;
        }
        match self.0.tickers.get(&job_id).map(|ticker| Arc::clone(&ticker)) {
            Some(ticker) if ticker.tick() => self.0.inbox.lock().ticked.push(ticker),
            Some(_) => return,
            None => return self.put_strangers([job_id]),
        }
        self.0.filled.notify_one();
    }

    /// Waits until there is something to show. Safe to drop.
    pub async fn filled(&self) {
        if self.0.inbox.lock().is_empty() {
            self.0.filled.notified().await;
        }
    }

    /// Shows what was left in the inbox as far as its turn has come.
    pub fn work(&self) {
        let mut state = self.0.state.lock();
        let (commits, ticked) = self.0.inbox.lock().take();
        state.wait(commits);
        self.show_pending(&mut state);
        for ticker in ticked {
            ticker.unqueue();
            self.show_tick(&ticker);
        }
    }

    /// Signalled when there are [strangers](Self::strangers), or when the change log is to be read.
    #[must_use]
    pub fn wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.0.wanted)
    }

    /// Running jobs that reported and are not known: to be read, after this, and
    /// [introduced](Self::introduce), or put back. One caller at a time.
    ///
    /// None before the views have [begun](Self::begin_at): what happens to a job between the read and
    /// their first position is never shown to them, and nothing would take the older state back.
    #[must_use]
    pub fn strangers(&self, limit: usize) -> Vec<JobId> {
        let mut state = self.0.state.lock();
        if self.head().is_none() {
            return Vec::new();
        }
        let mut strangers = self.0.inbox.lock().take_strangers(limit);
        strangers.retain(|job_id| !self.0.tickers.contains_key(job_id));
        state.await_all(&strangers);
        strangers
    }

    /// Says that running jobs are not known.
    pub fn put_strangers(&self, job_ids: impl IntoIterator<Item = JobId>) {
        if self.is_on() {
            let mut inbox = self.0.inbox.lock();
            job_ids.into_iter().for_each(|job_id| inbox.add_stranger(job_id));
            drop(inbox);
            self.0.wanted.notify_one();
        }
    }

    /// Makes running jobs known that were read, in a state not later than `read_through`.
    pub fn introduce(&self, jobs: Vec<Job>, read_through: Position) {
        let mut state = self.0.state.lock();
        let running = jobs.into_iter().filter(|job| job.status.session().is_some());
        state.introduce(running.map(|job| Arc::new(Snapshot::of(job))), read_through);
        self.show_introduced(&mut state);
    }

    /// How far the views are; `None` if nobody watches.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.0.head.borrow().clone()
    }

    /// Whether the views stood at `position` already when this was asked before: then the commit that
    /// follows does not come by itself.
    #[must_use]
    pub fn waits_since_last_asked(&self, position: &Position) -> bool {
        self.0.state.lock().is_seen_again(position)
    }

    /// Shows what was read from the change log, unless the views have gone on meanwhile.
    pub fn repair(&self, repair: Repair) {
        let mut state = self.0.state.lock();
        if self.head().is_none_or(|head| head.position != repair.from) {
            return;
        }
        let read = repair.jobs.into_iter().map(|job| Change::Put {
            before: super::Before::Unknown,
            after: Arc::new(Snapshot::of(job)),
        });
        let gone = repair.removed.into_iter();
        let gone = gone.map(|(job_id, job_type)| Change::Gone { job_id, job_type, before: None });
        let mut changes: Vec<Change> = read.chain(gone).collect();
        state.leave_news(&mut changes);
        state.is_ahead(&changes, &repair.read_through);
        // First the head: who takes some of it finds that it is not whole.
        self.move_head(&mut state, repair.from, repair.read_through.clone());
        self.show(&mut state, &changes);
        self.move_head(&mut state, repair.to, repair.read_through);
        self.show_pending(&mut state);
    }

    /// Goes on from `position` without what came before: every watcher is told that it misses
    /// something.
    pub fn lose_all(&self, position: Position) {
        let mut state = self.0.state.lock();
        state.each_view(|view| view.lose_all());
        state.unknow();
        self.0.tickers.clear();
        self.put_strangers(self.0.live.reporting());
        self.move_head(&mut state, position.clone(), position);
        self.show_pending(&mut state);
    }

    /// Watchers of many jobs.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::Relaxed)
    }

    /// Different filters that are watched.
    #[must_use]
    pub fn views(&self) -> usize {
        self.0.views.load(Ordering::Relaxed)
    }

    /// How much matching there was so far.
    #[must_use]
    pub fn tried(&self) -> Tried {
        Tried {
            changes: self.0.changes.load(Ordering::Relaxed),
            filters: self.0.filters.load(Ordering::Relaxed),
        }
    }

    /// Notes how far the views are; watchers that wait for it hear of it.
    fn move_head(&self, state: &mut State, position: Position, read_through: Position) {
        state.came_to(&position);
        let before = self.head().map(|head| head.read_through);
        let read_through = match before {
            Some(before) if before.covers(&read_through) => before,
            _ => read_through,
        };
        self.0.head.send_replace(Some(Head { position, read_through }));
    }
}

/// Filters tried and changes shown, to be added up.
type Counted = (u64, u64);

impl Inner {
    fn count(&self, (changes, filters): Counted) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
        self.filters.fetch_add(filters, Ordering::Relaxed);
    }
}

/// What a commit means to each view, gathered before any of them is told.
type Told = HashMap<*const super::view::View, (Arc<super::view::View>, Vec<super::Event>)>;

#[cfg(test)]
mod tests;
