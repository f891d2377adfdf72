//! The change log: which commit did what.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use crate::domain::{BatchId, JobId, Origin, Position, Timestamp};
use crate::store::{Batch, ChangesSince, Committed, RemovedJob, RuleKey, Written};

struct Row {
    batch: BatchId,
    time: Timestamp,
    ids: Vec<JobId>,
    removed: Vec<RemovedJob>,
    rules: Vec<RuleKey>,
}

/// See the module.
pub(super) struct ChangeLog {
    origin: Origin,
    rows: BTreeMap<i64, Row>,
    last: i64,
}

impl Default for ChangeLog {
    fn default() -> Self {
        let origin = Origin { store: Uuid::new_v4(), timeline: 1 };
        Self { origin, rows: BTreeMap::new(), last: 0 }
    }
}

impl ChangeLog {
    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) const fn position(&self) -> Position {
        Position::Sequence(self.last)
    }

    pub(super) fn knows(&self, batch: BatchId) -> bool {
        self.rows.values().any(|row| row.batch == batch)
    }

    /// Notes what a batch did.
    pub(super) fn add(&mut self, batch: &Batch, committed: &Committed) -> Position {
        let creates = batch.creates.iter().map(|new| new.job.id).zip(&committed.creates);
        let writes = batch.writes.iter().map(|write| write.job.id).zip(&committed.writes);
        let done = creates.chain(writes).filter(|(_, written)| **written == Written::Done);
        let ids = done.map(|(id, _)| id).collect();
        let deletes = batch.deletes.iter().zip(&committed.deletes).filter(|(_, gone)| **gone);
        let removed = deletes.map(|(delete, _)| RemovedJob::of(&delete.job)).collect();
        let rules = batch.rules.iter().map(|write| write.key.clone()).collect();
        self.last += 1;
        self.rows.insert(self.last, Row { batch: batch.id, time: batch.now, ids, removed, rules });
        self.position()
    }

    pub(super) fn since(&self, position: &Position, limit: usize) -> ChangesSince {
        let Position::Sequence(after) = *position else { return ChangesSince::TooOld };
        if after > self.last {
            return ChangesSince::Ahead;
        }
        let oldest = self.rows.keys().next().copied().unwrap_or(self.last + 1);
        if after + 1 < oldest {
            return ChangesSince::TooOld;
        }
        let (mut ids, mut removed, mut count) = (HashSet::new(), Vec::new(), 0);
        let mut rules = BTreeSet::new();
        for row in self.rows.range(after + 1..).map(|(_, row)| row) {
            count += row.ids.len() + row.removed.len() + row.rules.len();
            rules.extend(row.rules.iter().cloned());
            ids.extend(row.ids.iter().copied());
            removed.extend(row.removed.iter().cloned());
        }
        if count > limit {
            return ChangesSince::TooMany;
        }
        for gone in &removed {
            ids.remove(&gone.id);
        }
        ChangesSince::Found {
            ids: ids.into_iter().collect(),
            removed,
            ready: Vec::new(),
            rules: rules.into_iter().collect(),
            position: self.position(),
        }
    }

    /// Takes rows away from the oldest on, up to the first that stays: never one from the middle.
    pub(super) fn prune(&mut self, mut stays: impl FnMut(Timestamp) -> bool) {
        while let Some(first) = self.rows.first_entry()
            && !stays(first.get().time)
        {
            first.remove();
        }
    }
}
