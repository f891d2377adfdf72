//! The dispatcher: turns all waiting capacity into rounds of one transaction each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::admission::{self, Capacity, Waiting as Place};
use crate::domain::limits::{DISPATCH_JOBS_MAX, DISPATCH_PAIRS_MAX};
use crate::domain::machine;
use crate::domain::status::State;
use crate::domain::{BatchId, Job};
use crate::runtime::{Clock, Shutdown};
use crate::store::{self, Batch, Probe, SessionWrite, Store, Written};

use super::super::live::Live;
use super::super::pipeline::After;
use super::super::pipeline::Cache;
use super::super::registry::Registry;
use super::super::session::Sessions;
use super::line::{Line, Pair};
use super::taker::{Taker, start};
use super::waiter::Waiters;

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Runs the rounds.
pub(in super::super) struct Dispatcher {
    pub(in super::super) store: Arc<dyn Store>,
    pub(in super::super) clock: Clock,
    pub(in super::super) line: Line,
    pub(in super::super) sessions: Arc<Sessions>,
    pub(in super::super) waiters: Arc<Waiters>,
    pub(in super::super) live: Arc<Live>,
    pub(in super::super) cache: Arc<Cache>,
    pub(in super::super) registry: Arc<Registry>,
    pub(in super::super) after: Arc<After>,
}

/// What a round came to.
enum Round {
    /// Nothing to do until something changes.
    Idle,
    /// Something was handed out, and more may be.
    Busy,
}

/// Starts of which nobody knows whether they happened, and who was told of none.
struct Unheard {
    id: BatchId,
    starts: Vec<Job>,
}

