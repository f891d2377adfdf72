//! Who waits for whom.
//!
//! One by one, a commit or an open round keeps all others waiting, as in a database with one writer. With
//! rows locked for themselves it is as in one that reads what is committed: whoever meets a locked
//! job waits for it and looks at it anew, a round passes locked jobs by, and everything else goes on
//! meanwhile. What rounds claim and what commits write of the rules is locked before any job.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use uuid::Uuid;

use crate::domain::JobId;
use crate::store::{Batch, RuleKey};

/// How turns are taken.
#[derive(Clone)]
pub(super) enum Turns {
    OneByOne(Arc<tokio::sync::Mutex<()>>),
    ByRow(Arc<Locks>),
}

impl Default for Turns {
    fn default() -> Self {
        Self::OneByOne(Arc::default())
    }
}

/// Rows, by the ids of jobs and batches, that somebody works on.
#[derive(Default)]
pub(super) struct Locks {
    held: Mutex<BTreeSet<Uuid>>,
    freed: Notify,
}

/// What is held until this is dropped.
pub(super) enum Turn {
    Alone(#[expect(dead_code, reason = "held for its drop")] OwnedMutexGuard<()>),
    Rows(Held),
}

/// Locked rows.
pub(super) struct Held {
    locks: Arc<Locks>,
    ids: Vec<Uuid>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.locks.held.lock();
        for id in &self.ids {
            held.remove(id);
        }
        drop(held);
        self.locks.freed.notify_waiters();
    }
}

impl Held {
    /// Locks one more row, unless somebody else has it.
    fn add(&mut self, id: Uuid) -> bool {
        let free = self.locks.held.lock().insert(id);
        if free {
            self.ids.push(id);
        }
        free
    }

    /// Locks one more row, when it is free.
    async fn wait_for(&mut self, id: Uuid) {
        let locks = Arc::clone(&self.locks);
        loop {
            let mut freed = std::pin::pin!(locks.freed.notified());
            freed.as_mut().enable();
            if self.add(id) {
                return;
            }
            freed.await;
        }
    }
}

impl Turns {
    pub(super) fn by_row() -> Self {
        Self::ByRow(Arc::default())
    }

    /// Waits for the turn of a commit: for the batch's own row, for its rules in the order of their keys,
    /// then for its jobs in the order of their ids. Others have theirs in between.
    pub(super) async fn commit(&self, batch: &Batch) -> Turn {
        let written = batch.writes.iter().map(|write| write.job.id);
        let deleted = batch.deletes.iter().map(|delete| delete.job.id);
        let logged = batch.logs.iter().map(|log| log.job_id);
        let flushed = batch.progress.iter().map(|progress| progress.job_id);
        let jobs: BTreeSet<JobId> = written.chain(deleted).chain(logged).chain(flushed).collect();
        let rules: BTreeSet<&RuleKey> = batch.rules.iter().map(|write| &write.key).collect();
        let rules = rules.into_iter().map(row_of);
        let jobs = jobs.into_iter().map(|id| id.0);
        self.rows(std::iter::once(batch.id.0).chain(rules).chain(jobs)).await
    }

    /// Waits for these rows, one after the other.
    pub(super) async fn rows(&self, ids: impl Iterator<Item = Uuid> + Send) -> Turn {
        let locks = match self {
            Self::OneByOne(writer) => return Turn::Alone(writer.clone().lock_owned().await),
            Self::ByRow(locks) => Arc::clone(locks),
        };
        let mut held = Held { locks, ids: Vec::new() };
        for id in ids {
            held.wait_for(id).await;
            tokio::task::yield_now().await;
        }
        Turn::Rows(held)
    }

    /// The turn of a round, which has nothing yet.
    pub(super) async fn round(&self) -> Turn {
        self.rows(std::iter::empty()).await
    }
}

/// The row by which a rule is locked, whether or not it exists.
fn row_of(key: &RuleKey) -> Uuid {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Beside the ids of jobs and batches, whose upper half is never empty.
    Uuid::from_u64_pair(0, hasher.finish())
}

impl Turn {
    /// Keeps these rules from others, one after the other.
    pub(super) async fn keep(&mut self, keys: impl Iterator<Item = &RuleKey> + Send) {
        if let Self::Rows(held) = self {
            for key in keys {
                held.wait_for(row_of(key)).await;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether a round has this job now.
    pub(super) fn take(&mut self, job: JobId) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Rows(held) => held.add(job.0),
        }
    }
}
