//! What is known of where jobs wait: hints from commits, made good by a poll of the counters.

mod closed;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::admission::Hold;
use crate::domain::limits::{QUEUES_MAX, TIMERS_MAX, TYPES_MAX};
use crate::domain::{JobType, QueueName, Timestamp};

use self::closed::{Again, Closed};

/// A queue and a type: where a job waits.
pub(super) type Pair = (QueueName, JobType);

/// The types of a queue that have or had jobs waiting.
#[derive(Default)]
struct Types {
    /// Whether they may have due jobs.
    ready: BTreeMap<JobType, bool>,
    /// Where the last look ended, so that all types get their turn.
    turn: Option<JobType>,
}

#[derive(Default)]
struct State {
    queues: BTreeMap<QueueName, Types>,
    /// How many pairs they have.
    pairs: usize,
    timers: BinaryHeap<Reverse<(Timestamp, Pair)>>,
    /// Where the last look ended, so that all queues get their turn.
    turn: Option<QueueName>,
    /// What need not be looked at although jobs wait there.
    closed: Closed,
}

/// Where jobs wait. Cheap to clone.
#[derive(Clone, Default)]
pub struct Line {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
}

impl Line {
    /// Says that a job waits there, due at `at`.
    pub fn ready(&self, queue: &QueueName, job_type: &JobType, at: Timestamp, now: Timestamp) {
        let pair = (queue.clone(), job_type.clone());
        {
            let mut state = self.state.lock();
            if at > now {
                state.remind(at, pair);
            } else {
                state.mark(pair);
            }
        }
        self.wake.notify_one();
    }

    /// Says that capacity may have grown.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Says that a job of this type in this queue runs no more: under a cap there may be room.
    pub fn freed(&self, queue: &QueueName, job_type: &JobType) {
        let mut state = self.state.lock();
        let freed = state.closed.freed(queue, job_type);
        if let Some(parked) = freed {
            for pair in parked {
                state.mark(pair);
            }
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Says that jobs may have ended on other servers, nobody knows which.
    pub fn freed_elsewhere(&self) {
        self.open_by(Closed::freed_somewhere);
    }

    /// Looks everywhere again: what is set up may have changed, or a hint may have been lost.
    pub fn reopen(&self) {
        self.open_by(Closed::reopen);
    }

    fn open_by(&self, open: impl FnOnce(&mut Closed) -> Option<Vec<Pair>>) {
        let mut state = self.state.lock();
        if let Some(parked) = open(&mut state.closed) {
            for pair in parked {
                state.mark(pair);
            }
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Waits for a hint. Safe to drop.
    pub(super) async fn hinted(&self) {
        self.wake.notified().await;
    }

    /// The moment of the next job that becomes due, or may start by its rate, as far as is known.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let state = self.state.lock();
        let due = state.timers.peek().map(|Reverse((at, _))| *at);
        due.into_iter().chain(state.closed.next_opening()).min()
    }

    /// Marks the pairs whose jobs have become due, whether or not somebody takes them: what is left of
    /// the timers then lies ahead.
    pub(super) fn ripen(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state.closed.ripen(now);
        while let Some(Reverse((at, _))) = state.timers.peek() {
            if *at > now {
                break;
            }
            if let Some(Reverse((_, pair))) = state.timers.pop() {
                state.mark(pair);
            }
        }
    }

    /// Takes up to `limit` pairs that may have due jobs and that `wanted` wants; they count as empty
    /// until somebody says otherwise. All queues have a part in them, however many types wait in some: queues
    /// share by their weights only what they are looked at together for.
    pub(super) fn take(&self, limit: usize, wanted: impl Fn(&Pair) -> bool) -> Vec<Pair> {
        let mut state = self.state.lock();
        let mut taken: Vec<Pair> = Vec::new();
        let mut more = Vec::new();
        let open = |pair: &Pair| !state.closed.holds(pair) && wanted(pair);
        for (queue, types) in from(&state.queues, state.turn.as_ref()) {
            if taken.len() == limit {
                break;
            }
            let ready = from(&types.ready, types.turn.as_ref()).filter(|(_, ready)| **ready);
            let pairs = ready.map(move |(job_type, _)| (queue.clone(), job_type.clone()));
            let mut pairs = pairs.filter(open);
            if let Some(pair) = pairs.next() {
                taken.push(pair);
                more.push(pairs);
            }
        }
        while taken.len() < limit && !more.is_empty() {
            more.retain_mut(|pairs| {
                let next = if taken.len() < limit { pairs.next() } else { None };
                let is_some = next.is_some();
                taken.extend(next);
                is_some
            });
        }
        drop(more);
        for (queue, job_type) in &taken {
            if let Some(types) = state.queues.get_mut(queue) {
                types.ready.insert(job_type.clone(), false);
                types.turn = Some(job_type.clone());
            }
        }
        if let Some((queue, _)) = taken.last() {
            state.turn = Some(queue.clone());
        }
        taken
    }

    /// Says that there may be more in this pair.
    pub(super) fn more(&self, pair: Pair) {
        self.state.lock().mark(pair);
    }

    /// A round begins to read what holds its pairs: what is freed from now on is not closed by it.
    pub(super) fn listen(&self) {
        self.state.lock().closed.listen();
    }

    /// A round found at `now` that this holds jobs of the pair: they are looked at again when it may have
    /// passed.
    pub(super) fn hold(&self, pair: &Pair, hold: &Hold, now: Timestamp) {
        let mut state = self.state.lock();
        match state.closed.hold(pair, hold, now) {
            // Whoever freed it found nothing closed, and woke nobody.
            Again::Now => {
                drop(state);
                self.wake.notify_one();
            }
            Again::At(at) => state.remind(at, pair.clone()),
            Again::Told => {}
        }
    }

    /// Looks at this pair again when a job of its type ended, or something changed.
    pub(super) fn park(&self, pair: Pair) {
        let mut state = self.state.lock();
        if let Some(pair) = state.closed.park(pair) {
            state.mark(pair);
            drop(state);
            self.wake.notify_one();
        }
    }
}

impl State {
    fn mark(&mut self, (queue, job_type): Pair) {
        let known = self.queues.get_mut(&queue).and_then(|types| types.ready.get_mut(&job_type));
        if let Some(ready) = known {
            *ready = true;
            return;
        }
        if self.pairs >= TYPES_MAX + QUEUES_MAX {
            // As many pairs as this come from types and queues combined freely: forget idle ones.
            self.queues.retain(|_, types| {
                types.ready.retain(|_, ready| *ready);
                !types.ready.is_empty()
            });
            self.pairs = self.queues.values().map(|types| types.ready.len()).sum();
        }
        self.queues.entry(queue).or_default().ready.insert(job_type, true);
        self.pairs += 1;
    }

    fn remind(&mut self, at: Timestamp, pair: Pair) {
        if self.timers.len() < TIMERS_MAX {
            self.timers.push(Reverse((at, pair)));
        }
    }
}

/// All of these, those after `turn` first.
fn from<'a, K: Ord, V>(
    all: &'a BTreeMap<K, V>,
    turn: Option<&'a K>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let after = turn.map_or(Bound::Unbounded, Bound::Excluded);
    let until = turn.map_or(Bound::Unbounded, Bound::Included);
    let late = all.range((after, Bound::Unbounded));
    // Without a turn all were late.
    let early = all.range((Bound::Unbounded, until)).filter(move |_| turn.is_some());
    late.chain(early)
}

#[cfg(test)]
mod tests;
