//! Where a round looks, and what its line is told of what it found there.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Timestamp;
use crate::domain::admission::{Admission, Candidate};
use crate::domain::limits::{DISPATCH_DEEP_MAX, DISPATCH_JOBS_MAX, DISPATCH_UNREAD_MAX};
use crate::store::{Probe, Unread};

use super::line::Pair;
use super::round::{Dispatcher, Market};
use super::ruling::Ruled;

/// How far beyond their fronts lines are looked at, as the looks before taught.
#[derive(Default)]
pub(super) struct Depths {
    /// Pairs at whose front stand jobs that are held each for itself: others may stand behind them.
    deep: BTreeSet<Pair>,
    /// Pairs at whose front stand jobs that cannot be read, and how many more rows are asked for.
    unread: Unread,
}

impl Depths {
    /// So many jobs at the front of a pair could not be read. Answers whether more rows are asked for from now on:
    /// twice as many as were found, so that a few looks get past any number.
    fn learn(&mut self, pair: &Pair, unread: usize) -> bool {
        if unread == 0 {
            self.unread.remove(pair);
            return false;
        }
        let more = (2 * unread).min(DISPATCH_UNREAD_MAX);
        let before = self.unread.insert(pair.clone(), more);
        before.is_none_or(|before| before < more)
    }

    /// Forgotten, they are found so again.
    fn bound(&mut self) {
        if self.deep.len() > DISPATCH_DEEP_MAX {
            self.deep.clear();
        }
        if self.unread.len() > DISPATCH_DEEP_MAX {
            self.unread.clear();
        }
    }
}

impl Dispatcher {
    /// Where to look, and for how many: as many as could be taken, by whoever has room and by the rules,
    /// shared evenly; more where those at the front are known to be held each for itself, or unreadable. What
    /// nothing can start from is closed, and keeps its mark.
    pub(super) fn probes(&self, market: &Market, ruled: &Ruled, depths: &Depths) -> Vec<Probe> {
        let share = (DISPATCH_JOBS_MAX / market.pairs.len().max(1)).max(1);
        let unread = market.pairs.iter().filter(|pair| depths.unread.contains_key(*pair)).count();
        let share_unread = (DISPATCH_UNREAD_MAX / unread.max(1)).max(1);
        let mut probes = Vec::with_capacity(market.pairs.len());
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
            let wanted = if depths.deep.contains(pair) { share } else { room.min(left) };
            let unread = depths.unread.get(pair).copied().unwrap_or(0);
            probes.push(Probe {
                queue: queue.clone(),
                job_type: job_type.clone(),
                limit: wanted.min(share) + unread.min(share_unread),
                cap: ruled.cap(job_type),
            });
        }
        probes
    }

    /// Pairs that were cut off, or whose jobs found no room, keep their mark; what is held otherwise is
    /// looked at again when that may have passed. Answers whether a pair is to be looked at more deeply.
    pub(super) fn mark_rest(
        &self,
        probes: &[Probe],
        (candidates, unread): (&[Candidate], &Unread),
        admission: &Admission,
        (depths, now): (&mut Depths, Timestamp),
    ) -> bool {
        let pair = |job: &Candidate| (job.queue.clone(), job.job_type.clone());
        let mut seen: HashMap<Pair, Seen> = HashMap::with_capacity(probes.len());
        for job in candidates {
            seen.entry(pair(job)).or_default().offered += 1;
        }
        let settled = admission.picks.iter().map(|pick| pick.candidate);
        let settled = settled.chain(admission.skips.iter().map(|(at, _)| *at));
        for job in settled.filter_map(|at| candidates.get(at)) {
            seen.entry(pair(job)).or_default().settled += 1;
        }
        for (at, hold) in &admission.holds {
            let Some(job) = candidates.get(*at) else { continue };
            let pair = pair(job);
            self.line.hold(&pair, hold, now);
            let seen = seen.entry(pair).or_default();
            seen.held_alone += usize::from(hold.is_of_one_job());
            seen.for_workers |= hold.is_of_workers();
        }
        let mut goes_deeper = false;
        for probe in probes {
            let pair = (probe.queue.clone(), probe.job_type.clone());
            let Seen { offered, settled, held_alone, for_workers } =
                seen.remove(&pair).unwrap_or_default();
            let unread = unread.get(&pair).copied().unwrap_or(0);
            let is_cut_off = offered + unread >= probe.limit;
            if depths.learn(&pair, unread) && is_cut_off {
                goes_deeper = true;
                self.line.more(pair);
                continue;
            }
            if held_alone == 0 {
                depths.deep.remove(&pair);
            } else if held_alone == offered && is_cut_off && depths.deep.insert(pair.clone()) {
                goes_deeper = true;
                self.line.more(pair);
                continue;
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

/// What became of the candidates of a pair.
#[derive(Default)]
struct Seen {
    offered: usize,
    /// Those that start or are skipped.
    settled: usize,
    /// Those held each for itself.
    held_alone: usize,
    /// Some wait for a worker with more room.
    for_workers: bool,
}
