//! The reference model: the contract of [`Store`] in maps behind one lock.
//!
//! Owns: nothing durable. It is what the other stores are compared with, and what simulations and
//! tests with a paused clock run on.
//! Invariant: a commit either happens whole or, on an error, not at all.
//!
//! [Shared](MemoryStore::shared), it stands for a database with several servers: each has a handle of
//! its own, commits become visible in another order than they are numbered in, and its clock counts.

mod changes;
mod commit;
mod events;
mod logs;
mod purge;
mod read;
mod round;
mod rules;
mod shared;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::logs::LogRow;
use crate::domain::session::Session;
use crate::domain::stats::{Bucket, Count, Facet, FacetTally, StatKey, Tally};
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{
    BatchId, InstanceId, JobId, JobType, Origin, Position, QueueName, SessionId, Timestamp,
};
use crate::runtime::Clock;

use self::changes::ChangeLog;
use self::events::Told;
use self::round::Transaction;
use self::shared::Share;
use self::turns::Turns;
use super::flushed::Flushed;
use super::haul::Haul;
use super::own::Own;
use super::{
    AuditQuery, Batch, Caught, Census, ChangesSince, Claims, Committed, EndedPage, EndedQuery,
    EventPage, EventQuery, KeyKind, KnownRequest, ListQuery, LogQuery, News, Orphan, ProgressWrite,
    Prune, PurgeBatch, Purged, RemovedJob, Result, Round, Rule, RuleKey, RuleKind, Standing, Store,
    StoreInfo, StoredAudit,
};

