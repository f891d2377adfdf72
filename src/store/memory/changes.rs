//! The change log: which commit did what.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::domain::status::State;
use crate::domain::{BatchId, Job, JobId, JobType, Origin, Position, QueueName, Timestamp};
use crate::store::{Batch, ChangesSince, Committed, Ready, RemovedJob, RuleKey, Written};

struct Row {
    batch: BatchId,
    transaction: u64,
    time: Timestamp,
    ids: Vec<JobId>,
    removed: Vec<RemovedJob>,
    rules: Vec<RuleKey>,
    ready: Vec<Ready>,
}

/// See the module.
pub(super) struct ChangeLog {
    origin: Origin,
    rows: BTreeMap<i64, Row>,
    last: i64,
    /// Of a shared store, whose commits become visible in another order than they are numbered in.
    transactions: Option<Transactions>,
}

/// Numbers that commits get when they begin.
#[derive(Default)]
struct Transactions {
    next: u64,
    under_way: BTreeSet<u64>,
    /// Those whose rows were taken away.
    pruned: BTreeSet<u64>,
}

impl Transactions {
    fn snapshot(&self) -> Position {
        Position::snapshot(self.next, self.under_way.iter().copied().collect())
    }
}

impl Default for ChangeLog {
    fn default() -> Self {
        let origin = Origin { store: Uuid::new_v4(), timeline: 1 };
        Self { origin, rows: BTreeMap::new(), last: 0, transactions: None }
    }
}

impl ChangeLog {
    /// With snapshots for positions, as a store has them that several servers write to at once.
    pub(super) fn shared() -> Self {
        Self { transactions: Some(Transactions::default()), ..Self::default() }
    }

    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn position(&self) -> Position {
        match &self.transactions {
            Some(transactions) => transactions.snapshot(),
            None => Position::Sequence(self.last),
        }
    }

    pub(super) fn knows(&self, batch: BatchId) -> bool {
        self.rows.values().any(|row| row.batch == batch)
    }

    /// A commit is about to be made: its number.
    pub(super) fn begin(&mut self) -> u64 {
        let Some(transactions) = &mut self.transactions else { return 0 };
        transactions.next += 1;
        let number = transactions.next - 1;
        transactions.under_way.insert(number);
        number
    }

    /// It is made, or will not be.
    pub(super) fn end(&mut self, transaction: u64) {
        if let Some(transactions) = &mut self.transactions {
            transactions.under_way.remove(&transaction);
        }
    }

    /// Notes what a batch did.
    pub(super) fn add(
        &mut self,
        batch: &Batch,
        committed: &Committed,
        transaction: u64,
    ) -> Position {
        let creates = batch.creates.iter().map(|new| &new.job).zip(&committed.creates);
        let writes = batch.writes.iter().map(|write| &write.job).zip(&committed.writes);
        let done = creates.chain(writes).filter(|(_, written)| **written == Written::Done);
        let done: Vec<&Job> = done.map(|(job, _)| job).collect();
        let deletes = batch.deletes.iter().zip(&committed.deletes).filter(|(_, gone)| **gone);
        let row = Row {
            batch: batch.id,
            transaction,
            time: batch.now,
            ids: done.iter().map(|job| job.id).collect(),
            removed: deletes.map(|(delete, _)| RemovedJob::of(&delete.job)).collect(),
            rules: batch.rules.iter().map(|write| write.key.clone()).collect(),
            ready: done.iter().filter_map(|job| ready(job)).collect(),
        };
        self.last += 1;
        self.rows.insert(self.last, row);
        if self.transactions.is_some() {
            return Position::Transaction(transaction);
        }
        self.position()
    }

    /// Of the commits `known` only which rules they changed.
    pub(super) fn since(
        &self,
        position: &Position,
        known: &BTreeSet<u64>,
        limit: usize,
    ) -> ChangesSince {
        let rows = match &self.transactions {
            Some(transactions) => self.unseen(transactions, position),
            None => self.later(position),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(answer) => return *answer,
        };
        let (mut ids, mut removed, mut count) = (HashSet::new(), Vec::new(), 0);
        let mut ready: HashMap<(QueueName, JobType), Timestamp> = HashMap::new();
        let mut rules = BTreeSet::new();
        for row in rows {
            count += row.rules.len();
            rules.extend(row.rules.iter().cloned());
            if known.contains(&row.transaction) {
                continue;
            }
            count += row.ids.len() + row.removed.len();
            ids.extend(row.ids.iter().copied());
            removed.extend(row.removed.iter().cloned());
            for Ready { queue, job_type, at } in row.ready.iter().cloned() {
                let first = ready.entry((queue, job_type)).or_insert(at);
                *first = at.min(*first);
            }
        }
        if count > limit {
            return ChangesSince::TooMany;
        }
        for gone in &removed {
            ids.remove(&gone.id);
        }
        let ready = ready.into_iter().filter(|_| self.transactions.is_some());
        ChangesSince::Found {
            ids: ids.into_iter().collect(),
            removed,
            ready: ready.map(|((queue, job_type), at)| Ready { queue, job_type, at }).collect(),
            rules: rules.into_iter().collect(),
            position: self.position(),
        }
    }

    fn later(&self, position: &Position) -> Result<Vec<&Row>, Box<ChangesSince>> {
        let Position::Sequence(after) = *position else { return Err(ChangesSince::TooOld.into()) };
        if after > self.last {
            return Err(ChangesSince::Ahead.into());
        }
        let oldest = self.rows.keys().next().copied().unwrap_or(self.last + 1);
        if after + 1 < oldest {
            return Err(ChangesSince::TooOld.into());
        }
        Ok(self.rows.range(after + 1..).map(|(_, row)| row).collect())
    }

    fn unseen(
        &self,
        transactions: &Transactions,
        position: &Position,
    ) -> Result<Vec<&Row>, Box<ChangesSince>> {
        let Position::Snapshot { next, .. } = position else {
            return Err(ChangesSince::TooOld.into());
        };
        if *next > transactions.next {
            return Err(ChangesSince::Ahead.into());
        }
        let is_unseen = |number: u64| !position.covers(&Position::Transaction(number));
        if transactions.pruned.iter().any(|number| is_unseen(*number)) {
            return Err(ChangesSince::TooOld.into());
        }
        Ok(self.rows.values().filter(|row| is_unseen(row.transaction)).collect())
    }

    /// Takes rows away from the oldest on, up to the first that stays: never one from the middle.
    pub(super) fn prune(&mut self, mut stays: impl FnMut(Timestamp) -> bool) {
        while let Some(first) = self.rows.first_entry()
            && !stays(first.get().time)
        {
            let row = first.remove();
            if let Some(transactions) = &mut self.transactions {
                transactions.pruned.insert(row.transaction);
            }
        }
    }
}

/// Where the job waits, if it does.
fn ready(job: &Job) -> Option<Ready> {
    matches!(job.status.state, State::Pending { .. }).then(|| Ready {
        queue: job.status.effective.queue.clone(),
        job_type: job.spec.job_type.clone(),
        at: job.status.schedule_time,
    })
}
