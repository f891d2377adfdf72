//! Where jobs are kept. The only part of the house that names a database.
//!
//! Owns: tables, statements, transactions, guards, keys, the change log.
//! Does not own: decisions. Everything that is written was decided before (`domain::machine`) and
//! arrives as data with the revision and epoch it was decided on; a store may refuse a write only
//! because a guard missed or a key is taken.
//! Entry: [`open`] and [`Store`], with [`memory`] as the reference model, [`sqlite`] for one machine, and
//! [`postgres`] for any number of servers over one database.
//! Invariants: a batch is atomic; what [`Store::commit`] answered is durable; a write that missed its
//! guard leaves no trace in any table, events and audit included, and a rule that missed its guard takes its whole batch with
//! it; counters change in the commit that changes the jobs.

mod batch;
mod error;
mod events;
mod figures;
mod flushed;
mod haul;
mod leases;
pub mod memory;
mod names;
mod open;
mod own;
mod passed;
pub mod postgres;
mod purge;
mod query;
mod quiet;
mod rows;
mod rules;
pub mod sqlite;
mod standing;
mod trim;
mod walk;

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::filter::JobFilter;
use crate::domain::job::Job;
use crate::domain::logs::LogRow;
use crate::domain::session::Session;
use crate::domain::stats::{Bucket, Count, Facet, FacetTally};
use crate::domain::status::{Attempt, State, StateKind};
use crate::domain::{
    BatchId, InstanceId, JobId, JobType, Origin, Position, QueueName, SessionId, Timestamp,
};

use haul::Haul;

pub use batch::{
    Appended, Batch, Committed, Counted, Fire, JobDelete, JobWrite, KeyChange, KeyKind, KeyName,
    KnownRequest, NewJob, ProgressWrite, RequestKey, SessionWrite, Written,
};
pub use error::{Error, Result};
pub use events::{
    AuditPlace, AuditQuery, AuditWrite, Cause, EventPage, EventQuery, EventWrite, EventsFrom,
    StoredAudit, StoredEvent,
};
pub use open::{Migrations, OpenError, Options, Remedy, is_shared, migrate, open};
pub use purge::{Ended, EndedLine, EndedPage, EndedPlace, EndedQuery, PurgeBatch, Purged};
pub use query::{
    Caught, Census, ChangesSince, KeyCap, ListQuery, LogQuery, News, Orphan, Probe, Prune, Ready,
    RemovedJob, StoreInfo, Unread,
};
pub use rules::{Rule, RuleKey, RuleKind, RuleWrite};
pub use standing::{Claims, Standing};

