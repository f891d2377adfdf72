//! The dispatcher: turns all waiting capacity into rounds of one transaction each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::admission::{Admission, Candidate, Room, Shares, admit_within};
use crate::domain::event::{Wanted, of_change};
use crate::domain::limits::DISPATCH_PAIRS_MAX;
use crate::domain::machine::Effect;
use crate::domain::{BatchId, Job, JobId, Timestamp};
use crate::runtime::{Clock, Shutdown};
use crate::store::{self, Batch, Cause, Round as Open, RuleKey, SessionWrite, Store};

use super::super::live::Live;
use super::super::pipeline::After;
use super::super::pipeline::Cache;
use super::super::registry::Registry;
use super::super::session::Sessions;
use super::depths::Depths;
use super::line::{Line, Pair};
use super::ruling::{Ruled, Ruling};
use super::taker::{Taker, skip, start};
use super::waiter::Waiters;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs the rounds.
pub(in super::super) struct Dispatcher {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) line: Line,
    pub(super) sessions: Arc<Sessions>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) live: Arc<Live>,
    pub(super) cache: Arc<Cache>,
    pub(super) registry: Arc<Registry>,
    pub(super) after: Arc<After>,
    /// Jobs that may run on all servers at once; 0 = no cap.
    pub(super) max_running: u32,
}

/// What a round came to.
enum Round {
    /// Nothing to do until something changes.
    Idle,
    /// Something was handed out, and more may be.
    Busy,
}

/// Starts and skips of which nobody knows whether they happened, and who was told of none.
pub(super) struct Unheard {
    pub(super) id: BatchId,
    pub(super) starts: Vec<Job>,
    /// How each stood, how it stands if it happened, and what follows from that.
    pub(super) skips: Vec<(Job, Job, Vec<Effect>)>,
    /// The rules that were to change with them.
    pub(super) rules: Vec<RuleKey>,
}

/// What the dispatcher remembers from round to round.
#[derive(Default)]
struct Memory {
    unheard: Vec<Unheard>,
    /// How queues with weights have shared the starts so far.
    shares: Shares,
    depths: Depths,
    /// Pairs looked at in vain since something was last started, or since all were.
    in_vain: HashSet<Pair>,
}

/// Who takes jobs in a round, and of which pairs.
pub(super) struct Market {
    pub(super) pairs: Vec<Pair>,
    takers: Vec<Taker>,
    pub(super) rooms: Vec<Room>,
    pub(super) now: Timestamp,
}

/// What a round decided.
struct Decided {
    batch: Batch,
    /// For which taker, in the order of the writes.
    starts: Vec<(usize, Job)>,
    /// Behind the starts in the order of the writes, with what follows from each.
    skips: Vec<(Job, Vec<Effect>)>,
}

impl Dispatcher {
    pub(in super::super) fn new(
        store: Arc<dyn Store>,
        after: &Arc<After>,
        (waiters, cache, registry): (Arc<Waiters>, Arc<Cache>, Arc<Registry>),
        max_running: u32,
    ) -> Self {
        Self {
            store,
            clock: after.clock.clone(),
            line: after.line.clone(),
            sessions: Arc::clone(&after.sessions),
            waiters,
            live: Arc::clone(&after.live),
            cache,
            registry,
            after: Arc::clone(after),
            max_running,
        }
    }

