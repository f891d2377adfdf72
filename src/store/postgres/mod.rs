//! The shared store: PostgreSQL 14 or newer, under any number of servers.
//!
//! Owns: connections ([`pool`]), the schema ([`migrations`]), what other servers are told ([`news`]).
//! Entry: [`PostgresStore::open`].
//! Invariants: a batch is one transaction, in nearly every case one statement, durable when it is
//! answered; rows are locked in the order of their ids, then keys in the order of their names; the
//! database's clock judges leases; a place in the change log is a snapshot, never a number that was
//! taken before its commit; a connection that was left in the middle of something is closed.

mod bound;
mod catch_up;
mod changes;
mod commit;
mod error;
mod events;
mod figures;
mod fold;
mod hosts;
mod info;
mod keys;
mod leases;
mod list;
mod logs;
mod migrations;
mod news;
mod open;
mod place;
mod pool;
mod prune;
mod purge;
mod read;
mod round;
mod rules;
mod sessions;
mod standing;
mod write;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;

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
    AuditQuery, Batch, Caught, Census, ChangesSince, Claims, Committed, EndedPage, EndedQuery,
    EventPage, EventQuery, KnownRequest, ListQuery, LogQuery, News, Orphan, ProgressWrite, Prune,
    PurgeBatch, Purged, Result, Round, Rule, RuleKey, RuleKind, Standing, Store, StoreInfo,
    StoredAudit,
};

use self::commit::Lanes;
use self::error::late;
use self::news::Exchange;
use self::pool::Pool;

pub use self::open::{LeaseClock, Listen, Options, migrate};
pub use self::place::OpenError;

/// Jobs in a database that other servers may use too.
pub struct PostgresStore {
    /// For commits and rounds.
    lanes: Arc<Lanes>,
    /// For what may take long: lists, logs, figures, and for upkeep.
    readers: Pool,
    /// For reads of a few rows by their key or from the front of an index: commits and leases wait for
    /// these, and so they never wait behind a list.
    short_readers: Pool,
    /// For reading on in the change log: whatever its size, from its end and by plans made once.
    log_readers: Pool,
    news: Arc<Exchange>,
    clock: LeaseClock,
    version: String,
}

/// Every fixed statement of this store, for the test that prepares them all.
pub fn statements() -> impl Iterator<Item = &'static str> {
    [
        catch_up::STATEMENTS,
        changes::STATEMENTS,
        commit::STATEMENTS,
        events::STATEMENTS,
        figures::STATEMENTS,
        fold::STATEMENTS,
        info::STATEMENTS,
        keys::STATEMENTS,
        leases::STATEMENTS,
        list::STATEMENTS,
        logs::STATEMENTS,
        news::STATEMENTS,
        prune::STATEMENTS,
        purge::STATEMENTS,
        read::STATEMENTS,
        round::STATEMENTS,
        rules::STATEMENTS,
        sessions::STATEMENTS,
        standing::STATEMENTS,
        write::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(write::statements())
}

