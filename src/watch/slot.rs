//! What is known of one watched job, encoded once for all its watchers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::{Job, Progress, ResourceUsage};

/// A form in which a snapshot is sent: the encoder's own numbering, below [`Encoding::COUNT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(pub usize);

impl Encoding {
    /// How many forms there can be.
    pub const COUNT: usize = 6;
}

/// A job at one version of its slot.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the changes of the job's status in this slot.
    pub version: u64,
    /// The job, with its newest progress.
    pub job: Job,
    encoded: [OnceLock<Bytes>; Encoding::COUNT],
}

impl Snapshot {
    /// A job outside of a slot.
    #[must_use]
    pub fn of(job: Job) -> Self {
        Self { version: 0, job, encoded: Default::default() }
    }

    /// The snapshot in one form, made by `encode` if nobody needed it before.
    pub fn encoded(&self, form: Encoding, encode: impl FnOnce(&Job) -> Bytes) -> Bytes {
        match self.encoded.get(form.0) {
            Some(made) => made.get_or_init(|| encode(&self.job)).clone(),
            None => encode(&self.job),
        }
    }
}

#[derive(Default)]
struct Held {
    job: Option<Job>,
    /// Made of `job` when the first watcher needs it; dropped at each change.
    snapshot: Option<Arc<Snapshot>>,
    /// Counts the changes of `job`.
    version: u64,
    deleted: bool,
    /// Counts the additions to the log.
    logs: u64,
}

impl Held {
    fn latest(&mut self) -> Option<Arc<Snapshot>> {
        if let Some(snapshot) = &self.snapshot {
            return Some(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(Snapshot {
            version: self.version,
            job: self.job.clone()?,
            encoded: Default::default(),
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        Some(snapshot)
    }
}

/// A slot at one moment.
pub struct Glance {
    /// The latest snapshot, once there is one.
    pub latest: Option<Arc<Snapshot>>,
    /// How often lines were added to the log so far.
    pub logs: u64,
    /// Whether the job is gone.
    pub deleted: bool,
}

/// What is known of one watched job.
pub struct Slot {
    held: Mutex<Held>,
    /// Counts every change; what watchers wait on.
    changes: watch::Sender<u64>,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { held: Mutex::new(Held::default()), changes: watch::Sender::new(0) }
    }

    /// Takes a durable state of the job, unless it is older than the one held.
    pub fn offer(&self, job: &Job) {
        self.change(|held| match &mut held.job {
            Some(known) if known.status.revision >= job.status.revision => false,
            Some(known) => {
                let mut next = job.clone();
                keep_newer_progress(&mut next, known);
                *known = next;
                true
            }
            None => {
                held.job = Some(job.clone());
                true
            }
        });
    }

    /// Takes a live progress, unless it is older than the one held or of another lease.
    pub fn offer_progress(
        &self,
        lease_epoch: i64,
        progress: &Progress,
        usage: Option<ResourceUsage>,
    ) {
        self.change(|held| match &mut held.job {
            Some(job)
                if job.status.session().is_some()
                    && job.status.lease_epoch == lease_epoch
                    && job.status.progress.sequence <= progress.sequence
                    && (job.status.progress != *progress || job.status.resource_usage != usage) =>
            {
                job.status.progress.clone_from(progress);
                job.status.resource_usage = usage.or(job.status.resource_usage);
                true
            }
            _ => false,
        });
    }

    /// Notes that lines were added to the job's log.
    pub(super) fn logs_added(&self) {
        self.held.lock().logs += 1;
        self.tell();
    }

    /// Notes that the job is gone.
    pub(super) fn deleted(&self) {
        self.held.lock().deleted = true;
        self.tell();
    }

    fn change(&self, change: impl FnOnce(&mut Held) -> bool) {
        let mut held = self.held.lock();
        if change(&mut held) {
            held.snapshot = None;
            held.version += 1;
            drop(held);
            self.tell();
        }
    }

    fn tell(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The latest snapshot, once there is one.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.held.lock().latest()
    }

    /// All there is to know at one moment.
    pub(super) fn glance(&self) -> Glance {
        let mut held = self.held.lock();
        Glance { latest: held.latest(), logs: held.logs, deleted: held.deleted }
    }

    /// How often lines were added to the log so far.
    #[must_use]
    pub fn logs_version(&self) -> u64 {
        self.held.lock().logs
    }

    /// Whether the job is gone.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.held.lock().deleted
    }

    /// A receiver that hears of each change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A state may be decided on an older progress than watchers have seen: within one lease they keep
/// the newer one while it runs.
fn keep_newer_progress(next: &mut Job, known: &Job) {
    let same_run = next.status.session().is_some()
        && known.status.lease_epoch == next.status.lease_epoch
        && known.status.session().is_some();
    if same_run && known.status.progress.sequence > next.status.progress.sequence {
        next.status.progress.clone_from(&known.status.progress);
        next.status.resource_usage = known.status.resource_usage;
    }
}
