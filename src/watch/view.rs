//! What has changed among the jobs of one filter: the latest event of each job, in the order of the
//! changes. Watchers are places in that order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::limits::WATCH_DIRTY_MAX;
use crate::domain::{JobFilter, JobId};

use super::slot::Snapshot;
use super::ticker::Ticker;

/// Why a job is not among those watched any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was deleted.
    Deleted,
    /// It does not match any more.
    Unmatched,
}

/// What became of a job of a view.
#[derive(Debug, Clone)]
pub enum Event {
    /// It matches, and is like this.
    Upsert(Arc<Snapshot>),
    /// It is not among those watched any more.
    Removed {
        /// Its id.
        job_id: JobId,
        /// Why.
        why: Why,
        /// How it is now, unless it was deleted.
        job: Option<Arc<Snapshot>>,
    },
}

impl Event {
    /// The job it is about.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        match self {
            Self::Upsert(snapshot) => snapshot.job.id,
            Self::Removed { job_id, .. } => *job_id,
        }
    }

    /// Whether watchers hear of it at once: a job came to its end, or is gone.
    fn is_urgent(&self) -> bool {
        match self {
            Self::Upsert(snapshot) => snapshot.job.status.kind().is_terminal(),
            Self::Removed { job, .. } => {
                job.as_ref().is_none_or(|snapshot| snapshot.job.status.kind().is_terminal())
            }
        }
    }
}

/// A place in a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Durable changes up to this version were taken.
    pub(super) durable: u64,
    /// Ticks up to this version were taken.
    pub(super) ticks: u64,
}

/// What a watcher finds that comes back.
pub(super) struct Drained {
    /// The changes it has not seen; `None` if some of them are not kept any more.
    pub(super) durable: Option<Vec<Event>>,
    /// Running jobs whose progress it has not seen.
    pub(super) ticks: Vec<Arc<Snapshot>>,
}

#[derive(Default)]
struct Log {
    /// Counts all changes and ticks.
    version: u64,
    entries: HashMap<JobId, (u64, Event)>,
    order: BTreeMap<u64, JobId>,
    /// Changes up to this version may be missing.
    floor: u64,
    /// The last change that is not to wait.
    urgent: u64,
    /// How many watchers stand where; what all of them have taken is let go.
    places: BTreeMap<u64, usize>,
    /// Running jobs that reported: as many as run, so they need no other bound.
    ticks: HashMap<JobId, (u64, Arc<Ticker>)>,
    tick_order: BTreeMap<u64, JobId>,
}

/// See the module.
pub struct View {
    filter: JobFilter,
    log: Mutex<Log>,
    /// The last version; what watchers wait on.
    versions: watch::Sender<u64>,
    closed: AtomicBool,
}

impl View {
    pub(super) fn new(filter: JobFilter) -> Self {
        Self {
            filter,
            log: Mutex::new(Log::default()),
            versions: watch::Sender::new(0),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) const fn filter(&self) -> &JobFilter {
        &self.filter
    }

    /// Nobody watches it any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Takes all that one commit did to its jobs.
    pub(super) fn apply(&self, events: Vec<Event>) {
        let mut log = self.log.lock();
        for event in events {
            log.take(event);
        }
        log.trim();
        let version = log.version;
        drop(log);
        self.versions.send_replace(version);
    }

    /// Says that running jobs reported.
    pub(super) fn tick(&self, job_id: JobId, ticker: &Arc<Ticker>) {
        let mut log = self.log.lock();
        log.version += 1;
        let version = log.version;
        if let Some((before, _)) = log.ticks.insert(job_id, (version, Arc::clone(ticker))) {
            log.tick_order.remove(&before);
        }
        log.tick_order.insert(version, job_id);
        drop(log);
        self.versions.send_replace(version);
    }

    /// Lets every watcher know that it misses something.
    pub(super) fn lose_all(&self) {
        let mut log = self.log.lock();
        log.version += 1;
        log.floor = log.version;
        log.entries.clear();
        log.order.clear();
        // Their tickers are known no more.
        log.ticks.clear();
        log.tick_order.clear();
        let version = log.version;
        drop(log);
        self.versions.send_replace(version);
    }

    /// A new watcher: it sees what comes from now on, and also the progress that is known already if
    /// `with_ticks`.
    pub(super) fn enter(&self, with_ticks: bool) -> (Cursor, watch::Receiver<u64>) {
        let mut log = self.log.lock();
        let now = log.version;
        *log.places.entry(now).or_default() += 1;
        let ticks = if with_ticks { 0 } else { now };
        (Cursor { durable: now, ticks }, self.versions.subscribe())
    }

    /// A watcher goes.
    pub(super) fn leave(&self, cursor: Cursor) {
        self.log.lock().unplace(cursor.durable);
    }

    /// Moves a watcher to the end, past what it has not taken.
    pub(super) fn skip(&self, cursor: &mut Cursor) {
        let mut log = self.log.lock();
        log.unplace(cursor.durable);
        cursor.durable = log.version;
        *log.places.entry(cursor.durable).or_default() += 1;
        log.trim();
    }

    /// Whether something that is not to wait came after `cursor`.
    pub(super) fn is_urgent(&self, cursor: Cursor) -> bool {
        let log = self.log.lock();
        log.urgent > cursor.durable || log.floor > cursor.durable
    }

    /// All that came after `cursor`, which is moved there.
    pub(super) fn drain(&self, cursor: &mut Cursor) -> Drained {
        let mut log = self.log.lock();
        if cursor.durable < log.floor {
            return Drained { durable: None, ticks: Vec::new() };
        }
        let unseen = log.order.range(cursor.durable + 1..).map(|(_, id)| id);
        let durable =
            unseen.filter_map(|id| log.entries.get(id)).map(|(_, event)| event.clone()).collect();
        let unseen = log.tick_order.range(cursor.ticks + 1..).map(|(_, id)| id);
        let ticks =
            unseen.filter_map(|id| log.ticks.get(id)).map(|(_, ticker)| ticker.latest()).collect();
        log.unplace(cursor.durable);
        *cursor = Cursor { durable: log.version, ticks: log.version };
        *log.places.entry(cursor.durable).or_default() += 1;
        log.trim();
        Drained { durable: Some(durable), ticks }
    }
}

impl Log {
    fn take(&mut self, event: Event) {
        let job_id = event.job_id();
        self.version += 1;
        let version = self.version;
        if event.is_urgent() {
            self.urgent = version;
        }
        if let Some((before, _)) = self.entries.insert(job_id, (version, event)) {
            self.order.remove(&before);
        }
        self.order.insert(version, job_id);
        // What was reported before it is of an older state; whoever knows better ticks again.
        if let Some((before, _)) = self.ticks.remove(&job_id) {
            self.tick_order.remove(&before);
        }
    }

    fn unplace(&mut self, version: u64) {
        if let Some(watchers) = self.places.get_mut(&version) {
            *watchers -= 1;
            if *watchers == 0 {
                self.places.remove(&version);
            }
        }
    }

    /// Lets go of what every watcher has taken, and of what is too much for one of them.
    fn trim(&mut self) {
        let taken_by_all = self.places.keys().next().copied().unwrap_or(self.version);
        while let Some(first) = self.order.first_entry() {
            let too_many = self.entries.len() > WATCH_DIRTY_MAX;
            if *first.key() > taken_by_all {
                if !too_many {
                    break;
                }
                self.floor = *first.key();
            }
            let job_id = first.remove();
            self.entries.remove(&job_id);
        }
    }
}