/// A bound on rows as PostgreSQL takes it.
fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Waits for reads no longer than a connection and an answer may take: a connection that is silently
/// dead is closed with the future that is dropped here.
async fn within<T>(pool: &Pool, reading: impl Future<Output = Result<T>> + Send) -> Result<T> {
    tokio::time::timeout(pool.patience() * READ_STEPS, reading)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// A connection, its `BEGIN`, the statement.
const READ_STEPS: u32 = 3;

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.lanes.commit(&batch).await
    }

    async fn begin_round(&self, claims: &Claims) -> Result<Box<dyn Round>> {
        round::begin(&self.lanes, claims).await
    }

    async fn standing(&self, of: &Claims) -> Result<Standing> {
        within(&self.short_readers, standing::read(&self.short_readers, of)).await
    }

    async fn has_batch(&self, id: BatchId) -> Result<bool> {
        within(&self.short_readers, changes::knows(&self.short_readers, id)).await
    }

    async fn origin(&self) -> Result<Origin> {
        within(&self.short_readers, changes::origin(&self.short_readers)).await
    }

    async fn position(&self) -> Result<Position> {
        within(&self.short_readers, changes::position(&self.short_readers)).await
    }

    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        within(&self.log_readers, changes::since(&self.log_readers, position, &[], limit)).await
    }

    async fn others_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        let known = self.lanes.own.since(position);
        let known: Vec<i64> = known.into_iter().map(u64::cast_signed).collect();
        within(&self.log_readers, changes::since(&self.log_readers, position, &known, limit)).await
    }

    async fn catch_up(&self, position: &Position, limit: usize) -> Result<Caught> {
        within(&self.log_readers, catch_up::catch_up(&self.log_readers, position, limit)).await
    }

    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        within(&self.short_readers, read::load(&self.short_readers, ids)).await
    }

    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>> {
        within(&self.short_readers, keys::request(&self.short_readers, caller, request_id)).await
    }

    async fn unique_holder(&self, job_type: &JobType, key: &str) -> Result<Option<JobId>> {
        let pool = &self.short_readers;
        within(pool, keys::unique_holder(pool, job_type, key)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>> {
        within(&self.readers, list::list(&self.readers, query)).await
    }

    async fn list_ids(&self, query: &ListQuery) -> Result<Vec<JobId>> {
        within(&self.readers, list::list_ids(&self.readers, query)).await
    }

    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64> {
        within(&self.readers, list::count(&self.readers, filter, cap)).await
    }

    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        within(&self.readers, read::attempts(&self.readers, id)).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>> {
        within(&self.readers, logs::read(&self.readers, query)).await
    }

    async fn log_ends(&self, ids: &[JobId]) -> Result<Vec<(JobId, i64)>> {
        within(&self.short_readers, logs::ends(&self.short_readers, ids)).await
    }

    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64> {
        within(&self.readers, logs::trim(&self.readers, id, lease_epoch, head, tail)).await
    }

    async fn due(&self, now: Timestamp, rows: usize) -> Result<Vec<JobId>> {
        within(&self.short_readers, read::due(&self.short_readers, now, limit(rows))).await
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        within(&self.short_readers, read::next_deadline(&self.short_readers)).await
    }

    async fn expired_sessions(&self, now: Timestamp, rows: usize) -> Result<Vec<SessionId>> {
        within(
            &self.short_readers,
            sessions::expired(&self.short_readers, self.clock, now, limit(rows)),
        )
        .await
    }

    async fn orphans(&self, rows: usize) -> Result<Vec<Orphan>> {
        within(&self.short_readers, sessions::orphans(&self.short_readers, limit(rows))).await
    }

    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>> {
        within(&self.readers, read::held(&self.readers, sessions)).await
    }

    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>> {
        within(&self.readers, sessions::standing(&self.readers, ended_after)).await
    }

    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>> {
        within(&self.short_readers, sessions::of_instance(&self.short_readers, instance, principal))
            .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        within(&self.short_readers, sessions::one(&self.short_readers, id)).await
    }

    async fn counts(&self) -> Result<Vec<Count>> {
        within(&self.readers, figures::counts(&self.readers)).await
    }

    async fn pending(&self) -> Result<Vec<(QueueName, i64)>> {
        within(&self.readers, figures::pending(&self.readers)).await
    }

    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>> {
        within(&self.readers, figures::buckets(&self.readers, from_minute)).await
    }

    async fn roll_up(&self, before_minute: i64, rows: usize) -> Result<u64> {
        within(&self.readers, fold::roll_up(&self.readers, before_minute, limit(rows))).await
    }

    async fn facet(&self, facet: &Facet, from_slot: i64) -> Result<Vec<(i64, FacetTally)>> {
        within(&self.readers, figures::facet(&self.readers, facet, from_slot)).await
    }

    async fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Result<Census> {
        within(&self.readers, list::census(&self.readers, filter, now, most)).await
    }

    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
        within(&self.readers, read::oldest_pending(&self.readers, now)).await
    }

    async fn newest(&self, job_type: &JobType, rows: usize) -> Result<Vec<Job>> {
        within(&self.readers, read::newest(&self.readers, job_type, limit(rows))).await
    }

    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        rows: usize,
    ) -> Result<Vec<Job>> {
        within(&self.readers, read::recent(&self.readers, job_type, state, limit(rows))).await
    }

    async fn progress(&self, ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
        within(&self.short_readers, info::progress(&self.short_readers, ids)).await
    }

    async fn fold(&self) -> Result<u64> {
        within(&self.readers, fold::run(&self.readers)).await
    }

    async fn rules(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
        within(&self.short_readers, rules::of_kinds(&self.short_readers, kinds)).await
    }

    async fn rules_by_key(&self, keys: &[RuleKey]) -> Result<Vec<Rule>> {
        within(&self.short_readers, rules::by_key(&self.short_readers, keys)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Option<EventPage>> {
        within(&self.readers, events::page(&self.readers, query)).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
        within(&self.readers, events::audit(&self.readers, query)).await
    }

    async fn prune(&self, prune: Prune) -> Result<u64> {
        within(&self.readers, prune::run(&self.readers, prune)).await
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage> {
        within(&self.readers, purge::look(&self.readers, query)).await
    }

    async fn purge(&self, batch: PurgeBatch) -> Result<Purged> {
        // Beside the lanes: commits do not wait for a connection that it holds.
        purge::run(&self.readers, &batch).await
    }

    async fn drop_logs(&self, jobs: &[(JobId, i64)], limit: usize) -> Result<u64> {
        within(&self.readers, purge::drop_logs(&self.readers, jobs, limit)).await
    }

    async fn time(&self) -> Result<Option<Timestamp>> {
        within(&self.short_readers, info::time(&self.short_readers)).await
    }

    async fn ping(&self) -> Result<()> {
        within(&self.short_readers, info::ping(&self.short_readers)).await
    }

    async fn info(&self) -> Result<StoreInfo> {
        within(&self.short_readers, info::info(&self.short_readers, &self.readers, &self.version))
            .await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn tell(&self, news: News) -> Result<()> {
        self.news.tell(news).await
    }

    async fn told(&self) -> Result<News> {
        self.news.told().await
    }

    async fn close(&self) {
        self.news.close().await;
        self.readers.close().await;
        self.short_readers.close().await;
        self.log_readers.close().await;
        self.lanes.pool.close().await;
    }
}
