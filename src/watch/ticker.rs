//! A running job whose progress the views want to hear of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::{JobId, Progress, ResourceUsage};

use super::slot::Snapshot;
use super::view::View;

/// Where the newest progress of running jobs is found.
pub trait LiveProgress: Send + Sync + 'static {
    /// The newest progress and usage of a job under this lease, if it reports here.
    fn newest(&self, id: JobId, lease_epoch: i64) -> Option<(Progress, Option<ResourceUsage>)>;
    /// Every job that reports here.
    fn reporting(&self) -> Vec<JobId>;
}

/// See the module. Views hold it by reference: a tick costs each of them a place in line, and the
/// snapshot is made when the first watcher takes it.
pub struct Ticker {
    live: Arc<dyn LiveProgress>,
    ticks: AtomicU64,
    /// It waits to be shown to its views.
    queued: AtomicBool,
    held: Mutex<Held>,
}

struct Held {
    durable: Arc<Snapshot>,
    /// Made at this many ticks.
    made: Option<(u64, Arc<Snapshot>)>,
    /// Views that match it.
    views: Vec<Arc<View>>,
    /// What another server wrote of its progress, and under which lease.
    elsewhere: Option<(i64, Reported)>,
}

/// Progress and usage.
type Reported = (Progress, Option<ResourceUsage>);

impl Ticker {
    pub(super) fn new(
        live: Arc<dyn LiveProgress>,
        durable: Arc<Snapshot>,
        views: Vec<Arc<View>>,
    ) -> Self {
        let held = Mutex::new(Held { durable, made: None, views, elsewhere: None });
        Self { live, ticks: AtomicU64::new(0), queued: AtomicBool::new(false), held }
    }

    /// Notes a tick; answers whether it is to be put in line. Takes no lock: it is called as often as
    /// workers report.
    pub(super) fn tick(&self) -> bool {
        self.ticks.fetch_add(1, Ordering::AcqRel);
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// Takes up what another server wrote; answers whether it is news.
    pub(super) fn hear(&self, lease_epoch: i64, reported: Reported) -> bool {
        let mut held = self.held.lock();
        let is_old = held.elsewhere.as_ref().is_some_and(|(epoch, known)| {
            let (known_at, at) = ((*epoch, known.0.sequence), (lease_epoch, reported.0.sequence));
            known_at > at || (known_at == at && known.1 == reported.1)
        });
        if is_old {
            return false;
        }
        held.elsewhere = Some((lease_epoch, reported));
        true
    }

    /// Takes it out of line.
    pub(super) fn unqueue(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// The job as a commit left it, and the views that match it now.
    pub(super) fn stand(&self, durable: Arc<Snapshot>, views: Vec<Arc<View>>) {
        let mut held = self.held.lock();
        held.durable = durable;
        held.views = views;
        held.made = None;
    }

    pub(super) fn add_view(&self, view: &Arc<View>) {
        self.held.lock().views.push(Arc::clone(view));
    }

    /// The views that match it and are still watched.
    pub(super) fn views(&self) -> Vec<Arc<View>> {
        let mut held = self.held.lock();
        held.views.retain(|view| !view.is_closed());
        held.views.clone()
    }

    pub(super) fn durable(&self) -> Arc<Snapshot> {
        Arc::clone(&self.held.lock().durable)
    }

    /// Whether more is known than the durable state says.
    pub(super) fn is_ahead(&self) -> bool {
        let held = self.held.lock();
        self.newer(&held).is_some()
    }

    /// The newest progress under the lease it has, from wherever it was reported.
    fn newest(&self, held: &Held) -> Option<Reported> {
        let (id, lease_epoch) = (held.durable.job.id, held.durable.job.status.lease_epoch);
        let elsewhere = held.elsewhere.as_ref().filter(|(epoch, _)| *epoch == lease_epoch);
        let elsewhere = elsewhere.map(|(_, reported)| reported);
        match (self.live.newest(id, lease_epoch), elsewhere) {
            (Some(here), Some(there)) if there.0.sequence > here.0.sequence => Some(there.clone()),
            (Some(here), _) => Some(here),
            (None, there) => there.cloned(),
        }
    }

    fn newer(&self, held: &Held) -> Option<Reported> {
        let status = &held.durable.job.status;
        let (progress, usage) = self.newest(held)?;
        let newer = progress.sequence > status.progress.sequence || usage != status.resource_usage;
        (newer && progress.sequence >= status.progress.sequence).then_some((progress, usage))
    }

    /// The job with its newest progress.
    pub(super) fn latest(&self) -> Arc<Snapshot> {
        let ticks = self.ticks.load(Ordering::Acquire);
        let mut held = self.held.lock();
        if let Some((at, made)) = &held.made
            && *at == ticks
        {
            return Arc::clone(made);
        }
        let latest = match self.newer(&held) {
            Some((progress, usage)) => {
                let mut job = held.durable.job.clone();
                job.status.progress = progress;
                job.status.resource_usage = usage.or(job.status.resource_usage);
                Arc::new(Snapshot::of(job))
            }
            None => Arc::clone(&held.durable),
        };
        held.made = Some((ticks, Arc::clone(&latest)));
        latest
    }
}
