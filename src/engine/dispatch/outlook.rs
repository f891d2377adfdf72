//! Where a round looks, and what its line is told of what it found there.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Timestamp;
use crate::domain::admission::{Admission, Candidate};
use crate::domain::limits::{DISPATCH_DEEP_MAX, DISPATCH_JOBS_MAX};
use crate::store::Probe;

use super::line::Pair;
use super::round::{Dispatcher, Market};
use super::ruling::Ruled;

impl Dispatcher {
    /// Where to look, and for how many: as many as could be taken, by whoever has room and by the rules,
    /// shared evenly; more where those at the front are known to be held each for itself. What
    /// nothing can start from is closed, and keeps its mark.
    pub(super) fn probes(
        &self,
        market: &Market,
        ruled: &Ruled,
        deep: &BTreeSet<Pair>,
    ) -> Vec<Probe> {
        let share = (DISPATCH_JOBS_MAX / market.pairs.len().max(1)).max(1);
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
            let wanted = if deep.contains(pair) { share } else { room.min(left) };
            probes.push(Probe {
                queue: queue.clone(),
                job_type: job_type.clone(),
                limit: wanted.min(share),
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
        candidates: &[Candidate],
        admission: &Admission,
        (deep, now): (&mut BTreeSet<Pair>, Timestamp),
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
            let is_cut_off = offered >= probe.limit;
            if held_alone == 0 {
                deep.remove(&pair);
            } else if held_alone == offered && is_cut_off && deep.insert(pair.clone()) {
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
        if deep.len() > DISPATCH_DEEP_MAX {
            deep.clear();
        }
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
