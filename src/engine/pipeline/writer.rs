//! The writer: drains, decides, commits, has the work answered; repeats what missed its guard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::limits::{
    COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX, COMMIT_YIELDS_MAX, GUARD_REPEATS_MAX,
};
use crate::domain::{BatchId, Job, JobId};
use crate::runtime::{Clock, Shutdown};
use crate::store::{self, Batch, Claims, Committed, Round, Rule, RuleKey};
use crate::telemetry::chain;

use super::super::error::Error;
use super::super::registry::Rulebook;
use super::Parts;
use super::fold::fold;
use super::queue::Queue;
use super::rule_desk::{self, RuleDesk};
use super::unheard::{Kept, Unheard};
use super::waiting::{self, Waiting};
use super::work::Work;

/// Pause before a failing store is tried again, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Work with the number of times it was decided.
struct Tried {
    work: Work,
    times: usize,
}

/// A commit that takes this long is as good as an outage to those who wait for their lease.
const SLOW_COMMIT: Duration = Duration::from_secs(2);

/// A store that fails for long is logged once in this time.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Whether the store took a batch.
enum Settled {
    Yes,
    Not,
}

pub(super) struct Writer {
    pub(super) parts: Parts,
    /// The commit before, as long as nobody knows whether it happened.
    pub(super) unheard: Option<Unheard>,
    /// What the last such commit kept of lines that may be said again.
    pub(super) kept: Kept,
    /// To be decided before anything new: what missed a guard, and reports that outwait a failure.
    again: Vec<Tried>,
    /// Others were faster with a rule: the next batch is decided while they wait.
    pub(super) outrun: bool,
    pause: Duration,
    /// When a failure of the store was last logged.
    warned: Option<Instant>,
}

/// Closes the queue also if its writer panics: what nobody takes any more is refused, not kept waiting.
struct ClosedAtTheEnd<'a>(&'a Queue);

