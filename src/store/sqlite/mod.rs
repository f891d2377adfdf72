//! The embedded store: one SQLite file, owned by one process.
//!
//! Owns: the file, its lock, its schema, one writing connection and a few reading ones, some of them for
//! short reads only.
//! Entry: [`SqliteStore::open`].
//! Invariants: everything is written by one connection, in one transaction a batch, durable when
//! it is answered (WAL, `synchronous=FULL`); hot statements take all their rows at once ([`input`]);
//! a transaction that was dropped half-way is rolled back before the writer is used again.

mod changes;
mod commit;
mod error;
mod events;
mod figures;
mod input;
mod jobs;
mod keys;
mod list;
mod logs;
mod open;
mod prune;
mod purge;
mod read;
mod round;
mod rules;
mod running;
mod script;
mod sessions;
mod standing;
mod writer;

use std::fs::File;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Mutex;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::logs::LogRow;
use crate::domain::session::Session;
use crate::domain::stats::{Bucket, Count, Facet, FacetTally};
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{
    BatchId, InstanceId, JobId, JobType, Origin, Position, QueueName, SessionId, Timestamp,
};

use super::{
    AuditQuery, Batch, Census, ChangesSince, Claims, Committed, EndedPage, EndedQuery, EventPage,
    EventQuery, KnownRequest, ListQuery, LogQuery, Orphan, Prune, PurgeBatch, Purged, Result,
    Round, Rule, RuleKey, RuleKind, Standing, Store, StoreInfo, StoredAudit,
};

use self::error::from_sqlx;
use self::writer::Writer;

pub use self::open::{OpenError, Options, migrate};

const VERSION: &str = "SELECT sqlite_version()";
const PING: &str = "SELECT 1";
const SIZE: &str = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Jobs in a file of their own.
pub struct SqliteStore {
    writer: Arc<Mutex<Writer>>,
    /// For what may take long: lists, logs, figures.
    readers: SqlitePool,
    /// For reads of a few rows by their key or from the front of an index: commits and leases wait for
    /// these, and so they never wait behind a list.
    short_readers: SqlitePool,
    read_pool: u32,
    version: String,
    /// Held as long as the store is open.
    lock: parking_lot::Mutex<Option<File>>,
}

