//! Where a round looks, and what its line is told of what it found there.

use std::collections::HashMap;

use crate::domain::Timestamp;
use crate::domain::admission::{Admission, Candidate, Horizons};
use crate::store::{Probe, Unread};

use super::depths::{Depth, Depths, Portions};
use super::line::Pair;
use super::round::{Dispatcher, Market};
use super::ruling::Ruled;

/// The looks of a round.
pub(super) struct Looks {
    pub(super) probes: Vec<Probe>,
    /// Which of them see only the front of those that may start.
    fronts: Vec<bool>,
    portions: Portions,
}

impl Dispatcher {
    /// Where to look, and for how many: for as many as could be taken by whoever has room and by the rules, but
    /// of many pairs only at the fronts, where few of each will start; more where those at the front were not enough,
    /// are known to be held each for itself, or are unreadable. What nothing can start from is closed, and keeps its mark.
    pub(super) fn looks(&self, market: &Market, ruled: &Ruled, depths: &Depths) -> Looks {
        let places: usize = market.rooms.iter().map(|room| room.capacity.free).sum();
        let portions = depths.portions(&market.pairs, places);
        let mut probes = Vec::with_capacity(market.pairs.len());
        let mut fronts = Vec::with_capacity(market.pairs.len());
        for pair in &market.pairs {
            let (queue, job_type) = pair;
            if ruled.unread(queue, job_type).is_some() {
                self.line.more(pair.clone());
                continue;
            }
            let takes = market.rooms.iter().filter(|room| room.capacity.accepts(queue, job_type));
            let room: usize = takes.map(|room| room.capacity.free).sum();
            let left = match ruled.rules.left(queue, job_type, market.now) {
                Ok(left) => usize::try_from(left).unwrap_or(usize::MAX),
                Err(hold) => {
                    self.line.more(pair.clone());
                    self.line.hold(pair, &hold, market.now);
                    continue;
                }
            };
            let wanted = room.min(left);
            let Depth { limit, is_front } = depths.of(pair, wanted, &portions);
            fronts.push(is_front);
            probes.push(Probe {
                queue: queue.clone(),
                job_type: job_type.clone(),
                limit,
                cap: ruled.cap(job_type),
            });
        }
        Looks { probes, fronts, portions }
    }

    /// Pairs that were cut off, or whose jobs found no room, keep their mark; what is held otherwise is
    /// looked at again when that may have passed. Answers whether a pair is to be looked at more deeply.
    pub(super) fn mark_rest(
        &self,
        looks: &Looks,
        (candidates, mut seen): (&[Candidate], HashMap<Pair, Seen>),
        admission: &Admission,
        (depths, now): (&mut Depths, Timestamp),
    ) -> bool {
        let of = |seen: &mut HashMap<Pair, Seen>, at: usize, note: &dyn Fn(&mut Seen)| {
            let job = candidates.get(at)?;
            let pair = (job.queue.clone(), job.job_type.clone());
            note(seen.get_mut(&pair)?);
            Some(pair)
        };
        let settled = admission.picks.iter().map(|pick| pick.candidate);
        for at in settled.chain(admission.skips.iter().map(|(at, _)| *at)) {
            of(&mut seen, at, &|seen| seen.settled += 1);
        }
        for (at, hold) in &admission.holds {
            let note = |seen: &mut Seen| {
                seen.held += 1;
                seen.held_alone += usize::from(hold.is_of_one_job());
                seen.for_workers |= hold.is_of_workers();
            };
            if let Some(pair) = of(&mut seen, *at, &note) {
                self.line.hold(&pair, hold, now);
            }
        }
        let mut goes_deeper = false;
        for (probe, is_front) in looks.probes.iter().zip(&looks.fronts) {
            let pair = (probe.queue.clone(), probe.job_type.clone());
            let seen = seen.remove(&pair).unwrap_or_default();
            if depths.unread(&pair, seen.unread) && seen.is_cut_off {
                goes_deeper = true;
                self.line.more(pair);
                continue;
            }
            let Seen { offered, settled, held, held_alone, for_workers, is_cut_off, .. } = seen;
            if held_alone == 0 {
                depths.none_held_alone(&pair);
            } else if held_alone == offered && is_cut_off && depths.all_held_alone(&pair) {
                goes_deeper = true;
                self.line.more(pair);
                continue;
            }
            let all_came_up = is_cut_off && settled + held == offered;
            // Whether they start or not: those behind them may be next.
            if all_came_up && *is_front {
                goes_deeper |= depths.all_came_up(&pair);
                self.line.more(pair);
                continue;
            }
            // That few came up of a look that was for few says nothing.
            if !all_came_up {
                depths.some_came_up(&pair, settled + held, &looks.portions);
            }
            // Some were held by what holds all of the pair, or were not even looked at.
            let waits = offered > settled + held_alone;
            if waits || for_workers || is_cut_off && settled > 0 {
                self.line.more(pair);
            } else if held_alone > 0 || probe.cap.is_some() {
                self.line.park(pair);
            }
        }
        depths.bound();
        goes_deeper
    }
}

impl Looks {
    /// How far the lines are known of which only the fronts were seen.
    pub(super) fn horizons(
        &self,
        (candidates, seen): (&[Candidate], &HashMap<Pair, Seen>),
        ruled: &Ruled,
    ) -> Horizons {
        let mut horizons = Horizons::default();
        for (probe, _) in self.probes.iter().zip(&self.fronts).filter(|(_, is_front)| **is_front) {
            let seen = seen.get(&(probe.queue.clone(), probe.job_type.clone()));
            let last = seen
                .filter(|seen| seen.is_cut_off && seen.offered > 0)
                .and_then(|seen| candidates.get(seen.last));
            if let Some(last) = last {
                horizons.end_at(last, &ruled.rules);
            }
        }
        horizons
    }

    /// What was found of each pair.
    pub(super) fn seen(&self, candidates: &[Candidate], unread: &Unread) -> HashMap<Pair, Seen> {
        let mut all: HashMap<Pair, Seen> = HashMap::with_capacity(self.probes.len());
        let mut at = 0;
        // Those of one look come one after the other, in the order of their line.
        let of_one_look = |one: &Candidate, other: &Candidate| {
            one.job_type == other.job_type && one.queue == other.queue
        };
        for chunk in candidates.chunk_by(of_one_look) {
            at += chunk.len();
            let pair = chunk.first().map(|job| (job.queue.clone(), job.job_type.clone()));
            if let Some(pair) = pair {
                all.entry(pair).or_default().note(chunk.len(), at - 1);
            }
        }
        for probe in &self.probes {
            let pair = (probe.queue.clone(), probe.job_type.clone());
            let unread = unread.get(&pair).copied().unwrap_or(0);
            let seen = all.entry(pair).or_default();
            seen.unread = unread;
            seen.is_cut_off = seen.offered + unread >= probe.limit;
        }
        all
    }
}

/// What became of the candidates of a pair.
#[derive(Default)]
pub(super) struct Seen {
    offered: usize,
    /// The place of the last one.
    last: usize,
    /// Those that could not be read.
    unread: usize,
    /// There may be more.
    is_cut_off: bool,
    /// Those that start or are skipped.
    settled: usize,
    /// Those that came up and wait on.
    held: usize,
    /// Those of them that are held each for itself.
    held_alone: usize,
    /// Some wait for a worker with more room.
    for_workers: bool,
}

impl Seen {
    fn note(&mut self, jobs: usize, last: usize) {
        self.offered += jobs;
        self.last = last;
    }
}
