//! Where a round looks, and what its line is told of what it found there.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Timestamp;
use crate::domain::admission::{Admission, Candidate, Horizons};
use crate::domain::limits::{
    DISPATCH_DEEP_MAX, DISPATCH_FRONT_MIN, DISPATCH_JOBS_MAX, DISPATCH_UNREAD_MAX,
};
use crate::store::{Probe, Unread};

use super::line::Pair;
use super::round::{Dispatcher, Market};
use super::ruling::Ruled;

/// How far lines are looked at, as the looks before taught.
#[derive(Default)]
pub(super) struct Depths {
    /// Pairs of which more came up than stood at their front: they are looked at for all that may start.
    busy: BTreeSet<Pair>,
    /// Pairs at whose front stand jobs that are held each for itself: others may stand behind them.
    deep: BTreeSet<Pair>,
    /// Pairs at whose front stand jobs that cannot be read, and how many more rows are asked for.
    unread: Unread,
}

/// The looks of a round.
pub(super) struct Looks {
    pub(super) probes: Vec<Probe>,
    /// Which of them see only the front of those that may start.
    fronts: Vec<bool>,
    /// For how many jobs these look.
    front: usize,
}

/// How many jobs are looked at in a pair.
struct Portions {
    /// At its front.
    front: usize,
    /// If all pairs were looked at alike.
    even: usize,
    /// If it is one of those that are looked at for all that may start.
    all: usize,
}

impl Depths {
    /// So many jobs at the front of a pair could not be read. Answers whether more rows are asked for from now on:
    /// twice as many as were found, so that a few looks get past them; the pairs where it is so share a bound.
    fn learn(&mut self, pair: &Pair, unread: usize) -> bool {
        if unread == 0 {
            self.unread.remove(pair);
            return false;
        }
        let more = (2 * unread).min(DISPATCH_UNREAD_MAX);
        let before = self.unread.insert(pair.clone(), more);
        before.is_none_or(|before| before < more)
    }

    fn is_front(&self, pair: &Pair) -> bool {
        !self.busy.contains(pair) && !self.deep.contains(pair)
    }

    /// How the jobs that a round looks at are shared by these pairs, if so many could be taken.
    fn portions(&self, pairs: &[Pair], room: usize) -> Portions {
        let even = (DISPATCH_JOBS_MAX / pairs.len().max(1)).max(1);
        let needed = 2 * room.min(DISPATCH_JOBS_MAX) / pairs.len().max(1);
        let front = needed.max(DISPATCH_FRONT_MIN).min(even);
        let fronts = pairs.iter().filter(|pair| self.is_front(pair)).count();
        let left = DISPATCH_JOBS_MAX.saturating_sub(front * fronts);
        let all = (left / (pairs.len() - fronts).max(1)).max(even);
        Portions { front, even, all }
    }

    /// Forgotten, they are found so again.
    fn bound(&mut self) {
        for pairs in [&mut self.busy, &mut self.deep] {
            if pairs.len() > DISPATCH_DEEP_MAX {
                pairs.clear();
            }
        }
        if self.unread.len() > DISPATCH_DEEP_MAX {
            self.unread.clear();
        }
    }
}

impl Dispatcher {
    /// Where to look, and for how many: for as many as could be taken by whoever has room and by the rules, but
    /// of many pairs only at the fronts, where few of each will start; more where those at the front were not enough,
    /// are known to be held each for itself, or are unreadable. What nothing can start from is closed, and keeps its mark.
    pub(super) fn looks(&self, market: &Market, ruled: &Ruled, depths: &Depths) -> Looks {
        let places: usize = market.rooms.iter().map(|room| room.capacity.free).sum();
        let portions = depths.portions(&market.pairs, places);
        let unread = market.pairs.iter().filter(|pair| depths.unread.contains_key(*pair)).count();
        let share_unread = (DISPATCH_UNREAD_MAX / unread.max(1)).max(1);
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
            let limit = if depths.deep.contains(pair) {
                portions.all
            } else if depths.busy.contains(pair) {
                wanted.min(portions.all)
            } else {
                wanted.min(portions.front)
            };
            let unread = depths.unread.get(pair).copied().unwrap_or(0);
            fronts.push(depths.is_front(pair) && limit < wanted.min(portions.even));
            probes.push(Probe {
                queue: queue.clone(),
                job_type: job_type.clone(),
                limit: limit + unread.min(share_unread),
                cap: ruled.cap(job_type),
            });
        }
        Looks { probes, fronts, front: portions.front }
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
            if depths.learn(&pair, seen.unread) && seen.is_cut_off {
                goes_deeper = true;
                self.line.more(pair);
                continue;
            }
            let Seen { offered, settled, held, held_alone, for_workers, is_cut_off, .. } = seen;
            if held_alone == 0 {
                depths.deep.remove(&pair);
            } else if held_alone == offered && is_cut_off && depths.deep.insert(pair.clone()) {
                goes_deeper = true;
                self.line.more(pair);
                continue;
            }
            // All at its front came up, whether they start or not: those behind them may be next.
            if *is_front && is_cut_off && settled + held == offered {
                goes_deeper |= depths.busy.insert(pair.clone());
                self.line.more(pair);
                continue;
            }
            if settled + held <= looks.front {
                depths.busy.remove(&pair);
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
