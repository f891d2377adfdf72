//! A running job whose progress the views want to hear of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::domain::{Job, JobId, Progress, ResourceUsage};

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
}

impl Ticker {
    pub(super) fn new(
        live: Arc<dyn LiveProgress>,
        durable: Arc<Snapshot>,
        views: Vec<Arc<View>>,
    ) -> Self {
        let held = Mutex::new(Held { durable, made: None, views });
        Self { live, ticks: AtomicU64::new(0), queued: AtomicBool::new(false), held }
    }

    /// Notes a tick; answers whether it is to be put in line. Takes no lock: it is called as often as
    /// workers report.
    pub(super) fn tick(&self) -> bool {
        self.ticks.fetch_add(1, Ordering::AcqRel);
        !self.queued.swap(true, Ordering::AcqRel)
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
        let durable = self.durable();
        self.newest(&durable.job).is_some()
    }

    /// Whether its progress is known here. Watchers that were away may have missed it even where the
    /// durable state has caught up with it: writing progress is no change of the job.
    pub(super) fn is_live(&self) -> bool {
        let durable = self.durable();
        self.live.newest(durable.job.id, durable.job.status.lease_epoch).is_some()
    }

    fn newest(&self, job: &Job) -> Option<(Progress, Option<ResourceUsage>)> {
        let status = &job.status;
        let (progress, usage) = self.live.newest(job.id, status.lease_epoch)?;
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
        let latest = match self.newest(&held.durable.job) {
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
