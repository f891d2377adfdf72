//! A store that fails when it is told to.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use jobplane::domain::filter::JobFilter;
use jobplane::domain::logs::LogRow;
use jobplane::domain::stats::{Bucket, Count, Facet, FacetTally};
use jobplane::domain::{
    Attempt, BatchId, InstanceId, Job, JobId, JobType, Origin, Position, QueueName, Session,
    SessionId, StateKind, Timestamp,
};
use jobplane::store::{
    AuditQuery, Batch, Caught, Census, ChangesSince, Claims, Committed, EndedPage, EndedQuery,
    Error, EventPage, EventQuery, KeyName, KnownRequest, ListQuery, LogQuery, News, Orphan, Probe,
    ProgressWrite, Prune, PurgeBatch, Purged, Result, Round, Rule, RuleKey, RuleKind, RuleWrite,
    Standing, Store, StoreInfo, StoredAudit, Unread, Written,
};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It works.
    Fair,
    /// Every call fails.
    Failing,
    /// Every commit fails, and reads work.
    ReadOnly,
    /// No call comes back before the weather changes.
    Hanging,
}

/// What happens to one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It happens, and nobody hears of it.
    AnswerLost,
    /// It happens, and then the store fails until the weather changes.
    StoreLost,
    /// It happens, and its answer comes when [`Faults::answer`] is called.
    AnswerHeld,
    /// It is under way when nobody waits for it any more, and happens when [`Faults::happen`] is called or
    /// somebody looks for it.
    Late,
    /// It does not happen, and nobody knows.
    RequestLost,
    /// It does not happen, and says so.
    Refused,
    /// The guards of all its writes miss.
    GuardsMissed,
    /// It panics.
    Panics,
}

/// Reads whose answers can be held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Read {
    /// Which change log it is: asked before where it is.
    Origin,
    /// Jobs by their ids.
    Load,
    /// How far running jobs are.
    Progress,
    /// What the views missed.
    CatchUp,
}

/// Which commits are meant.
pub type Aim = fn(&Batch) -> bool;

/// What goes wrong with a store, to be changed at any time.
#[derive(Clone)]
pub struct Faults {
    weather: watch::Sender<Weather>,
    planned: Arc<Mutex<VecDeque<(Fault, Aim)>>>,
    log_reads: Arc<AtomicUsize>,
    held: watch::Sender<bool>,
    deaf: Arc<AtomicBool>,
    late: Arc<Mutex<Option<Late>>>,
    /// Reads whose answers are held back.
    reads: watch::Sender<HashSet<Read>>,
    /// Answers that wait.
    unanswered: Arc<Mutex<Vec<Read>>>,
    timeless: Arc<AtomicBool>,
    /// Jobs that it takes away at once.
    purge_most: Arc<AtomicUsize>,
    /// How often each job was read.
    loads: Arc<Mutex<HashMap<JobId, usize>>>,
    /// Others are faster to write a rule than whoever does not hold it.
    outrun: Arc<AtomicBool>,
    /// Whether others keep all rules.
    kept: Arc<AtomicBool>,
    /// Purges that happen, and whose answers are lost.
    purges_lost: Arc<AtomicUsize>,
    /// Jobs that it does not take away.
    stuck: Arc<Mutex<HashSet<JobId>>>,
    /// Jobs whose logs are not read from this row on.
    torn: Arc<Mutex<HashMap<JobId, i64>>>,
}

/// A commit that is still under way.
type Late = (Arc<dyn Store>, Batch);

impl Default for Faults {
    fn default() -> Self {
        Self {
            weather: watch::Sender::new(Weather::Fair),
            planned: Arc::default(),
            log_reads: Arc::default(),
            held: watch::Sender::new(false),
            deaf: Arc::default(),
            late: Arc::default(),
            reads: watch::Sender::default(),
            unanswered: Arc::default(),
            timeless: Arc::default(),
            purge_most: Arc::new(AtomicUsize::new(usize::MAX)),
            loads: Arc::default(),
            outrun: Arc::default(),
            kept: Arc::default(),
            purges_lost: Arc::default(),
            stuck: Arc::default(),
            torn: Arc::default(),
        }
    }
}

impl Faults {
    /// Changes how the store is, until the next change.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// The next commit that is meant meets this fault.
    pub fn plan(&self, fault: Fault, aim: Aim) {
        self.planned.lock().push_back((fault, aim));
    }

    /// From now on a purge of more jobs takes too long.
    pub fn purge_at_most(&self, jobs: usize) {
        self.purge_most.store(jobs, Ordering::Relaxed);
    }

