//! What is known of where jobs wait: hints from commits, made good by a poll of the counters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::limits::{QUEUES_MAX, TIMERS_MAX, TYPES_MAX};
use crate::domain::{JobType, QueueName, Timestamp};

/// A queue and a type: where a job waits.
pub(super) type Pair = (QueueName, JobType);

#[derive(Default)]
struct State {
    /// Pairs that may have due jobs.
    ready: BTreeMap<Pair, bool>,
    timers: BinaryHeap<Reverse<(Timestamp, Pair)>>,
    /// Where the last look ended, so that all pairs get their turn.
    turn: Option<Pair>,
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
                if state.timers.len() < TIMERS_MAX {
                    state.timers.push(Reverse((at, pair)));
                }
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

    /// Waits for a hint. Safe to drop.
    pub(super) async fn hinted(&self) {
        self.wake.notified().await;
    }

    /// The moment of the next job that becomes due, as far as is known.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.state.lock().timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Marks the pairs whose jobs have become due, whether or not somebody takes them: what is left of
    /// the timers then lies ahead.
    pub(super) fn ripen(&self, now: Timestamp) {
        let mut state = self.state.lock();
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
        let after = state.turn.clone();
        let (late, early): (Vec<_>, Vec<_>) = state
            .ready
            .iter()
            .filter(|(pair, ready)| **ready && wanted(pair))
            .map(|(pair, _)| pair.clone())
            .partition(|pair| after.as_ref().is_some_and(|turn| pair > turn));
        let taken: Vec<Pair> = late.into_iter().chain(early).take(limit).collect();
        for pair in &taken {
            if let Some(ready) = state.ready.get_mut(pair) {
                *ready = false;
            }
        }
        state.turn = taken.last().cloned();
        taken
    }

    /// Says that there may be more in this pair.
    pub(super) fn more(&self, pair: Pair) {
        self.state.lock().mark(pair);
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
}

#[cfg(test)]
mod tests;