impl Dispatcher {
    /// Runs until `shutdown` is signalled.
    pub(in super::super) async fn run(self, shutdown: Shutdown) {
        let mut pause = PAUSE_MIN;
        let mut unheard = Vec::new();
        while !shutdown.is_signalled() {
            match self.round(&mut unheard).await {
                Ok(Round::Busy) => pause = PAUSE_MIN,
                Ok(Round::Idle) => {
                    pause = PAUSE_MIN;
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

    async fn round(&self, unheard: &mut Vec<Unheard>) -> store::Result<Round> {
        self.give_back(unheard).await?;
        let now = self.clock.now();
        self.line.ripen(now);
        let takers = self.sessions.all().into_iter().map(Taker::Stream);
        let takers = takers.chain(self.waiters.all().into_iter().map(Taker::Call));
        let (takers, capacities): (Vec<Taker>, Vec<Capacity>) =
            takers.filter_map(|taker| taker.capacity().map(|capacity| (taker, capacity))).unzip();
        if takers.is_empty() {
            return Ok(Round::Idle);
        }
        let book = self.registry.book();
        let accepted = |pair: &Pair| {
            book.pause_reason(&pair.0).is_none()
                && capacities.iter().any(|room| room.accepts(&pair.0, &pair.1))
        };
        let pairs = self.line.take(DISPATCH_PAIRS_MAX, accepted);
        if pairs.is_empty() {
            return Ok(Round::Idle);
        }
        let probes = probes(&pairs, &capacities);
        let answer = self.match_up(&probes, &takers, &capacities, now, unheard).await;
        if answer.is_err() {
            for pair in pairs {
                self.line.more(pair);
            }
        }
        answer
    }

    async fn match_up(
        &self,
        probes: &[Probe],
        takers: &[Taker],
        capacities: &[Capacity],
        now: crate::domain::Timestamp,
        unheard: &mut Vec<Unheard>,
    ) -> store::Result<Round> {
        let round = self.store.begin_round(probes.to_vec(), now).await?;
        let candidates = round.candidates();
        let waiting: Vec<Place> = candidates.iter().filter_map(place).collect();
        debug_assert_eq!(waiting.len(), candidates.len(), "a round offers PENDING jobs only");
        let picked = admission::pick(&waiting, capacities);
        self.mark_rest(probes, &waiting, &picked);
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        batch.facets.clone_from(&self.after.facets);
        let mut starts: Vec<(usize, Job)> = Vec::with_capacity(picked.len());
        for (at, taker) in picked {
            let (Some(job), Some(to)) = (candidates.get(at), takers.get(taker)) else { continue };
            if let Some((write, session)) = start(job, to, now) {
                if !self.expect(&write.job, to) {
                    let queue = write.job.status.effective.queue.clone();
                    self.line.more((queue, job.spec.job_type.clone()));
                    continue;
                }
                starts.push((taker, write.job.clone()));
                batch.writes.push(write);
                batch.sessions.extend(session.map(SessionWrite::Open));
            }
        }
        if starts.is_empty() {
            round.abandon().await;
            return Ok(Round::Idle);
        }
        let befores: HashMap<_, _> = candidates.iter().map(|job| (job.id, job.clone())).collect();
        let committed = match round.commit(batch.clone()).await {
            Ok(committed) => committed,
            Err(error) => {
                for (taker, job) in &starts {
                    self.expect_no_more(job, takers.get(*taker));
                }
                if matches!(error, store::Error::OutcomeUnknown(_)) {
                    let starts = starts.into_iter().map(|(_, job)| job).collect();
                    unheard.push(Unheard { id: batch.id, starts });
                }
                return Err(error);
            }
        };
        self.hand_out(starts, &committed.writes, takers, &befores);
        self.after.committed(&batch, &committed, |job_id| befores.get(&job_id));
        Ok(Round::Busy)
    }

    /// Gives back what was started although nobody heard of it. Only when that is known: a release that is
    /// decided while the commit is still under way finds nothing to release, and nobody else would.
    async fn give_back(&self, unheard: &mut Vec<Unheard>) -> store::Result<()> {
        while let Some(Unheard { id, .. }) = unheard.last() {
            let happened = self.store.has_batch(*id).await?;
            let starts = unheard.pop().map(|unheard| unheard.starts).unwrap_or_default();
            starts.iter().filter(|_| happened).for_each(|job| self.release(job));
        }
        Ok(())
    }

    /// Prepares for a job that is about to start: from its commit on, whatever is decided about it
    /// finds its holder, its cell and its place in the cache, and takes them away again. `false` if its
    /// taker is gone.
    fn expect(&self, job: &Job, to: &Taker) -> bool {
        let cell = self.live.open(job);
        let expected = match to {
            Taker::Stream(attach) => attach.reserve(job, cell),
            Taker::Call(_) => true,
        };
        if expected {
            self.cache.note(job, |session| self.after.keeps(session));
        } else {
            self.live.close(job.id, job.status.lease_epoch);
        }
        expected
    }

    /// The job does not start after all, as far as is known.
    fn expect_no_more(&self, job: &Job, to: Option<&Taker>) {
        if let Some(Taker::Stream(attach)) = to {
            attach.withdraw(job);
        }
        self.cache.forget(job.id);
        self.live.close(job.id, job.status.lease_epoch);
    }

    /// Pairs that were cut off, or whose jobs found no room, keep their mark.
    fn mark_rest(&self, probes: &[Probe], waiting: &[Place], picked: &[(usize, usize)]) {
        for probe in probes {
            let here =
                |place: &Place| place.queue == probe.queue && place.job_type == probe.job_type;
            let offered = waiting.iter().filter(|place| here(place)).count();
            let taken = picked.iter().filter(|(at, _)| waiting.get(*at).is_some_and(here)).count();
            if offered >= probe.limit || taken < offered {
                self.line.more((probe.queue.clone(), probe.job_type.clone()));
            }
        }
    }

    /// Gives each started job to its taker; what cannot be given is released.
    fn hand_out(
        &self,
        starts: Vec<(usize, Job)>,
        written: &[Written],
        takers: &[Taker],
        befores: &HashMap<crate::domain::JobId, Job>,
    ) {
        let mut calls: HashMap<usize, Vec<Job>> = HashMap::new();
        for ((taker, job), written) in starts.into_iter().zip(written) {
            if *written != Written::Done {
                self.expect_no_more(&job, takers.get(taker));
                self.line.more((job.status.effective.queue.clone(), job.spec.job_type.clone()));
                continue;
            }
            if let Some(before) = befores.get(&job.id) {
                let effects = vec![machine::Effect::Started { attempt: job.status.attempt }];
                self.after.changed(before, &job, effects);
            }
            match takers.get(taker) {
                Some(Taker::Stream(attach)) => {
                    if !attach.assign(&job) {
                        self.release(&job);
                    }
                }
                Some(Taker::Call(_)) => calls.entry(taker).or_default().push(job),
                None => self.release(&job),
            }
        }
        for (taker, jobs) in calls {
            if let Some(Taker::Call(waiting)) = takers.get(taker)
                && let Err(jobs) = waiting.answer(jobs)
            {
                for job in &jobs {
                    self.release(job);
                }
            }
        }
    }

    fn release(&self, job: &Job) {
        if let Some(session) = job.status.session() {
            self.sessions.take_back(job.id, job.status.lease_epoch, session);
        }
    }
}

fn place(job: &Job) -> Option<Place> {
    match job.status.state {
        State::Pending { ready_key } => Some(Place {
            queue: job.status.effective.queue.clone(),
            job_type: job.spec.job_type.clone(),
            ready_key,
        }),
        State::Running { .. }
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::Skipped { .. } => None,
    }
}

/// How many jobs of each pair to look at: what could be taken, shared evenly.
fn probes(pairs: &[Pair], capacities: &[Capacity]) -> Vec<Probe> {
    let share = (DISPATCH_JOBS_MAX / pairs.len().max(1)).max(1);
    let room = |(queue, job_type): &Pair| -> usize {
        capacities.iter().filter(|room| room.accepts(queue, job_type)).map(|room| room.free).sum()
    };
    pairs
        .iter()
        .map(|pair| Probe {
            queue: pair.0.clone(),
            job_type: pair.1.clone(),
            limit: room(pair).min(share),
        })
        .collect()
}