    /// From now on this job is not taken away.
    pub fn never_purge(&self, id: &str) {
        self.stuck.lock().insert(id.parse().expect("the id of a job"));
    }

    /// From now on the log of this job is not read from this row on.
    pub fn tear_log(&self, id: &str, row: i64) {
        self.torn.lock().insert(id.parse().expect("the id of a job"), row);
    }

    /// From now on somebody else writes each rule just before whoever read it without holding it.
    pub fn outrun(&self) {
        self.outrun.store(true, Ordering::Relaxed);
    }

    /// From now on others keep all rules, or none any more: nobody gets hold of one.
    pub fn keep_rules(&self, kept: bool) {
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// So many purges happen from now on without an answer.
    pub fn lose_purges(&self, count: usize) {
        self.purges_lost.store(count, Ordering::Relaxed);
    }

    /// Lets the answer come that was held back.
    pub fn answer(&self) {
        self.held.send_replace(false);
    }

    /// Lets the commit happen that is still under way, if there is one.
    pub async fn happen(&self) {
        let late = self.late.lock().take();
        if let Some((store, batch)) = late {
            store.commit(batch).await.expect("it happens");
        }
    }

    fn is_late(&self, store: &Arc<dyn Store>, batch: Batch) -> Error {
        *self.late.lock() = Some((Arc::clone(store), batch));
        unknown()
    }

    /// From now on such reads see what is there, and their answers wait until they are let go.
    pub fn hold_back(&self, read: Read) {
        self.reads.send_modify(|held| _ = held.insert(read));
    }

    /// Lets the answers of such reads come.
    pub fn let_go(&self, read: Read) {
        self.reads.send_modify(|held| _ = held.remove(&read));
    }

    /// How many answers of such reads wait.
    pub fn held_back(&self, read: Read) -> usize {
        self.unanswered.lock().iter().filter(|waiting| **waiting == read).count()
    }

    async fn answered<T>(&self, read: Read, answer: Result<T>) -> Result<T> {
        let mut held = self.reads.subscribe();
        if held.borrow().contains(&read) {
            self.unanswered.lock().push(read);
            // The sender is here, so the channel is open.
            let _ = held.wait_for(|held| !held.contains(&read)).await;
            let mut unanswered = self.unanswered.lock();
            let at = unanswered.iter().position(|waiting| *waiting == read);
            unanswered.swap_remove(at.expect("it waited"));
        }
        answer
    }

    /// How often a job was read by its id.
    pub fn loads(&self, id: &str) -> usize {
        let id: JobId = id.parse().expect("the id of a job");
        self.loads.lock().get(&id).copied().unwrap_or(0)
    }

    /// From now on no hint of another server comes through.
    pub fn lose_hints(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// From now on the store has no clock of its own.
    pub fn lose_time(&self) {
        self.timeless.store(true, Ordering::Relaxed);
    }

    /// Whether the store has no clock of its own.
    pub fn is_timeless(&self) -> bool {
        self.timeless.load(Ordering::Relaxed)
    }

    async fn hold(&self, committed: Committed) -> Committed {
        // The sender is here, so the channel is open.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        committed
    }

    /// Whether all planned faults have happened.
    pub fn happened(&self) -> bool {
        self.planned.lock().is_empty()
    }

    /// How often logs were read.
    pub fn log_reads(&self) -> usize {
        self.log_reads.load(Ordering::Relaxed)
    }

    async fn weathered(&self) -> Result<()> {
        let mut weather = self.weather.subscribe();
        let settled = weather.wait_for(|weather| *weather != Weather::Hanging).await;
        match settled.map(|weather| *weather) {
            Ok(Weather::Failing) => Err(unavailable()),
            Ok(Weather::Fair | Weather::ReadOnly | Weather::Hanging) | Err(_) => Ok(()),
        }
    }

    async fn writable(&self) -> Result<()> {
        self.weathered().await?;
        let read_only = *self.weather.borrow() == Weather::ReadOnly;
        if read_only { Err(unavailable()) } else { Ok(()) }
    }

    /// A commit happened, and nobody hears of it.
    fn lost(&self, fault: Fault) -> Error {
        if fault == Fault::StoreLost {
            self.set(Weather::Failing);
        }
        unknown()
    }

    fn next(&self, batch: &Batch) -> Option<Fault> {
        let mut planned = self.planned.lock();
        let at = planned.iter().position(|(_, aim)| aim(batch))?;
        let (fault, _) = planned.remove(at)?;
        if fault == Fault::AnswerHeld {
            self.held.send_replace(true);
        }
        Some(fault)
    }
}

fn unavailable() -> Error {
    Error::Unavailable(Arc::new(std::io::Error::other("the disk is gone")))
}

fn unknown() -> Error {
    Error::OutcomeUnknown(Arc::new(std::io::Error::other("the answer is lost")))
}

/// A store and what goes wrong with it.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    faults: Faults,
}

impl FaultyStore {
    /// `inner`, with `faults`.
    pub fn over(inner: Arc<dyn Store>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// Somebody else writes the rules that this batch is about to write: the same again, so that only their revisions
    /// tell.
    async fn outrun(&self, batch: &Batch) -> Result<()> {
        let keys: Vec<RuleKey> = batch.rules.iter().map(|write| write.key.clone()).collect();
        let there = self.inner.rules_by_key(&keys).await?;
        let again = |rule: Rule| RuleWrite {
            expected_revision: rule.revision,
            body: Some(rule.body),
            key: rule.key,
        };
        let rules = there.into_iter().map(again).collect();
        let other = Batch { rules, ..Batch::new(BatchId(Uuid::now_v7()), batch.now) };
        self.inner.commit(other).await.map(drop)
    }
}

struct FaultyRound {
    inner: Box<dyn Round>,
    store: Arc<dyn Store>,
    faults: Faults,
}

#[async_trait]
impl Round for FaultyRound {
    fn standing(&self) -> &Standing {
        self.inner.standing()
    }

