//! The reference model: the contract of [`Store`] in maps behind one lock.
//!
//! Owns: nothing durable. It is what the other stores are compared with, and what simulations and
//! tests with a paused clock run on.
//! Invariant: a commit either happens whole or, on an error, not at all.

mod changes;
mod commit;
mod logs;
mod read;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::logs::LogRow;
use crate::domain::session::Session;
use crate::domain::stats::{Bucket, Count, StatKey, Tally};
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{
    BatchId, InstanceId, JobId, JobType, Origin, Position, QueueName, SessionId, Timestamp,
};

use self::changes::ChangeLog;
use super::rows::Flushed;
use super::{
    Batch, ChangesSince, Committed, KeyKind, KnownRequest, ListQuery, LogQuery, Orphan, Probe,
    Prune, Result, Round, Rule, RuleKey, RuleKind, Store, StoreInfo,
};

/// A store that forgets everything with its process.
#[derive(Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    /// Held by a commit, and by a round as long as it is open.
    writer: Arc<tokio::sync::Mutex<()>>,
}

/// A key and who holds it.
struct Key {
    holder: JobId,
    fingerprint: [u8; 32],
    create_time: Timestamp,
}

/// A row of a log, with the number its writer gave it.
struct StoredLog {
    seq: i64,
    row: LogRow,
}

#[derive(Default)]
struct Tables {
    jobs: BTreeMap<JobId, Job>,
    progress: HashMap<JobId, Flushed>,
    attempts: HashMap<JobId, Vec<Attempt>>,
    logs: HashMap<JobId, Vec<StoredLog>>,
    last_position: i64,
    keys: BTreeMap<(KeyKind, String, String), Key>,
    sessions: BTreeMap<SessionId, Session>,
    counts: BTreeMap<(StatKey, StateKind), (i64, i64)>,
    buckets: BTreeMap<(i64, StatKey), Tally>,
    changes: ChangeLog,
    rules: BTreeMap<RuleKey, Rule>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

struct MemoryRound {
    tables: Arc<Mutex<Tables>>,
    candidates: Vec<Job>,
    _writer: OwnedMutexGuard<()>,
}

#[async_trait]
impl Round for MemoryRound {
    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed> {
        self.tables.lock().commit(&batch)
    }

    async fn abandon(self: Box<Self>) {}
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let tables = self.tables.lock();
        let ids: BTreeSet<&JobId> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(|id| tables.job(*id)).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let _writer = self.writer.lock().await;
        self.tables.lock().commit(&batch)
    }

    async fn has_batch(&self, id: BatchId) -> Result<bool> {
        let _writer = self.writer.lock().await;
        Ok(self.tables.lock().changes.knows(id))
    }

    async fn origin(&self) -> Result<Origin> {
        Ok(self.tables.lock().changes.origin())
    }

    async fn position(&self) -> Result<Position> {
        Ok(self.tables.lock().changes.position())
    }

    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        Ok(self.tables.lock().changes.since(position, limit))
    }

    async fn begin_round(&self, probes: Vec<Probe>, now: Timestamp) -> Result<Box<dyn Round>> {
        let writer = self.writer.clone().lock_owned().await;
        let candidates = self.tables.lock().candidates(&probes, now);
        Ok(Box::new(MemoryRound { tables: self.tables.clone(), candidates, _writer: writer }))
    }

    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>> {
        let key = (KeyKind::Request, caller.to_owned(), request_id.to_owned());
        let tables = self.tables.lock();
        Ok(tables
            .keys
            .get(&key)
            .map(|key| KnownRequest { job_id: key.holder, fingerprint: key.fingerprint }))
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>> {
        Ok(self.tables.lock().list(query))
    }

    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64> {
        let tables = self.tables.lock();
        let found = tables.jobs.values().filter(|job| filter.matches(job)).count();
        Ok(cap.min(found as u64))
    }

    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        Ok(self.tables.lock().attempts.get(&id).cloned().unwrap_or_default())
    }

    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>> {
        Ok(self.tables.lock().logs(query))
    }

    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64> {
        let _writer = self.writer.lock().await;
        Ok(self.tables.lock().trim_logs(id, lease_epoch, head, tail))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
        Ok(self.tables.lock().due(now, limit))
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        Ok(self.tables.lock().deadlines().map(|(time, _)| time).min())
    }

    async fn expired_sessions(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>> {
        Ok(self.tables.lock().expired_sessions(now, limit))
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>> {
        Ok(self.tables.lock().orphans(limit))
    }

    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>> {
        Ok(self.tables.lock().held(sessions))
    }

    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>> {
        let tables = self.tables.lock();
        Ok(tables.sessions_where(|session| session.end.is_none_or(|(time, _)| time > ended_after)))
    }

    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>> {
        let tables = self.tables.lock();
        Ok(tables.sessions_where(|session| {
            session.end.is_none()
                && session.instance_id == *instance
                && session.principal == principal
        }))
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        Ok(self.tables.lock().sessions.get(&id).cloned())
    }

    async fn counts(&self) -> Result<Vec<Count>> {
        Ok(self.tables.lock().counts())
    }

    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>> {
        Ok(self.tables.lock().buckets(from_minute))
    }

    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
        Ok(self.tables.lock().oldest_pending(now))
    }

    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        limit: usize,
    ) -> Result<Vec<Job>> {
        Ok(self.tables.lock().recent(job_type, state, limit))
    }

    async fn rules(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
        Ok(self.tables.lock().rules(|key| kinds.contains(&key.kind)))
    }

    async fn rules_by_key(&self, keys: &[RuleKey]) -> Result<Vec<Rule>> {
        Ok(self.tables.lock().rules(|key| keys.contains(key)))
    }

    async fn prune(&self, prune: Prune) -> Result<u64> {
        let _writer = self.writer.lock().await;
        Ok(self.tables.lock().prune(prune))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn info(&self) -> Result<StoreInfo> {
        Ok(StoreInfo {
            kind: "memory",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            size_bytes: 0,
            pool_size: 0,
            pool_idle: 0,
        })
    }

    async fn close(&self) {}
}
