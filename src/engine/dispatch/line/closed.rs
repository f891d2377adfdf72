//! Where nothing can start although jobs wait: full queues and types, a full server, spent rates; and pairs
//! all of whose jobs are held each for itself.
//!
//! What is closed here keeps its marks and is only passed by, so opening it costs nothing, however much waits
//! behind it.

use std::collections::{BTreeMap, BTreeSet};

use super::Pair;
use crate::domain::admission::Hold;
use crate::domain::limits::DISPATCH_FREED_MAX;
use crate::domain::{JobType, QueueName, Timestamp};

/// When something opens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// When a job of it ends.
    Freed,
    /// By the clock.
    At(Timestamp),
}

/// When a pair is looked at again that something was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// What held it passed while it was found.
    Now,
    /// By the clock, for this pair alone.
    At(Timestamp),
    /// When somebody says so.
    Told,
}

/// What was freed since a round began to read.
#[derive(Debug, Default)]
struct Freed {
    everything: bool,
    queues: BTreeSet<QueueName>,
    types: BTreeSet<JobType>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Closed {
    server: bool,
    queues: BTreeMap<QueueName, Until>,
    types: BTreeMap<JobType, Until>,
    /// Pairs without a mark, by type.
    parked: BTreeMap<JobType, BTreeSet<QueueName>>,
    freed: Freed,
}

fn pairs(parked: BTreeMap<JobType, BTreeSet<QueueName>>) -> Vec<Pair> {
    let of = |(job_type, queues): (JobType, BTreeSet<QueueName>)| {
        queues.into_iter().map(move |queue| (queue, job_type.clone()))
    };
    parked.into_iter().flat_map(of).collect()
}

impl Closed {
    /// Whether nothing can start from this pair, as far as is known.
    pub(super) fn holds(&self, (queue, job_type): &Pair) -> bool {
        self.server && !job_type.is_reserved()
            || self.queues.contains_key(queue)
            || self.types.contains_key(job_type)
    }

    pub(super) fn listen(&mut self) {
        self.freed = Freed::default();
    }

    /// A job ended; answers the pairs to be marked, if anything opened.
    pub(super) fn freed(&mut self, queue: &QueueName, job_type: &JobType) -> Option<Vec<Pair>> {
        // Nobody asks how many ended while nothing is read.
        if self.freed.queues.len() < DISPATCH_FREED_MAX
            && self.freed.types.len() < DISPATCH_FREED_MAX
        {
            self.freed.queues.insert(queue.clone());
            self.freed.types.insert(job_type.clone());
        } else {
            self.freed.everything = true;
        }
        let mut opened = std::mem::take(&mut self.server);
        if self.queues.get(queue) == Some(&Until::Freed) {
            opened |= self.queues.remove(queue).is_some();
        }
        if self.types.get(job_type) == Some(&Until::Freed) {
            opened |= self.types.remove(job_type).is_some();
        }
        let parked = self.parked.remove(job_type);
        opened |= parked.is_some();
        let of =
            |queues: BTreeSet<QueueName>| queues.into_iter().map(|queue| (queue, job_type.clone()));
        opened.then(|| parked.into_iter().flat_map(of).collect())
    }

    /// Some jobs ended, nobody knows which.
    pub(super) fn freed_somewhere(&mut self) -> Option<Vec<Pair>> {
        self.freed.everything = true;
        let before = self.queues.len() + self.types.len() + usize::from(self.server);
        self.server = false;
        self.queues.retain(|_, until| *until != Until::Freed);
        self.types.retain(|_, until| *until != Until::Freed);
        let opened = before > self.queues.len() + self.types.len() || !self.parked.is_empty();
        opened.then(|| pairs(std::mem::take(&mut self.parked)))
    }

    /// Everything opens.
    pub(super) fn reopen(&mut self) -> Option<Vec<Pair>> {
        let opened = self.server || !(self.queues.is_empty() && self.types.is_empty());
        let opened = opened || !self.parked.is_empty();
        self.server = false;
        self.queues.clear();
        self.types.clear();
        self.freed.everything = true;
        opened.then(|| pairs(std::mem::take(&mut self.parked)))
    }

    /// What the clock opens.
    pub(super) fn ripen(&mut self, now: Timestamp) {
        let lasts = |until: &Until| matches!(until, Until::At(at) if *at <= now);
        self.queues.retain(|_, until| !lasts(until));
        self.types.retain(|_, until| !lasts(until));
    }

    /// When the clock opens something next.
    pub(super) fn next_opening(&self) -> Option<Timestamp> {
        let at = |until: &Until| match until {
            Until::At(at) => Some(*at),
            Until::Freed => None,
        };
        self.queues.values().chain(self.types.values()).filter_map(at).min()
    }

    /// Takes note of what holds jobs of a pair at `now`, unless it passed meanwhile; answers when the pair is
    /// to be looked at again.
    pub(super) fn hold(&mut self, pair: &Pair, hold: &Hold, now: Timestamp) -> Again {
        let (queue, job_type) = pair;
        match hold {
            Hold::ServerFull { .. } => {
                if self.freed.everything || !self.freed.queues.is_empty() {
                    return Again::Now;
                }
                self.server = true;
            }
            Hold::QueueFull { .. } | Hold::QueuePaused { .. } => {
                if self.freed.everything || self.freed.queues.contains(queue) {
                    return Again::Now;
                }
                self.queues.insert(queue.clone(), Until::Freed);
            }
            Hold::TypeFull { .. } => {
                if self.freed.everything || self.freed.types.contains(job_type) {
                    return Again::Now;
                }
                self.types.insert(job_type.clone(), Until::Freed);
            }
            Hold::QueueRate { until, .. } => {
                self.queues.insert(queue.clone(), Until::At(*until));
            }
            Hold::TypeRate { until, .. } | Hold::QuotaExhausted { until: Some(until), .. } => {
                self.types.insert(job_type.clone(), Until::At(*until));
            }
            Hold::AvoidsWorker { until, .. } => return Again::At(*until),
            // A probe whose time is over is waited for: its end frees the type.
            Hold::CircuitOpen { next_probe_time } if *next_probe_time > now => {
                return Again::At(*next_probe_time);
            }
            Hold::CircuitOpen { .. }
            | Hold::KeyFull { .. }
            | Hold::Overlap { .. }
            | Hold::QuotaExhausted { until: None, .. }
            | Hold::TypeDisabled { .. }
            | Hold::NoWorker { .. }
            | Hold::WorkersBusy { .. }
            | Hold::NoMemory { .. } => {}
        }
        Again::Told
    }

    /// Parks a pair, unless a job of its type ended meanwhile: then it comes back.
    pub(super) fn park(&mut self, (queue, job_type): Pair) -> Option<Pair> {
        if self.freed.everything || self.freed.types.contains(&job_type) {
            return Some((queue, job_type));
        }
        self.parked.entry(job_type).or_default().insert(queue);
        None
    }
}
