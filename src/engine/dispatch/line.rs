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

#[derive(Default)]
struct State {
    /// Pairs that may have due jobs.
    ready: BTreeMap<Pair, bool>,
    timers: BinaryHeap<Reverse<(Timestamp, Pair)>>,
    /// Where the last look ended, so that all pairs get their turn.
    turn: Option<Pair>,
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
    /// until somebody says otherwise.
    pub(super) fn take(&self, limit: usize, wanted: impl Fn(&Pair) -> bool) -> Vec<Pair> {
        let mut state = self.state.lock();
        let after = state.turn.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = state.turn.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let late = state.ready.range((after, Bound::Unbounded));
        // Without a turn all were late.
        let early = state.ready.range((Bound::Unbounded, until)).filter(|_| state.turn.is_some());
        let open =
            |(pair, ready): &(&Pair, &bool)| **ready && !state.closed.holds(pair) && wanted(pair);
        let taken = late.chain(early).filter(open).map(|(pair, _)| pair.clone());
        let taken: Vec<Pair> = taken.take(limit).collect();
        for pair in &taken {
            if let Some(ready) = state.ready.get_mut(pair) {
                *ready = false;
            }
        }
        if !taken.is_empty() {
            state.turn = taken.last().cloned();
        }
        taken
    }

    /// Says that there may be more in this pair.
    pub(super) fn more(&self, pair: Pair) {
        self.state.lock().mark(pair);
    }

    /// How many pairs are known, marked or not.
    pub(super) fn len(&self) -> usize {
        self.state.lock().ready.len()
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
    fn mark(&mut self, pair: Pair) {
        if self.ready.len() < TYPES_MAX + QUEUES_MAX || self.ready.contains_key(&pair) {
            self.ready.insert(pair, true);
        } else {
            // As many pairs as this come from types and queues combined freely: forget idle ones.
            self.ready.retain(|_, ready| *ready);
            self.ready.insert(pair, true);
        }
    }

    fn remind(&mut self, at: Timestamp, pair: Pair) {
        if self.timers.len() < TIMERS_MAX {
            self.timers.push(Reverse((at, pair)));
        }
    }
}

#[cfg(test)]
mod tests;
