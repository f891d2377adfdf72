//! The steps, by chance: numbers are taken modulo what there is.

use jobplane::store::RuleKind;
use proptest::prelude::*;

pub(super) const TYPES: [&str; 2] = ["sync", "backup"];
pub(super) const QUEUES: [&str; 2] = ["default", "bulk"];
/// The label under whose values running jobs count.
pub(super) const CAPPED_BY: &str = "kind";
pub(super) const INSTANCES: [&str; 3] = ["", "i", "j"];
pub(super) const RULES: [(RuleKind, &str); 3] =
    [(RuleKind::Type, "sync"), (RuleKind::Type, "backup"), (RuleKind::Queue, "sync")];
pub(super) const SESSIONS: u64 = 5;
pub(super) const JOBS: usize = 40;

/// One part of a batch; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Create {
        kind: usize,
        request: Option<u8>,
        unique: Option<u8>,
        delay: u64,
        started: bool,
        fire: Option<u8>,
    },
    Write {
        job: usize,
        command: u8,
        stale: u8,
    },
    Delete {
        job: usize,
        stale: bool,
    },
    Log {
        job: usize,
        epoch: i64,
        seq: i64,
        lines: usize,
    },
    Progress {
        job: usize,
        epoch: i64,
        sequence: i64,
        active: u32,
    },
    Session {
        session: u64,
        write: u8,
        seconds: u32,
    },
    Rule {
        name: usize,
        gone: bool,
        stale: bool,
    },
    Tell {
        cause: u8,
        place: usize,
        name: u64,
    },
}

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Commit(Vec<Part>),
    Round { probes: Vec<(usize, usize, usize)>, ending: u8 },
    Trim { job: usize, epoch: i64, head: u64, tail: u64 },
    Prune { age: u64, limit: usize },
    RollUp { age: u64, limit: usize },
    Fold,
    Purge { jobs: Vec<(usize, bool)>, logs: bool },
    Wait(u64),
}

pub(super) fn part() -> impl Strategy<Value = Part> {
    let maybe = |upto: u8| proptest::option::of(0..upto);
    prop_oneof![
        3 => (0..8_usize, maybe(4), maybe(3), 0..3_u64, any::<bool>(), maybe(3)).prop_map(
            |(kind, request, unique, delay, started, fire)| Part::Create {
                kind,
                request,
                unique,
                delay: delay * 20,
                started,
                fire,
            }
        ),
        6 => (0..JOBS, 0..12_u8, 0..8_u8)
            .prop_map(|(job, command, stale)| Part::Write { job, command, stale }),
        1 => (0..JOBS, any::<bool>()).prop_map(|(job, stale)| Part::Delete { job, stale }),
        2 => (0..JOBS, 0..2_i64, 0..4_i64, 0..4_usize)
            .prop_map(|(job, epoch, seq, lines)| Part::Log { job, epoch, seq, lines }),
        2 => (0..JOBS, 0..2_i64, 0..5_i64, 0..3_u32)
            .prop_map(|(job, epoch, sequence, active)| {
                Part::Progress { job, epoch, sequence, active }
            }),
        3 => (0..SESSIONS, 0..8_u8, 0..60_u32)
            .prop_map(|(session, write, seconds)| Part::Session { session, write, seconds }),
        2 => (0..RULES.len(), any::<bool>(), 0..8_u8)
            .prop_map(|(name, gone, stale)| Part::Rule { name, gone, stale: stale == 0 }),
        3 => (0..5_u8, 0..3_usize, 0..6_u64)
            .prop_map(|(cause, place, name)| Part::Tell { cause, place, name }),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let probe = (0..TYPES.len(), 0..QUEUES.len(), 0..4_usize);
    prop_oneof![
        8 => proptest::collection::vec(part(), 1..8).prop_map(Step::Commit),
        2 => (proptest::collection::vec(probe, 0..4), 0..4_u8)
            .prop_map(|(probes, ending)| Step::Round { probes, ending }),
        1 => (0..JOBS, 0..2_i64, 0..4_u64, 0..4_u64)
            .prop_map(|(job, epoch, head, tail)| Step::Trim { job, epoch, head, tail }),
        1 => (0..200_u64, 0..5_usize).prop_map(|(age, limit)| Step::Prune { age, limit }),
        1 => (0..200_u64, 0..5_usize).prop_map(|(age, limit)| Step::RollUp { age, limit }),
        1 => Just(Step::Fold),
        1 => (proptest::collection::vec((0..JOBS, any::<bool>()), 0..8), any::<bool>())
            .prop_map(|(jobs, logs)| Step::Purge { jobs, logs }),
        2 => (1..50_u64).prop_map(Step::Wait),
    ]
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..40)
}