    fn candidates(&self) -> &[Job] {
        self.inner.candidates()
    }

    async fn look(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        self.faults.weathered().await?;
        self.inner.look(probes, now).await
    }

    async fn holders(&mut self, names: &[KeyName]) -> Result<HashMap<KeyName, JobId>> {
        self.faults.weathered().await?;
        self.inner.holders(names).await
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed> {
        let fault = match self.faults.writable().await {
            Ok(()) => self.faults.next(&batch),
            Err(_) => Some(Fault::Refused),
        };
        match fault {
            None => self.inner.commit(batch).await,
            Some(fault @ (Fault::AnswerLost | Fault::StoreLost)) => {
                self.inner.commit(batch).await?;
                Err(self.faults.lost(fault))
            }
            Some(Fault::AnswerHeld) => {
                let committed = self.inner.commit(batch).await?;
                Ok(self.faults.hold(committed).await)
            }
            Some(Fault::Late) => {
                self.inner.abandon().await;
                Err(self.faults.is_late(&self.store, batch))
            }
            Some(Fault::RequestLost) => {
                self.inner.abandon().await;
                Err(unknown())
            }
            Some(Fault::Refused) => {
                self.inner.abandon().await;
                Err(unavailable())
            }
            Some(Fault::Panics) => panic!("the disk burns"),
            Some(Fault::GuardsMissed) => {
                self.inner.commit(without_writes(&batch)).await.map(|done| all_missed(done, &batch))
            }
        }
    }

    async fn abandon(self: Box<Self>) {
        self.inner.abandon().await;
    }
}

fn without_writes(batch: &Batch) -> Batch {
    Batch { writes: Vec::new(), ..batch.clone() }
}

fn all_missed(committed: Committed, batch: &Batch) -> Committed {
    Committed { writes: vec![Written::Missed; batch.writes.len()], ..committed }
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.faults.writable().await?;
        if self.faults.outrun.load(Ordering::Relaxed) && !batch.rules.is_empty() {
            self.outrun(&batch).await?;
        }
        match self.faults.next(&batch) {
            None => self.inner.commit(batch).await,
            Some(fault @ (Fault::AnswerLost | Fault::StoreLost)) => {
                self.inner.commit(batch).await?;
                Err(self.faults.lost(fault))
            }
            Some(Fault::AnswerHeld) => {
                let committed = self.inner.commit(batch).await?;
                Ok(self.faults.hold(committed).await)
            }
            Some(Fault::Late) => Err(self.faults.is_late(&self.inner, batch)),
            Some(Fault::RequestLost) => Err(unknown()),
            Some(Fault::Refused) => Err(unavailable()),
            Some(Fault::Panics) => panic!("the disk burns"),
            Some(Fault::GuardsMissed) => {
                let done = self.inner.commit(without_writes(&batch)).await?;
                Ok(all_missed(done, &batch))
            }
        }
    }

    async fn standing(&self, of: &Claims) -> Result<Standing> {
        self.faults.weathered().await?;
        self.inner.standing(of).await
    }