    /// Runs until `shutdown` is signalled.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut pause = PAUSE_MIN;
        let mut memory = Memory::default();
        while !shutdown.is_signalled() {
            match self.round(&mut memory).await {
                Ok(Round::Busy) => pause = PAUSE_MIN,
                Ok(Round::Idle) => {
                    pause = PAUSE_MIN;
                    memory.in_vain.clear();
                    let due_in = match self.line.next_due() {
                        Some(at) => at.since(self.clock.now()).max(Duration::from_millis(1)),
                        None => Duration::from_secs(3600),
                    };
                    tokio::select! {
                        () = self.line.hinted() => {}
                        () = tokio::time::sleep(due_in) => {}
                        () = shutdown.signalled() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a dispatch round fails"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = shutdown.signalled() => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn round(&self, memory: &mut Memory) -> store::Result<Round> {
        self.hear(&mut memory.unheard).await?;
        let now = self.clock.now();
        self.line.ripen(now);
        let takers = self.sessions.all().into_iter().map(Taker::Stream);
        let takers = takers.chain(self.waiters.all().into_iter().map(Taker::Call));
        let (takers, rooms): (Vec<Taker>, Vec<Room>) =
            takers.filter_map(|taker| taker.room().map(|room| (taker, room))).unzip();
        if takers.is_empty() {
            return Ok(Round::Idle);
        }
        let book = self.registry.book();
        let accepted = |pair: &Pair| {
            !memory.in_vain.contains(pair)
                && book.pause_reason(&pair.0).is_none()
                && rooms.iter().any(|room| room.capacity.accepts(&pair.0, &pair.1))
        };
        let pairs = self.line.take(DISPATCH_PAIRS_MAX, accepted);
        if pairs.is_empty() {
            return Ok(Round::Idle);
        }
        // Whoever takes none of these is not asked: a round is over when nobody who is asked has a place left.
        let takes = |room: &Room| pairs.iter().any(|pair| room.capacity.accepts(&pair.0, &pair.1));
        let asked = takers.into_iter().zip(rooms).filter(|(_, room)| takes(room));
        let (takers, rooms) = asked.unzip();
        let mut market = Market { pairs, takers, rooms, now };
        let answer = self.match_up(&mut market, memory).await;
        if answer.is_err() {
            for pair in market.pairs {
                self.line.more(pair);
            }
        }
        answer
    }

    async fn match_up(&self, market: &mut Market, memory: &mut Memory) -> store::Result<Round> {
        let bounds = (self.max_running, self.store.is_shared());
        let ruling = Ruling::new(self.registry.book(), bounds, market.pairs.iter());
        let claims = ruling.claims();
        let losses = self.registry.losses();
        self.line.listen();
        let mut round = self.store.begin_round(&claims).await?;
        // It may have waited for others.
        if ruling.is_outdated(&self.registry, losses, (&claims, round.standing())) {
            round.abandon().await;
            return Ok(self.once_more(market));
        }
        market.now = self.clock.now();
        let market = &*market;
        let Market { pairs, takers, rooms, now } = market;
        let mut ruled = ruling.stand(&claims, round.standing(), memory.shares.clone());
        let looks = self.looks(market, &ruled, &memory.depths);
        if looks.probes.is_empty() {
            round.abandon().await;
            return Ok(in_vain(pairs, memory));
        }
        let unread = round.look(&looks.probes, *now).await?;
        // A change that was committed before this round may be known only now.
        if ruling.is_outdated(&self.registry, losses, (&claims, round.standing())) {
            round.abandon().await;
            return Ok(self.once_more(market));
        }
        ruled.learn(round.standing());
        let jobs = round.candidates();
        let candidates: Vec<Candidate> =
            jobs.iter().filter_map(|job| ruled.candidate(job)).collect();
        debug_assert_eq!(candidates.len(), jobs.len(), "a round offers PENDING jobs only");
        let seen = looks.seen(&candidates, &unread);
        let horizons = looks.horizons((&candidates, &seen), &ruled);
        let admission = admit_within(&candidates, &horizons, rooms, &mut ruled.rules, *now);
        let found = (candidates.as_slice(), seen);
        let goes_deeper = self.mark_rest(&looks, found, &admission, (&mut memory.depths, *now));
        let Some(decided) = self.decide(market, jobs, &candidates, admission, &ruled) else {
            // Who was to take one is gone, and what it drew is not to be lost: all of it once more.
            round.abandon().await;
            return Ok(self.once_more(market));
        };
        if decided.batch.writes.is_empty() {
            round.abandon().await;
            if goes_deeper {
                return Ok(Round::Busy);
            }
            return Ok(in_vain(pairs, memory));
        }
        memory.in_vain.clear();
        memory.shares.clone_from(&ruled.rules.shares);
        self.commit(round, decided, &ruled, takers, &mut memory.unheard).await
    }

    /// Nothing is decided: the pairs keep their marks.
    fn once_more(&self, market: &Market) -> Round {
        for pair in &market.pairs {
            self.line.more(pair.clone());
        }
        Round::Busy
    }

    /// The writes of an admission, and all who take part prepared for them. `None` if somebody who was to
    /// take a job is gone, and rules were changed for it.
    fn decide(
        &self,
        market: &Market,
        jobs: &[Job],
        candidates: &[Candidate],
        admission: Admission,
        ruled: &Ruled,
    ) -> Option<Decided> {
        let Market { takers, now, .. } = market;
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), *now);
        batch.facets.clone_from(&self.after.facets);
        let mut starts: Vec<(usize, Job)> = Vec::with_capacity(admission.picks.len());
        for pick in admission.picks {
            let at = pick.candidate;
            let (Some(job), Some(to)) = (jobs.get(at), takers.get(pick.room)) else { continue };
            let key = candidates.get(at).and_then(|candidate| candidate.key.clone());
            let started = start(job, to, pick.draws, key, *now);
            let started = started.filter(|(write, _)| self.expect(&write.job, to));
            let Some((write, session)) = started else {
                if ruled.is_changed() {
                    for (taker, job) in &starts {
                        self.expect_no_more(job, takers.get(*taker));
                    }
                    return None;
                }
                let queue = job.status.effective.queue.clone();
                self.line.more((queue, job.spec.job_type.clone()));
                continue;
            };
            starts.push((pick.room, write.job.clone()));
            batch.writes.push(write);
            batch.sessions.extend(session.map(SessionWrite::Open));
        }
        let mut skips = Vec::with_capacity(admission.skips.len());
        for (at, reason) in admission.skips {
            let Some(job) = jobs.get(at) else { continue };
            let reason = ruled.skip(&job.spec.job_type, reason, *now);
            if let Some((write, effects)) = skip(job, reason, *now) {
                let told = of_change(Some(&job.status), &write.job, &effects, Wanted::default());
                if let Some(event) = told {
                    batch.tell(Cause::Write(batch.writes.len()), event);
                }
                skips.push((write.job.clone(), effects));
                batch.writes.push(write);
            }
        }
        Some(Decided { batch, starts, skips })
    }

    async fn commit(
        &self,
        round: Box<dyn Open>,
        decided: Decided,
        ruled: &Ruled,
        takers: &[Taker],
        unheard: &mut Vec<Unheard>,
    ) -> store::Result<Round> {
        let Decided { mut batch, starts, skips } = decided;
        batch.rules = ruled.changed(round.standing())?;
        for event in ruled.exhausted(batch.now) {
            batch.tell(Cause::Batch, event);
        }
        let written: HashSet<JobId> = batch.writes.iter().map(|write| write.job.id).collect();
        let decided = round.candidates().iter().filter(|job| written.contains(&job.id));
        let befores: HashMap<JobId, Job> = decided.map(|job| (job.id, job.clone())).collect();
        let undo = || {
            for (taker, job) in &starts {
                self.expect_no_more(job, takers.get(*taker));
            }
        };
        let committed = match round.commit(batch.clone()).await {
            Ok(committed) => committed,
            Err(error) => {
                undo();
                if matches!(error, store::Error::OutcomeUnknown(_)) {
                    let starts = starts.into_iter().map(|(_, job)| job).collect();
                    let stood = |(job, effects): (Job, _)| {
                        Some((befores.get(&job.id)?.clone(), job, effects))
                    };
                    let skips = skips.into_iter().filter_map(stood).collect();
                    let rules = batch.rules.into_iter().map(|write| write.key).collect();
                    unheard.push(Unheard { id: batch.id, starts, skips, rules });
                }
                return Err(error);
            }
        };
        if !committed.missed_rules.is_empty() {
            undo();
            for job in befores.values() {
                self.line.more((job.status.effective.queue.clone(), job.spec.job_type.clone()));
            }
            return Ok(Round::Busy);
        }
        self.registry.heed_circuits(ruled.circuits());
        let (started, skipped) = committed.writes.split_at(starts.len());
        self.hand_out(starts, started, takers, &befores);
        self.skipped(skips, skipped, &befores);
        self.after.committed(&batch, &committed, |job_id| befores.get(&job_id));
        Ok(Round::Busy)
    }
}

/// Nothing came of these; pairs may be left that were not looked at since something last started.
fn in_vain(pairs: &[Pair], memory: &mut Memory) -> Round {
    memory.in_vain.extend(pairs.iter().cloned());
    if pairs.len() < DISPATCH_PAIRS_MAX { Round::Idle } else { Round::Busy }
}