impl Drop for ClosedAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Writer {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            unheard: None,
            kept: Kept::new(),
            again: Vec::new(),
            outrun: false,
            pause: PAUSE_MIN,
            warned: None,
        }
    }

    /// Runs until `shutdown` is signalled and the queue of its lane is empty.
    pub(super) async fn run(mut self, lanes: Arc<[Queue]>, lane: usize, shutdown: Shutdown) {
        let Some(inbox) = lanes.get(lane) else { return };
        let _closed = ClosedAtTheEnd(inbox);
        self.serve(inbox, &shutdown).await;
        for tried in self.again {
            tried.work.fail(Error::Draining);
        }
    }

    async fn serve(&mut self, inbox: &Queue, shutdown: &Shutdown) {
        loop {
            if self.again.iter().any(|tried| tried.times > GUARD_REPEATS_MAX) {
                // Patient work that misses again and again is not to run hot.
                tokio::time::sleep(PAUSE_MIN).await;
            }
            if self.again.is_empty() {
                tokio::select! {
                    biased;
                    () = inbox.filled() => {}
                    () = tokio::time::sleep(self.pause), if self.unheard.is_some() => {
                        // What it did is to be told, although nobody asks; failing, later.
                        if let Err(error) = self.hear().await {
                            self.trouble(&error);
                        }
                        continue;
                    }
                    () = shutdown.signalled() => if inbox.len() == 0 { return },
                }
            }
            let batch = self.drain(inbox).await;
            self.settle(batch).await;
            if shutdown.is_signalled() && self.pause > PAUSE_MIN {
                // The store fails and there is no time left: whoever waits learns it by silence.
                return;
            }
        }
    }

    /// Takes what is to be repeated and whatever queued up meanwhile, letting others run while the
    /// queue still grows.
    async fn drain(&mut self, inbox: &Queue) -> Vec<Tried> {
        let mut batch = std::mem::take(&mut self.again);
        let mut bytes: usize = batch.iter().map(|tried| tried.work.bytes()).sum();
        let mut yields = 0;
        while batch.len() < COMMIT_COMMANDS_MAX && bytes < COMMIT_BYTES_MAX {
            match inbox.pop() {
                Some(work) => {
                    bytes += work.bytes();
                    batch.push(Tried { work, times: 0 });
                }
                None if yields < COMMIT_YIELDS_MAX => {
                    let waiting = inbox.len();
                    tokio::task::yield_now().await;
                    yields += 1;
                    if inbox.len() == waiting {
                        break;
                    }
                }
                None => break,
            }
        }
        batch
    }

    /// Decides and commits one batch. A batch that the store rejects is halved until the piece at
    /// fault stands alone.
    async fn settle(&mut self, batch: Vec<Tried>) {
        let mut open = vec![batch];
        while let Some(mut batch) = open.pop() {
            let times: Vec<usize> = batch.iter().map(|tried| tried.times).collect();
            let work: Vec<Work> = batch.drain(..).map(|tried| tried.work).collect();
            match self.attempt(work, &times).await {
                Ok(Settled::Yes) => self.pause = PAUSE_MIN,
                Ok(Settled::Not) => {}
                Err((work, error)) => {
                    let mut halves = self.recover(work, &times, error).await;
                    open.append(&mut halves);
                }
            }
        }
    }

    /// Decides and commits; gives the work back if the store failed as a whole.
    async fn attempt(
        &mut self,
        work: Vec<Work>,
        times: &[usize],
    ) -> Result<Settled, (Vec<Work>, store::Error)> {
        if let Err(error) = self.hear().await {
            return Err((work, error));
        }
        let wanted = wanted(&work, times);
        let (read, cached) = match self.read(wanted).await {
            Ok(jobs) => jobs,
            Err(error) => return Err((work, error)),
        };
        let book = self.parts.registry.book();
        let keys = rule_desk::concerned(&work, read.iter().chain(&cached), &book);
        let asks_for_room = waiting::asks(&work, &book, self.parts.max_pending);
        let round = match self.hold(&keys).await {
            Ok(round) => round,
            // Others kept them for too long. What goes by no rule does not have to wait for that any longer; a store that
            // is really away says so in a moment.
            Err(store::Error::Unavailable(_)) => {
                self.outrun = true;
                None
            }
            Err(error) => return Err((work, error)),
        };
        let found = round.as_ref().map(|round| round.standing().rules.values().cloned().collect());
        let (rules, waiting) = match self.around(&book, &keys, found, asks_for_room).await {
            Ok(around) => around,
            Err(error) => return Err((work, error)),
        };
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), self.parts.clock.now());
        batch.facets.clone_from(&self.parts.after.facets);
        let chance = || rand::random_range(-1.0..=1.0);
        let around = (rules, waiting);
        let mut folded = fold(work, read, cached, around, batch, self.parts.wanted, chance);
        if let Err(error) = folded.rules.write(&mut folded.batch) {
            return Err((folded.work.into_iter().map(|(work, _)| work).collect(), error));
        }
        if folded.batch.is_empty() {
            if let Some(round) = round {
                round.abandon().await;
            }
            self.answer(folded, &Committed::default(), times);
            return Ok(Settled::Yes);
        }
        let started = Clock::monotonic();
        let size = folded.work.len();
        let holds_rules = round.is_some();
        let committed = match round {
            Some(round) => round.commit(folded.batch.clone()).await,
            None => self.parts.store.commit(folded.batch.clone()).await,
        };
        match committed {
            Ok(committed) => {
                let took = Clock::monotonic().duration_since(started);
                self.parts.metrics.commit(size, took);
                self.parts.health.works();
                if took >= SLOW_COMMIT {
                    self.parts.health.trouble();
                }
                self.answer(folded, &committed, times);
                Ok(Settled::Yes)
            }
            Err(error @ store::Error::OutcomeUnknown(_)) => {
                let (unheard, work) = Unheard::of(folded);
                self.unheard = Some(unheard);
                match self.hear().await {
                    Ok(heard) if heard.happened => {
                        self.answer_heard(heard, work, times);
                        Ok(Settled::Yes)
                    }
                    // It did not happen after all: all of it is decided again, after a pause.
                    Ok(heard) => {
                        self.parts.metrics.store_error(error.kind());
                        self.rest(&error).await;
                        self.answer_heard(heard, work, times);
                        Ok(Settled::Not)
                    }
                    Err(_) => Err((work, error)),
                }
            }
            // It may only have met others in the middle: without a hold that is made good by the store.
            Err(store::Error::Unavailable(_)) if holds_rules => {
                for ((piece, _), times) in folded.work.into_iter().zip(times) {
                    self.repeat(piece, times.saturating_sub(1));
                }
                Ok(Settled::Not)
            }
            Err(
                error @ (store::Error::Unavailable(_)
                | store::Error::Rejected(_)
                | store::Error::Corrupt { .. }),
            ) => Err((folded.work.into_iter().map(|(work, _)| work).collect(), error)),
        }
    }

    /// These jobs: fresh, or from the cache where that may be; either way with their newest progress,
    /// for an execution may end without another word of its worker.
    async fn read(
        &mut self,
        wanted: HashMap<JobId, bool>,
    ) -> Result<(Vec<Job>, Vec<Job>), store::Error> {
        let mut cached = Vec::new();
        let mut fresh = Vec::new();
        for (id, may_be_cached) in wanted {
            match self.parts.cache.look_up(id).filter(|_| may_be_cached) {
                Some(job) => cached.push(job),
                None => fresh.push(id),
            }
        }
        let mut read = Vec::new();
        if !fresh.is_empty() {
            read = self.parts.store.load(&fresh).await?;
        }
        for job in read.iter_mut().chain(&mut cached) {
            self.parts.after.live.overlay(job);
        }
        Ok((read, cached))
    }

    /// Keeps these rules from others until the commit, if others were faster the last time: rounds that start
    /// jobs under a busy quota follow each other without a gap, and one that only looks would never win.
    async fn hold(&mut self, keys: &[RuleKey]) -> Result<Option<Box<dyn Round>>, store::Error> {
        if !std::mem::take(&mut self.outrun) || keys.is_empty() {
            return Ok(None);
        }
        let claims = Claims { keys: keys.iter().cloned().collect(), ..Claims::default() };
        self.parts.store.begin_round(&claims).await.map(Some)
    }

    /// These rules as they stand now, unless they were `found` already, and what waits where that is bounded,
    /// if that is asked for.
    async fn around(
        &mut self,
        book: &Rulebook,
        keys: &[RuleKey],
        found: Option<Vec<Rule>>,
        asks_for_room: bool,
    ) -> Result<(RuleDesk, Option<Waiting>), store::Error> {
        let store = self.parts.store.as_ref();
        let mut rules = RuleDesk::default();
        if let Some(found) = found {
            rules = RuleDesk::of(keys, &found, book);
        } else if !keys.is_empty() {
            rules = RuleDesk::of(keys, &store.rules_by_key(keys).await?, book);
        }
        let mut waiting = None;
        if asks_for_room {
            waiting = Some(Waiting::read(store, book, self.parts.max_pending).await?);
        }
        Ok((rules, waiting))
    }

    pub(super) fn repeat(&mut self, work: Work, times: usize) {
        if times < GUARD_REPEATS_MAX || work.is_patient() {
            self.again.push(Tried { work, times: times.saturating_add(1) });
        } else {
            work.fail(Error::Overloaded);
        }
    }

    /// After a failure of the store: what is patient is tried again after a pause, the rest is told.
    /// A rejected batch comes back in halves.
    async fn recover(
        &mut self,
        mut work: Vec<Work>,
        times: &[usize],
        error: store::Error,
    ) -> Vec<Vec<Tried>> {
        self.parts.metrics.store_error(error.kind());
        if matches!(error, store::Error::Rejected(_) | store::Error::Corrupt { .. }) {
            if work.len() == 1 {
                for piece in work {
                    piece.fail(Error::from(error.clone()));
                }
                return Vec::new();
            }
            let late = work.split_off(work.len() / 2);
            let (early_times, late_times) = times.split_at(work.len());
            // The last one is taken first, so the order of the work is kept.
            return vec![with_times(late, late_times), with_times(work, early_times)];
        }
        for piece in work {
            if piece.is_patient() {
                self.again.push(Tried { work: piece, times: 1 });
            } else {
                piece.fail(Error::from(error.clone()));
            }
        }
        self.rest(&error).await;
        Vec::new()
    }

    /// Leaves a failing store alone for a while, longer each time.
    async fn rest(&mut self, error: &store::Error) {
        self.trouble(error);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Notes that the store fails, in the log too, but not more often than people can read.
    fn trouble(&mut self, error: &store::Error) {
        self.parts.health.trouble();
        let now = Clock::monotonic();
        if self.warned.is_none_or(|warned| now.duration_since(warned) >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(error = %chain(error), "the store fails");
        }
    }
}

/// The jobs that `work` names, and whether the cache may know them: not what was decided before.
fn wanted(work: &[Work], times: &[usize]) -> HashMap<JobId, bool> {
    let mut wanted: HashMap<JobId, bool> = HashMap::new();
    for (piece, times) in work.iter().zip(times) {
        piece.names(|id, may_be_cached| {
            let cached = wanted.entry(id).or_insert(true);
            *cached &= may_be_cached && *times == 0;
        });
    }
    wanted
}

fn with_times(work: Vec<Work>, times: &[usize]) -> Vec<Tried> {
    work.into_iter().zip(times).map(|(work, times)| Tried { work, times: *times }).collect()
}