    async fn begin_round(&self, claims: &Claims) -> Result<Box<dyn Round>> {
        self.faults.weathered().await?;
        if !claims.keys.is_empty() && self.faults.kept.load(Ordering::Relaxed) {
            return Err(unavailable());
        }
        let inner = self.inner.begin_round(claims).await?;
        let (store, faults) = (Arc::clone(&self.inner), self.faults.clone());
        Ok(Box::new(FaultyRound { inner, store, faults }))
    }

    async fn load(&self, ids: &[JobId]) -> Result<Vec<Job>> {
        self.faults.weathered().await?;
        for id in ids {
            *self.faults.loads.lock().entry(*id).or_default() += 1;
        }
        self.faults.answered(Read::Load, self.inner.load(ids).await).await
    }

    async fn has_batch(&self, id: BatchId) -> Result<bool> {
        self.faults.weathered().await?;
        let is_late = self.faults.late.lock().as_ref().is_some_and(|(_, batch)| batch.id == id);
        if is_late {
            self.faults.happen().await;
        }
        self.inner.has_batch(id).await
    }

    async fn origin(&self) -> Result<Origin> {
        self.faults.weathered().await?;
        self.faults.answered(Read::Origin, self.inner.origin().await).await
    }

    async fn position(&self) -> Result<Position> {
        self.faults.weathered().await?;
        self.inner.position().await
    }

    async fn changes_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        self.faults.weathered().await?;
        self.inner.changes_since(position, limit).await
    }

    async fn others_since(&self, position: &Position, limit: usize) -> Result<ChangesSince> {
        self.faults.weathered().await?;
        self.inner.others_since(position, limit).await
    }

    async fn request(&self, caller: &str, request_id: &str) -> Result<Option<KnownRequest>> {
        self.faults.weathered().await?;
        self.inner.request(caller, request_id).await
    }

