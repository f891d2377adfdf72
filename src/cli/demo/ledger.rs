//! What the workers did, by their own account: to be held against what the server says.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The work is done: so many items.
    Done(u64),
    /// It failed.
    Failed,
    /// It was stopped, as was asked.
    Cancelled,
}

/// What became of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The endings that the server took, by lease epoch.
    pub endings: BTreeMap<i64, Ending>,
    /// Endings that it has not answered yet.
    waiting: BTreeMap<i64, Ending>,
    /// Endings that it refused.
    pub refused: u32,
}

/// What the workers did. Cheap to clone; all share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Entry>>>);

impl Ledger {
    /// A worker reported how an execution ended.
    pub fn reported(&self, job_id: &str, epoch: i64, ending: Ending) {
        self.0.lock().entry(job_id.to_owned()).or_default().waiting.insert(epoch, ending);
    }

    /// The server answered.
    pub fn answered(&self, job_id: &str, epoch: i64, taken: bool) {
        let mut entries = self.0.lock();
        let entry = entries.entry(job_id.to_owned()).or_default();
        match entry.waiting.remove(&epoch) {
            Some(ending) if taken => drop(entry.endings.insert(epoch, ending)),
            Some(_) => entry.refused += 1,
            None => {}
        }
    }

    /// Whether the server has answered everything.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.0.lock().values().all(|entry| entry.waiting.is_empty())
    }

    /// Everything, by job.
    #[must_use]
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        self.0.lock().clone()
    }
}
