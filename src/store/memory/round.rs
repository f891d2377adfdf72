//! A commit under way, and a dispatch round.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::Timestamp;
use crate::domain::job::Job;
use crate::store::{Batch, Committed, Result, Round};

use super::Tables;
use super::turns::Turn;

/// The number of a commit under way; it is made, or is not, when this is dropped.
pub(super) struct Transaction {
    tables: Arc<Mutex<Tables>>,
    number: u64,
}

impl Transaction {
    pub(super) fn new(tables: Arc<Mutex<Tables>>) -> Self {
        let number = tables.lock().changes.begin();
        Self { tables, number }
    }

    pub(super) fn commit(self, batch: &Batch, now: Timestamp) -> Result<Committed> {
        let mut tables = self.tables.lock();
        let answer = tables.commit(batch, self.number, now);
        // What it did and that it is over become visible as one.
        tables.changes.end(self.number);
        answer
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.tables.lock().changes.end(self.number);
    }
}

pub(super) struct MemoryRound {
    transaction: Transaction,
    /// The store's clock, if it has one.
    now: Option<Timestamp>,
    candidates: Vec<Job>,
    _turn: Turn,
}

impl MemoryRound {
    pub(super) const fn new(
        transaction: Transaction,
        now: Option<Timestamp>,
        candidates: Vec<Job>,
        turn: Turn,
    ) -> Self {
        Self { transaction, now, candidates, _turn: turn }
    }
}

#[async_trait]
impl Round for MemoryRound {
    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed> {
        let Self { transaction, now, .. } = *self;
        transaction.commit(&batch, now.unwrap_or(batch.now))
    }

    async fn abandon(self: Box<Self>) {}
}