/// A store that forgets everything with its process.
#[derive(Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
    /// Taken by a commit, and by a round as long as it is open.
    turns: Turns,
    share: Option<Share>,
    /// What this server did of late.
    own: Arc<Own>,
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
    /// By the hour.
    hours: BTreeMap<(i64, StatKey), Tally>,
    /// By slot.
    facets: BTreeMap<(i64, Facet), FacetTally>,
    changes: ChangeLog,
    rules: BTreeMap<RuleKey, Rule>,
    told: Told,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose writers meet as in a database that reads what is committed: only over the same
    /// job, and where one would wait, others go on.
    #[must_use]
    pub fn read_committed() -> Self {
        Self { turns: Turns::by_row(), ..Self::default() }
    }

    /// An empty store that several servers may be over, whose clock is `clock` and whose writers meet as
    /// those of [`read_committed`](Self::read_committed) do.
    #[must_use]
    pub fn shared(clock: Clock) -> Self {
        let tables = Tables { changes: ChangeLog::shared(), ..Tables::default() };
        let share = Some(Share::new(clock));
        Self { tables: Arc::new(Mutex::new(tables)), share, ..Self::read_committed() }
    }

    /// The same store for another server; only of a [shared](Self::shared) one.
    #[must_use]
    pub fn another(&self) -> Option<Self> {
        let share = Some(self.share.as_ref()?.another());
        let (tables, turns) = (Arc::clone(&self.tables), self.turns.clone());
        Some(Self { tables, turns, share, own: Arc::default() })
    }

    /// The moment by which leases are judged, where a server says `given`.
    fn moment(&self, given: Timestamp) -> Timestamp {
        self.share.as_ref().map_or(given, Share::now)
    }

    /// A commit begins, and makes its changes later.
    fn begin(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.tables), Arc::clone(&self.own))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        let tables = self.tables.lock();
        let ids: BTreeSet<&JobId> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(|id| tables.job(*id)).collect())
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        let transaction = self.begin();
        let _turn = self.turns.commit(&batch).await;
        transaction.commit(&batch, self.moment(batch.now))
    }

    async fn has_batch(&self, id: BatchId) -> Result<bool> {
        let _turn = self.turns.rows(std::iter::once(id.0)).await;
        Ok(self.tables.lock().changes.knows(id))
    }

    async fn origin(&self) -> Result<Origin> {
        Ok(self.tables.lock().changes.origin())
    }

    async fn position(&self) -> Result<Position> {
        Ok(self.tables.lock().changes.position())
    }

    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        Ok(self.tables.lock().changes.since(position, &BTreeSet::new(), limit))
    }

    async fn others_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        Ok(self.tables.lock().changes.since(position, &self.own.since(position), limit))
    }

    async fn catch_up(&self, position: &Position, limit: usize) -> Result<Caught> {
        let tables = self.tables.lock();
        let changes = tables.changes.since(position, &BTreeSet::new(), limit);
        let ids = match &changes {
            ChangesSince::Found { ids, .. } => ids.as_slice(),
            ChangesSince::TooOld | ChangesSince::Ahead | ChangesSince::TooMany => &[],
        };
        let mut haul = Haul::new();
        if !haul.add(ids.iter().filter_map(|id| tables.job(*id)).collect()) {
            return Ok(Caught::too_much(position));
        }
        Ok(Caught { changes, jobs: haul.jobs(), read_through: tables.changes.position() })
    }

    async fn begin_round(&self, claims: &Claims) -> Result<Box<dyn Round>> {
        Ok(Box::new(round::begin(self, claims).await))
    }

    async fn standing(&self, of: &Claims) -> Result<Standing> {
        Ok(self.tables.lock().standing(of))
    }

    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>> {
        let key = (KeyKind::Request, caller.to_owned(), request_id.to_owned());
        let tables = self.tables.lock();
        Ok(tables
            .keys
            .get(&key)
            .map(|key| KnownRequest { job_id: key.holder, fingerprint: key.fingerprint }))
    }

    async fn unique_holder(&self, job_type: &JobType, key: &str) -> Result<Option<JobId>> {
        let key = (KeyKind::Unique, job_type.to_string(), key.to_owned());
        Ok(self.tables.lock().keys.get(&key).map(|key| key.holder))
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
        let _turn = self.turns.rows(std::iter::empty()).await;
        Ok(self.tables.lock().trim_logs(id, lease_epoch, head, tail))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
        Ok(self.tables.lock().due(now, limit))
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        Ok(self.tables.lock().deadlines().map(|(time, _)| time).min())
    }

    async fn expired_sessions(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>> {
        Ok(self.tables.lock().expired_sessions(self.moment(now), limit))
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

    async fn roll_up(&self, before_minute: i64, limit: usize) -> Result<u64> {
        let _turn = self.turns.rows(std::iter::empty()).await;
        Ok(self.tables.lock().roll_up(before_minute, limit))
    }

    async fn facet(&self, facet: &Facet, from_slot: i64) -> Result<Vec<(i64, FacetTally)>> {
        Ok(self.tables.lock().facet(facet, from_slot))
    }

    async fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Result<Census> {
        Ok(self.tables.lock().census(filter, now, most))
    }

    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
        Ok(self.tables.lock().oldest_pending(now))
    }

    async fn newest(&self, job_type: &JobType, limit: usize) -> Result<Vec<Job>> {
        let filter = JobFilter { types: vec![job_type.clone()], ..JobFilter::default() };
        let query = ListQuery { filter, before: None, limit, full: false };
        Ok(self.tables.lock().list(&query))
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

    async fn events(&self, query: &EventQuery) -> Result<Option<EventPage>> {
        let tables = self.tables.lock();
        Ok(tables.told.events(query, &tables.changes.position()))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
        Ok(self.tables.lock().told.audit(query))
    }

    async fn prune(&self, prune: Prune) -> Result<u64> {
        let _turn = self.turns.rows(std::iter::empty()).await;
        Ok(self.tables.lock().prune(prune))
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage> {
        Ok(self.tables.lock().ended(query))
    }

    async fn purge(&self, purge: PurgeBatch) -> Result<Purged> {
        let batch = self.tables.lock().purge(&purge);
        let committed = self.commit(batch.clone()).await?;
        let gone = batch.deletes.iter().zip(&committed.deletes).filter(|(_, gone)| **gone);
        let removed: Vec<RemovedJob> = gone.map(|(gone, _)| RemovedJob::of(&gone.job)).collect();
        Ok(Purged { position: committed.position.filter(|_| !removed.is_empty()), removed })
    }

    async fn drop_logs(&self, jobs: &[(JobId, i64)], limit: usize) -> Result<u64> {
        let _turn = self.turns.rows(std::iter::empty()).await;
        Ok(self.tables.lock().drop_logs(jobs, limit))
    }

    async fn progress(&self, ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
        Ok(self.tables.lock().progress_of(ids))
    }

    async fn log_ends(&self, ids: &[JobId]) -> Result<Vec<(JobId, i64)>> {
        Ok(self.tables.lock().log_ends(ids))
    }

    fn is_shared(&self) -> bool {
        self.share.is_some()
    }

    async fn time(&self) -> Result<Option<Timestamp>> {
        Ok(self.share.as_ref().map(Share::now))
    }

    async fn tell(&self, news: News) -> Result<()> {
        if let Some(share) = &self.share {
            share.tell(news);
        }
        Ok(())
    }

    async fn told(&self) -> Result<News> {
        match &self.share {
            Some(share) => Ok(share.told().await),
            None => std::future::pending().await,
        }
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
