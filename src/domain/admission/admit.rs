//! One round of starts under all rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::hold::Hold;
use super::horizon::Horizons;
use super::rooms::{Room, Rooms};
use super::rules::{Candidate, Rules};
use super::share::Flow;
use crate::domain::circuit::CircuitDecision;
use crate::domain::ids::QuotaName;
use crate::domain::quota::{Drawn, OnExhausted, QuotaDraw};
use crate::domain::status::SkipReason;
use crate::domain::time::Timestamp;

/// A job that starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// Which candidate.
    pub candidate: usize,
    /// On which worker.
    pub room: usize,
    /// What it drew from quotas: the job is to remember it.
    pub draws: BTreeMap<QuotaName, QuotaDraw>,
    /// It is its breaker's probe.
    pub probe: bool,
}

/// What a round came to. Each candidate is in one of the three, except for those that nobody was left to take
/// when their turn came, and those beyond the horizon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// Those that start, in order.
    pub picks: Vec<Pick>,
    /// Those that are SKIPPED now that they came up.
    pub skips: Vec<(usize, SkipReason)>,
    /// Those that wait on, and why.
    pub holds: Vec<(usize, Hold)>,
}

impl Admission {
    /// How many candidates are in it.
    pub(super) fn len(&self) -> usize {
        self.picks.len() + self.skips.len() + self.holds.len()
    }
}

/// What the rules say of one job now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    /// Everything that holds it.
    pub holds: Vec<Hold>,
    /// It is skipped when it comes up.
    pub skip: Option<SkipReason>,
}

/// Everything that the rules would say of `job` in a round of its own, without a start.
#[must_use]
pub fn why(job: &Candidate, rooms: &[Room], rules: &Rules, now: Timestamp) -> Why {
    let mut holds = rules.holds(job, now);
    let memory: Vec<_> = rooms.iter().map(|room| room.memory_free).collect();
    let mut places = Rooms::new(rooms.iter().map(|room| &room.capacity));
    holds.extend(places.find(job, rooms, &memory, now).err());
    let skip = match verdict(job, &mut rules.clone(), now) {
        Verdict::Go { .. } => None,
        Verdict::Skip(reason) => Some(reason),
        Verdict::Hold(hold) => {
            holds.push(hold);
            None
        }
    };
    Why { holds, skip }
}

/// What the last rules say of a job that all others let go.
enum Verdict {
    Go { draws: BTreeMap<QuotaName, QuotaDraw>, probe: bool },
    Skip(SkipReason),
    Hold(Hold),
}

/// Gives candidates to workers as `rules` allow, and changes `rules` by what starts: whoever stores
/// them writes them with the starts, in one commit.
///
/// Of each line (a queue with a weight, or all queues without) the lowest ready key goes first, each
/// to the worker with the most room left.
#[must_use]
pub fn admit(
    candidates: &[Candidate],
    rooms: &[Room],
    rules: &mut Rules,
    now: Timestamp,
) -> Admission {
    admit_within(candidates, &Horizons::default(), rooms, rules, now)
}