/// Every fixed statement of this store, for the test that prepares them all.
pub fn statements() -> impl Iterator<Item = &'static str> {
    [
        &[VERSION, PING, SIZE, CHECKPOINT],
        changes::STATEMENTS,
        commit::STATEMENTS,
        events::STATEMENTS,
        figures::STATEMENTS,
        jobs::STATEMENTS,
        keys::STATEMENTS,
        list::STATEMENTS,
        logs::STATEMENTS,
        prune::STATEMENTS,
        purge::STATEMENTS,
        read::STATEMENTS,
        round::STATEMENTS,
        rules::STATEMENTS,
        running::STATEMENTS,
        sessions::STATEMENTS,
        standing::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// A bound on rows as SQLite takes it. Statements say `LIMIT ?n + 0`: to a bare `LIMIT ?n` SQLite makes a plan for
/// the value that is bound, and makes it anew for each.
fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

async fn version(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    sqlx::query_scalar(VERSION).fetch_one(connection).await
}

#[async_trait]
impl Store for SqliteStore {
    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        read::load(self.short_readers(), ids).await
    }

    async fn commit(&self, batch: Batch) -> Result<Committed> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        let mut writer = self.writer.lock().await;
        let script = writer.begin().await?;
        commit::write(&mut writer, script, &batch, &[]).await
    }

    async fn has_batch(&self, id: BatchId) -> Result<bool> {
        // By the writer: whatever is still under way there comes to its end first.
        changes::knows(self.writer.lock().await.idle().await?, id).await
    }

    async fn origin(&self) -> Result<Origin> {
        changes::origin(self.short_readers()).await
    }

    async fn position(&self) -> Result<Position> {
        changes::position(self.short_readers()).await
    }

    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        changes::since(self.readers(), position, limit).await
    }

    async fn begin_round(&self, claims: &Claims) -> Result<Box<dyn Round>> {
        round::begin(self.writer.clone().lock_owned().await, claims).await
    }

    async fn standing(&self, of: &Claims) -> Result<Standing> {
        standing::read(self.short_readers(), of).await
    }

    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>> {
        keys::request(self.short_readers(), caller, request_id).await
    }

    async fn unique_holder(&self, job_type: &JobType, key: &str) -> Result<Option<JobId>> {
        keys::unique_holder(self.short_readers(), job_type, key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>> {
        list::list(self.readers(), query).await
    }

    async fn list_ids(&self, query: &ListQuery) -> Result<Vec<JobId>> {
        list::list_ids(self.readers(), query).await
    }

    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64> {
        list::count(self.readers(), filter, cap).await
    }

    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        read::attempts(self.readers(), id).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>> {
        logs::read(self.readers(), query).await
    }

    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64> {
        logs::trim(&mut *self.writer.lock().await, id, lease_epoch, head, tail).await
    }

    async fn due(&self, now: Timestamp, rows: usize) -> Result<Vec<JobId>> {
        read::due(self.short_readers(), now, limit(rows)).await
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        read::next_deadline(self.short_readers()).await
    }

    async fn expired_sessions(&self, now: Timestamp, rows: usize) -> Result<Vec<SessionId>> {
        sessions::expired(self.short_readers(), now, limit(rows)).await
    }

    async fn orphans(&self, rows: usize) -> Result<Vec<Orphan>> {
        sessions::orphans(self.short_readers(), limit(rows)).await
    }

    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>> {
        read::held(self.readers(), sessions).await
    }

    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>> {
        sessions::standing(self.readers(), ended_after).await
    }

    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>> {
        sessions::of_instance(self.short_readers(), instance, principal).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        sessions::one(self.short_readers(), id).await
    }

    async fn counts(&self) -> Result<Vec<Count>> {
        figures::counts(self.readers()).await
    }

    async fn pending(&self) -> Result<Vec<(QueueName, i64)>> {
        figures::pending(self.readers()).await
    }

    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>> {
        figures::buckets(self.readers(), from_minute).await
    }

    async fn roll_up(&self, before_minute: i64, limit: usize) -> Result<u64> {
        figures::roll_up(&mut *self.writer.lock().await, before_minute, limit).await
    }

    async fn facet(&self, facet: &Facet, from_slot: i64) -> Result<Vec<(i64, FacetTally)>> {
        figures::facet(self.readers(), facet, from_slot).await
    }

    async fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Result<Census> {
        list::census(self.readers(), filter, now, most).await
    }

    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
        read::oldest_pending(self.readers(), now).await
    }

    async fn newest(&self, job_type: &JobType, rows: usize) -> Result<Vec<Job>> {
        read::newest(self.readers(), job_type, limit(rows)).await
    }

    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        rows: usize,
    ) -> Result<Vec<Job>> {
        read::recent(self.readers(), job_type, state, limit(rows)).await
    }

    async fn rules(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
        rules::of_kinds(self.short_readers(), kinds).await
    }

    async fn rules_by_key(&self, keys: &[RuleKey]) -> Result<Vec<Rule>> {
        rules::by_key(self.short_readers(), keys).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Option<EventPage>> {
        events::page(self.readers(), query).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
        events::audit(self.readers(), query).await
    }

    async fn prune(&self, prune: Prune) -> Result<u64> {
        prune::run(&mut *self.writer.lock().await, prune).await
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage> {
        purge::look(self.readers(), query).await
    }

    async fn purge(&self, batch: PurgeBatch) -> Result<Purged> {
        purge::run(&mut *self.writer.lock().await, &batch).await
    }

    async fn drop_logs(&self, jobs: &[(JobId, i64)], limit: usize) -> Result<u64> {
        purge::drop_logs(&mut *self.writer.lock().await, jobs, limit).await
    }

    async fn shrink(&self) -> Result<u64> {
        purge::shrink(&mut *self.writer.lock().await).await
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query(PING).execute(self.short_readers()).await.map_err(from_sqlx).map(|_| ())
    }

    async fn info(&self) -> Result<StoreInfo> {
        let size: i64 =
            sqlx::query_scalar(SIZE).fetch_one(self.readers()).await.map_err(from_sqlx)?;
        Ok(StoreInfo {
            kind: "sqlite",
            version: self.version.clone(),
            size_bytes: u64::try_from(size).unwrap_or(0),
            pool_size: self.read_pool,
            pool_idle: self.read_pool.saturating_sub(self.readers.size())
                + u32::try_from(self.readers.num_idle()).unwrap_or(0),
        })
    }

    async fn close(&self) {
        self.readers.close().await;
        self.short_readers.close().await;
        self.writer.lock().await.close().await;
        drop(self.lock.lock().take());
    }
}