/// One dispatch round: what it claimed and its candidates are locked until it is committed or dropped.
#[async_trait]
pub trait Round: Send {
    /// How what was claimed stands.
    fn standing(&self) -> &Standing;
    /// PENDING jobs that are due and whose deadline has not passed, in the order of their `ready_key`
    /// within each probe.
    fn candidates(&self) -> &[Job];
    /// Looks for candidates, once in a round. Where a probe has a cap by label, it passes by the jobs whose
    /// value is full, and what runs under the values of those it found joins the standing. Jobs that cannot be
    /// read count against the limit of their probe and are no candidates: answers how many.
    async fn look(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread>;
    /// Those of these names that jobs have, with the job that has each.
    async fn holders(&mut self, names: &[KeyName]) -> Result<HashMap<KeyName, JobId>>;
    /// Writes what was decided on them, atomically with the locks held.
    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed>;
    /// Lets the candidates go.
    async fn abandon(self: Box<Self>);
}

/// A place where jobs are kept.
///
/// Calls are not to be dropped half-way: run them in a task that owns them.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// These jobs, whole, in any order; those that do not exist are left out. The progress of a
    /// running job is the newest flushed one.
    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>>;
    /// Writes a batch. What missed its guard leaves no trace.
    async fn commit(&self, batch: Batch) -> Result<Committed>;
    /// Whether a batch with this id was committed.
    async fn has_batch(&self, id: BatchId) -> Result<bool>;
    /// Which change log it keeps.
    async fn origin(&self) -> Result<Origin>;
    /// How far the change log goes: everything a read showed that began before is at or before it.
    async fn position(&self) -> Result<Position>;
    /// What was done since a position, if the log still knows and if it is at most `limit` changes.
    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince>;
    /// The same for whoever knows what this store answered: jobs of commits that it made itself may be
    /// left out, but not of one whose outcome it did not know. Rules are named whoever changed them.
    async fn others_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        self.changes_since(position, limit).await
    }
    /// What was done since a position, and how those jobs stand; too many if they are
    /// [too large](crate::domain::limits::CATCH_UP_BYTES_MAX) together. A [shared](Store::is_shared) store
    /// reads both as of one moment: others commit all the while, and a watch must come to an end.
    async fn catch_up(&self, position: &Position, limit: usize) -> Result<Caught> {
        let changes = self.changes_since(position, limit).await?;
        let mut haul = Haul::new();
        if let ChangesSince::Found { ids, .. } = &changes {
            let mut ids = ids.as_slice();
            while !ids.is_empty() {
                let (some, rest) = ids.split_at(haul.at_once().min(ids.len()));
                if !haul.add(self.load(some).await?) {
                    return Ok(Caught::too_much(position));
                }
                ids = rest;
            }
        }
        let read_through = self.position().await?;
        Ok(Caught { changes, jobs: haul.jobs(), read_through })
    }
    /// Opens a dispatch round: waits for rounds that hold what it claims, then reads how that stands.
    async fn begin_round(&self, claims: &Claims) -> Result<Box<dyn Round>>;
    /// How that stands, without keeping anything from anybody.
    async fn standing(&self, of: &Claims) -> Result<Standing>;
    /// The job that a request id made, if it is known.
    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>>;
    /// The job that holds a unique key of a type.
    async fn unique_holder(&self, job_type: &JobType, key: &str) -> Result<Option<JobId>>;
    /// A page of jobs.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>>;
    /// The ids of such a page, those of jobs that cannot be read among them.
    async fn list_ids(&self, query: &ListQuery) -> Result<Vec<JobId>> {
        Ok(self.list(query).await?.into_iter().map(|job| job.id).collect())
    }
    /// How many jobs match, counted up to `cap`.
    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64>;
    /// Executions that the status no longer holds, oldest first.
    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>>;
    /// Rows of a job's log, in order.
    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>>;
    /// Lets go of whole rows of one lease's log between its first `head` and last `tail` lines, and
    /// leaves the count of lines in one row. Answers how many lines went.
    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64>;
    /// Jobs whose [`JobStatus::deadline`](crate::domain::JobStatus::deadline) has passed.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>>;
    /// The earliest deadline of all jobs.
    async fn next_deadline(&self) -> Result<Option<Timestamp>>;
    /// Open sessions whose lease has run out.
    async fn expired_sessions(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>>;
    /// RUNNING jobs on ended sessions.
    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>>;
    /// Running jobs that these sessions hold, with their flushed progress and without payloads.
    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>>;
    /// Sessions that are open, or ended after `ended_after`; newest first.
    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>>;
    /// Open sessions of a process.
    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>>;
    /// One session.
    async fn session(&self, id: SessionId) -> Result<Option<Session>>;
    /// Every counter.
    async fn counts(&self) -> Result<Vec<Count>>;
    /// How many jobs wait in each queue where some do, as the counters say.
    async fn pending(&self) -> Result<Vec<(QueueName, i64)>> {
        let mut pending = std::collections::BTreeMap::new();
        for count in self.counts().await? {
            if count.state == StateKind::Pending && count.stored != 0 {
                *pending.entry(count.key.queue).or_default() += count.stored;
            }
        }
        Ok(pending.into_iter().collect())
    }
    /// Buckets from this minute on, and those of whole hours from the hour on that it is in, by minute and
    /// key.
    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>>;
    /// Sums up minutes before this one by their hours; answers how many rows went. Safe to run on every
    /// server over the store at once.
    async fn roll_up(&self, before_minute: i64, limit: usize) -> Result<u64>;
    /// What happened to the jobs of a facet from this slot on, by slot.
    async fn facet(&self, facet: &Facet, from_slot: i64) -> Result<Vec<(i64, FacetTally)>>;
    /// Counts the newest jobs that match, at most so many, one by one.
    async fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Result<Census>;
    /// When the longest waiting due job of each (queue, type) became ready, of those
    /// [first in line](crate::domain::limits::OLDEST_LOOK_MAX).
    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>>;
    /// The newest jobs of a type as of one moment, newest id first, without payloads and results; of those that
    /// wait, of those [last in line](crate::domain::limits::LINE_LOOKED_AT_MAX).
    async fn newest(&self, job_type: &JobType, limit: usize) -> Result<Vec<Job>>;
    /// The newest ended jobs of a type, newest id first, without payloads and results.
    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        limit: usize,
    ) -> Result<Vec<Job>>;
    /// The newest flushed progress of those of these jobs that run. Only a
    /// [shared](Store::is_shared) store is asked: another one's server knows newer progress itself.
    async fn progress(&self, _ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
        Ok(Vec::new())
    }
    /// Where the logs of those of these jobs that have one end: grows with each row. Only a
    /// [shared](Store::is_shared) store is asked.
    async fn log_ends(&self, _ids: &[JobId]) -> Result<Vec<(JobId, i64)>> {
        Ok(Vec::new())
    }
    /// Sums up what commits left to be summed up later; answers how many rows went. Safe to run on
    /// every server over the store at once.
    async fn fold(&self) -> Result<u64> {
        Ok(0)
    }
    /// Every rule of these kinds, by kind and name.
    async fn rules(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>>;
    /// These rules, as far as they exist, by kind and name.
    async fn rules_by_key(&self, keys: &[RuleKey]) -> Result<Vec<Rule>>;
    /// Some events, in the order of their commits: whoever goes on from where an answer was misses none, however
    /// late a commit becomes visible. None if the store never came to the place from where on they are asked for.
    async fn events(&self, query: &EventQuery) -> Result<Option<EventPage>>;
    /// Some deeds, the newest first.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<StoredAudit>>;
    /// Takes away what is past its time; answers how many rows went.
    async fn prune(&self, prune: Prune) -> Result<u64>;
    /// A page of jobs that are over, in the order of its line.
    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage>;
    /// Takes jobs away that are over as they were seen, with their progress, attempts, logs, labels and names;
    /// request ids stay. Safe to run on every server over the store at once.
    async fn purge(&self, batch: PurgeBatch) -> Result<Purged>;
    /// Takes away at most `limit` rows of the logs of jobs that are over as they were seen; answers how many went.
    async fn drop_logs(&self, jobs: &[(JobId, i64)], limit: usize) -> Result<u64>;
    /// Gives some of the room that is not used any more back to the system; answers how many pages, none when
    /// there is nothing more to give.
    async fn shrink(&self) -> Result<u64> {
        Ok(0)
    }
    /// Whether other servers may be over the same store: then not all that happens in it is known
    /// without asking, and its clock is the one that counts.
    fn is_shared(&self) -> bool {
        false
    }
    /// What the store's clock says; `None` if it has none but the server's.
    async fn time(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
    /// Tells other servers over the same store where to look. A hint: it may be lost.
    async fn tell(&self, _news: News) -> Result<()> {
        Ok(())
    }
    /// Waits until another server told something, or until some of it may have been lost. Safe to
    /// drop; one caller at a time. An error means that nothing will be heard for a while.
    async fn told(&self) -> Result<News> {
        std::future::pending().await
    }
    /// Whether it answers.
    async fn ping(&self) -> Result<()>;
    /// How it is.
    async fn info(&self) -> Result<StoreInfo>;
    /// Ends all work and releases what it holds.
    async fn close(&self);
}

/// Whether a job in this state holds its unique key.
#[must_use]
pub const fn holds_key(state: &State) -> bool {
    !state.kind().is_terminal()
}