    async fn unique_holder(&self, job_type: &JobType, key: &str) -> Result<Option<JobId>> {
        self.faults.weathered().await?;
        self.inner.unique_holder(job_type, key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Job>> {
        self.faults.weathered().await?;
        self.inner.list(query).await
    }

    async fn list_ids(&self, query: &ListQuery) -> Result<Vec<JobId>> {
        self.faults.weathered().await?;
        self.inner.list_ids(query).await
    }

    async fn count(&self, filter: &JobFilter, cap: u64) -> Result<u64> {
        self.faults.weathered().await?;
        self.inner.count(filter, cap).await
    }

    async fn attempts(&self, id: JobId) -> Result<Vec<Attempt>> {
        self.faults.weathered().await?;
        self.inner.attempts(id).await
    }

    async fn logs(&self, query: &LogQuery) -> Result<Vec<LogRow>> {
        self.faults.log_reads.fetch_add(1, Ordering::Relaxed);
        self.faults.weathered().await?;
        let torn = self.faults.torn.lock().get(&query.job_id).copied();
        if torn.is_some_and(|row| query.from_position >= row) {
            return Err(unavailable());
        }
        self.inner.logs(query).await
    }

    async fn trim_logs(&self, id: JobId, lease_epoch: i64, head: u64, tail: u64) -> Result<u64> {
        self.faults.weathered().await?;
        self.inner.trim_logs(id, lease_epoch, head, tail).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<JobId>> {
        self.faults.weathered().await?;
        self.inner.due(now, limit).await
    }

    async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        self.faults.weathered().await?;
        self.inner.next_deadline().await
    }

    async fn expired_sessions(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>> {
        self.faults.weathered().await?;
        self.inner.expired_sessions(now, limit).await
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>> {
        self.faults.weathered().await?;
        self.inner.orphans(limit).await
    }

    async fn held(&self, sessions: &[SessionId]) -> Result<Vec<Job>> {
        self.faults.weathered().await?;
        self.inner.held(sessions).await
    }

    async fn sessions(&self, ended_after: Timestamp) -> Result<Vec<Session>> {
        self.faults.weathered().await?;
        self.inner.sessions(ended_after).await
    }

    async fn sessions_of(&self, instance: &InstanceId, principal: &str) -> Result<Vec<Session>> {
        self.faults.weathered().await?;
        self.inner.sessions_of(instance, principal).await
    }

    async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        self.faults.weathered().await?;
        self.inner.session(id).await
    }

    async fn counts(&self) -> Result<Vec<Count>> {
        self.faults.weathered().await?;
        self.inner.counts().await
    }

    async fn buckets(&self, from_minute: i64) -> Result<Vec<Bucket>> {
        self.faults.weathered().await?;
        self.inner.buckets(from_minute).await
    }

    async fn roll_up(&self, before_minute: i64, limit: usize) -> Result<u64> {
        self.faults.writable().await?;
        self.inner.roll_up(before_minute, limit).await
    }

    async fn facet(&self, facet: &Facet, from_slot: i64) -> Result<Vec<(i64, FacetTally)>> {
        self.faults.weathered().await?;
        self.inner.facet(facet, from_slot).await
    }

    async fn census(&self, filter: &JobFilter, now: Timestamp, most: u64) -> Result<Census> {
        self.faults.weathered().await?;
        self.inner.census(filter, now, most).await
    }

    async fn oldest_pending(&self, now: Timestamp) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
        self.faults.weathered().await?;
        self.inner.oldest_pending(now).await
    }

    async fn newest(&self, job_type: &JobType, limit: usize) -> Result<Vec<Job>> {
        self.faults.weathered().await?;
        self.inner.newest(job_type, limit).await
    }

    async fn recent(
        &self,
        job_type: &JobType,
        state: Option<StateKind>,
        limit: usize,
    ) -> Result<Vec<Job>> {
        self.faults.weathered().await?;
        self.inner.recent(job_type, state, limit).await
    }

    async fn rules(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
        self.faults.weathered().await?;
        self.inner.rules(kinds).await
    }

    async fn rules_by_key(&self, keys: &[RuleKey]) -> Result<Vec<Rule>> {
        self.faults.weathered().await?;
        self.inner.rules_by_key(keys).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Option<EventPage>> {
        self.faults.weathered().await?;
        self.inner.events(query).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<StoredAudit>> {
        self.faults.weathered().await?;
        self.inner.audit(query).await
    }

    async fn ended(&self, query: &EndedQuery) -> Result<EndedPage> {
        self.faults.weathered().await?;
        self.inner.ended(query).await
    }

    async fn purge(&self, batch: PurgeBatch) -> Result<Purged> {
        self.faults.weathered().await?;
        if batch.jobs.len() > self.faults.purge_most.load(Ordering::Relaxed) {
            return Err(unavailable());
        }
        if batch.jobs.iter().any(|(id, _)| self.faults.stuck.lock().contains(id)) {
            return Err(unavailable());
        }
        let purged = self.inner.purge(batch).await?;
        let lost = &self.faults.purges_lost;
        let less = |left: usize| left.checked_sub(1);
        if lost.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            return Err(unknown());
        }
        Ok(purged)
    }

    async fn drop_logs(&self, jobs: &[(JobId, i64)], limit: usize) -> Result<u64> {
        self.faults.weathered().await?;
        self.inner.drop_logs(jobs, limit).await
    }

    async fn shrink(&self) -> Result<u64> {
        self.faults.weathered().await?;
        self.inner.shrink().await
    }

    async fn prune(&self, prune: Prune) -> Result<u64> {
        self.faults.weathered().await?;
        self.inner.prune(prune).await
    }

    async fn catch_up(&self, position: &Position, limit: usize) -> Result<Caught> {
        self.faults.weathered().await?;
        self.faults.answered(Read::CatchUp, self.inner.catch_up(position, limit).await).await
    }

    async fn progress(&self, ids: &[JobId]) -> Result<Vec<ProgressWrite>> {
        self.faults.weathered().await?;
        self.faults.answered(Read::Progress, self.inner.progress(ids).await).await
    }

    async fn log_ends(&self, ids: &[JobId]) -> Result<Vec<(JobId, i64)>> {
        self.faults.weathered().await?;
        self.inner.log_ends(ids).await
    }

    async fn fold(&self) -> Result<u64> {
        self.faults.writable().await?;
        self.inner.fold().await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    async fn time(&self) -> Result<Option<Timestamp>> {
        self.faults.weathered().await?;
        if self.faults.is_timeless() {
            return Ok(None);
        }
        self.inner.time().await
    }

    async fn tell(&self, news: News) -> Result<()> {
        self.faults.weathered().await?;
        self.inner.tell(news).await
    }

    async fn told(&self) -> Result<News> {
        loop {
            self.faults.weathered().await?;
            let news = self.inner.told().await?;
            if !self.faults.deaf.load(Ordering::Relaxed) {
                return Ok(news);
            }
        }
    }

    async fn ping(&self) -> Result<()> {
        self.faults.weathered().await?;
        self.inner.ping().await
    }

    async fn info(&self) -> Result<StoreInfo> {
        self.faults.weathered().await?;
        self.inner.info().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