/// The same, where not all who wait are candidates.
#[must_use]
pub fn admit_within(
    candidates: &[Candidate],
    horizons: &Horizons,
    rooms: &[Room],
    rules: &mut Rules,
    now: Timestamp,
) -> Admission {
    let mut answer = Admission::default();
    let mut lines = lines(candidates, rules);
    let unweighted: BTreeSet<_> =
        candidates.iter().map(|job| &job.queue).filter(|queue| rules.weight(queue) == 0).collect();
    let common_weight = u32::try_from(unweighted.len()).unwrap_or(u32::MAX);
    let mut places = Rooms::new(rooms.iter().map(|room| &room.capacity));
    let mut memory: Vec<_> = rooms.iter().map(|room| room.memory_free).collect();
    let mut somebody_waits = false;
    while let Some(flow) = rules.shares.next(lines.keys()).cloned() {
        let Some(at) = lines.get_mut(&flow).and_then(VecDeque::pop_front) else {
            lines.remove(&flow);
            continue;
        };
        let job = &candidates[at];
        if horizons.hides(&flow, job) {
            somebody_waits = true;
            lines.remove(&flow);
            continue;
        }
        if let Some(hold) = rules.holds(job, now).into_iter().next() {
            answer.holds.push((at, hold));
            continue;
        }
        let room = match places.find(job, rooms, &memory, now) {
            Ok(room) => room,
            Err(hold) => {
                somebody_waits = true;
                answer.holds.push((at, hold));
                continue;
            }
        };
        match verdict(job, rules, now) {
            Verdict::Skip(reason) => answer.skips.push((at, reason)),
            Verdict::Hold(hold) => answer.holds.push((at, hold)),
            Verdict::Go { draws, probe } => {
                places.take(room);
                memory[room] = memory[room].map(|free| free.saturating_sub(job.memory_bytes));
                rules.started(job, now);
                let weight = flow.as_ref().map_or(common_weight, |queue| rules.weight(queue));
                rules.shares.charge(&flow, weight);
                answer.picks.push(Pick { candidate: at, room, draws, probe });
                if places.are_taken() {
                    somebody_waits |= answer.len() < candidates.len();
                    break;
                }
            }
        }
    }
    if !somebody_waits {
        rules.shares.settle();
    }
    answer
}

/// The lines that jobs stand in, each by its ready keys.
fn lines(candidates: &[Candidate], rules: &Rules) -> BTreeMap<Flow, VecDeque<usize>> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|at| candidates[*at].ready_key);
    let mut lines = BTreeMap::<Flow, VecDeque<usize>>::new();
    for at in order {
        lines.entry(rules.flow(&candidates[at].queue)).or_default().push_back(at);
    }
    lines
}

/// Switched off, left alone, or out of quota: a fresh job is skipped, one that ran before waits.
fn verdict(job: &Candidate, rules: &mut Rules, now: Timestamp) -> Verdict {
    let skip_or =
        |reason, hold| if job.has_run { Verdict::Hold(hold) } else { Verdict::Skip(reason) };
    let Some(kind) = rules.types.get(&job.job_type) else {
        return Verdict::Go { draws: BTreeMap::new(), probe: false };
    };
    if kind.disabled {
        let (job_type, reason) = (job.job_type.clone(), kind.disabled_reason.clone());
        let hold = Hold::TypeDisabled { job_type, reason };
        return skip_or(SkipReason::TypeDisabled, hold);
    }
    let decision = kind.circuit_state.decide(&kind.circuit, now);
    if let CircuitDecision::Refuse { next_probe_time } = decision {
        return skip_or(SkipReason::CircuitOpen, Hold::CircuitOpen { next_probe_time });
    }
    let mut drawn = Vec::new();
    for (name, cost) in &kind.quota_costs {
        // A quota that was taken away bounds nothing.
        let Some((quota, state)) = rules.quotas.get(name) else { continue };
        let hold = |until| Hold::QuotaExhausted { quota: name.clone(), until };
        match quota.draw(*state, *cost, now) {
            Drawn::Taken { state, draw } => drawn.push((name.clone(), state, draw)),
            Drawn::Exhausted { reset_time } => {
                return match quota.spec().on_exhausted {
                    OnExhausted::Wait => Verdict::Hold(hold(Some(reset_time))),
                    OnExhausted::Skip => {
                        skip_or(SkipReason::QuotaExhausted, hold(Some(reset_time)))
                    }
                };
            }
            Drawn::Never => return skip_or(SkipReason::QuotaExhausted, hold(None)),
        }
    }
    let probe = decision == CircuitDecision::Probe;
    if probe
        && let Some(kind) = rules.types.get_mut(&job.job_type)
        && let Some(next) = kind.circuit_state.begin_probe(&kind.circuit, job.job_id, now)
    {
        kind.circuit_state = next;
    }
    let mut draws = BTreeMap::new();
    for (name, state, draw) in drawn {
        if let Some((_, held)) = rules.quotas.get_mut(&name) {
            *held = state;
        }
        draws.insert(name, draw);
    }
    Verdict::Go { draws, probe }
}
