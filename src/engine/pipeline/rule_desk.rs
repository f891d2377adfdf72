//! Breakers and quotas within a batch: as they were read, and as they stand after the work so far. What
//! becomes of runs is told to the breakers of their types, and what was really used to the quotas, in the
//! commit that changes the jobs.

use std::collections::{BTreeSet, HashMap};

use serde::de::DeserializeOwned;

use crate::domain::circuit::{CircuitChange, CircuitReport, CircuitSpec, CircuitState};
use crate::domain::event::{Event, Facts};
use crate::domain::ids::QuotaName;
use crate::domain::limits::QUOTA_COSTS_MAX;
use crate::domain::machine::Command;
use crate::domain::quota::{Quota, QuotaSpec, QuotaState};
use crate::domain::validate::Violations;
use crate::domain::{Job, JobId, JobStatus, JobType, StateKind, Timestamp};
use crate::store::{self, Batch, Cause, Rule, RuleKey, RuleKind, RuleWrite, SessionWrite};

use super::super::error::Error;
use super::super::journal;
use super::super::registry::{Registry, Rulebook, readable};
use super::work::Work;

/// See the module.
#[derive(Default)]
pub(super) struct RuleDesk {
    circuits: HashMap<JobType, Desk<CircuitSpec, CircuitState>>,
    quotas: HashMap<QuotaName, Desk<Quota, QuotaState>>,
    /// Jobs by whose change they changed.
    jobs: BTreeSet<JobId>,
    news: Vec<News>,
}

struct Desk<Spec, State> {
    spec: Spec,
    /// Of the row; 0 if there is none.
    revision: i64,
    state: State,
    changed: bool,
}

/// What operators are told of once it is durable.
enum News {
    Circuit(JobType, CircuitChange),
    /// With what a start draws, as far as it is known.
    Exhausted(QuotaName, u64),
}

/// Whether it names jobs without a word that may end a run.
const fn is_no_command(piece: &Work) -> bool {
    matches!(
        piece,
        Work::Logs { .. } | Work::Fence { .. } | Work::Open { .. } | Work::Delete { .. }
    )
}

/// The rules that this work may change, with `jobs` as those that it names.
pub(super) fn concerned<'a>(
    work: &[Work],
    jobs: impl Iterator<Item = &'a Job>,
    book: &Rulebook,
) -> Vec<RuleKey> {
    let mut commanded = BTreeSet::new();
    let mut quotas = BTreeSet::new();
    for piece in work {
        if !is_no_command(piece) {
            piece.names(|id, _| {
                commanded.insert(id);
            });
        }
        if let Work::Command { command: Command::ReportUse { used, .. }, .. } = piece {
            quotas.extend(used.keys().cloned());
        }
    }
    let mut circuits = BTreeSet::new();
    for job in jobs.filter(|job| commanded.contains(&job.id)) {
        // Who runs no more changes neither.
        if job.status.kind() == StateKind::Running {
            quotas.extend(job.status.quota_draws.keys().cloned());
            if book.circuit(&job.spec.job_type).max_failures > 0 {
                circuits.insert(job.spec.job_type.clone());
            }
        }
    }
    let of_quotas = quotas.iter().flat_map(|name| {
        [RuleKind::Quota, RuleKind::QuotaUse].map(|kind| RuleKey::new(kind, name.as_str()))
    });
    let of_types = circuits.iter().map(|name| RuleKey::new(RuleKind::Circuit, name.as_str()));
    of_quotas.chain(of_types).collect()
}

/// Of each piece of work whether it waits for the rules of `keys`: it may change one, or comes after one that does and
/// must not overtake it, for it names the same job, ends a session, or asks what was there before it.
pub(super) fn held_up<'a>(
    work: &[Work],
    jobs: impl Iterator<Item = &'a Job>,
    keys: &[RuleKey],
    book: &Rulebook,
) -> Vec<bool> {
    let jobs: HashMap<JobId, &Job> = jobs.map(|job| (job.id, job)).collect();
    let mut waiting: BTreeSet<JobId> = BTreeSet::new();
    let mut held = Vec::with_capacity(work.len());
    for piece in work {
        let mut named = Vec::new();
        piece.names(|id, _| named.push(id));
        let known = named.iter().filter_map(|id| jobs.get(id).copied());
        let is_held = !concerned(std::slice::from_ref(piece), known, book).is_empty()
            || writes_one_of(piece, keys)
            || named.iter().any(|id| waiting.contains(id))
            || (!waiting.is_empty() && closes(piece));
        if is_held {
            waiting.extend(named);
        }
        held.push(is_held);
    }
    held
}

fn writes_one_of(piece: &Work, keys: &[RuleKey]) -> bool {
    let Work::Rules { change, .. } = piece else { return false };
    change.writes.iter().any(|write| keys.contains(&write.key))
}

/// Whether it says that nothing more comes of what came before it.
fn closes(piece: &Work) -> bool {
    match piece {
        Work::Session { write, .. } => {
            matches!(write, SessionWrite::End { .. } | SessionWrite::EndIfUnary { .. })
        }
        Work::Progress { rows, .. } => rows.is_empty(),
        Work::Create { .. }
        | Work::Command { .. }
        | Work::Deed { .. }
        | Work::Try { .. }
        | Work::Fence { .. }
        | Work::Delete { .. }
        | Work::Logs { .. }
        | Work::Open { .. }
        | Work::Expire { .. }
        | Work::Note { .. }
        | Work::Rules { .. } => false,
    }
}

/// What a row says of a state, and its revision. One that cannot be read begins anew with what is `known`.
fn stands<T: Clone + Default + DeserializeOwned>(
    found: &[Rule],
    key: &RuleKey,
    known: Option<&T>,
) -> (i64, T) {
    let Some(rule) = found.iter().find(|rule| rule.key == *key) else {
        return (0, T::default());
    };
    (rule.revision, readable(rule).or_else(|| known.cloned()).unwrap_or_default())
}

impl RuleDesk {
    /// The rules of `keys`, of which `found` are there.
    pub(super) fn of(keys: &[RuleKey], found: &[Rule], book: &Rulebook) -> Self {
        let mut desk = Self::default();
        for key in keys {
            if key.kind == RuleKind::Circuit
                && let Ok(job_type) = JobType::new(&key.name)
            {
                let (revision, state) = stands(found, key, book.circuits.get(&job_type));
                let spec = book.circuit(&job_type).clone();
                let circuit = Desk { spec, revision, state, changed: false };
                desk.circuits.insert(job_type, circuit);
            }
        }
        for rule in found.iter().filter(|rule| rule.key.kind == RuleKind::Quota) {
            let spec = rule.read::<QuotaSpec>().ok();
            let quota = spec.and_then(|spec| spec.compile("", &mut Violations::default()));
            if let (Ok(name), Some(spec)) = (QuotaName::new(&rule.key.name), quota) {
                let key = RuleKey::new(RuleKind::QuotaUse, &rule.key.name);
                let (revision, state) = stands(found, &key, None);
                desk.quotas.insert(name, Desk { spec, revision, state, changed: false });
            }
        }
        desk
    }

    /// Whether what a worker says it used can be counted.
    pub(super) fn check(&self, status: &JobStatus, command: &Command) -> Result<(), Error> {
        let Command::ReportUse { used, .. } = command else { return Ok(()) };
        // One that the run drew from may have been deleted since: there is nothing to settle then.
        let drawn = |name: &QuotaName| status.quota_draws.contains_key(name);
        let mut names = used.keys();
        if let Some(unknown) = names.find(|name| !self.quotas.contains_key(*name) && !drawn(name)) {
            return Err(Error::QuotaNotFound(unknown.clone()));
        }
        let new = used.keys().filter(|name| !status.quota_draws.contains_key(*name)).count();
        if status.quota_draws.len() + new > QUOTA_COSTS_MAX {
            let limit = QUOTA_COSTS_MAX as u64;
            return Err(Error::LimitExceeded { what: "the quotas of one execution", limit });
        }
        Ok(())
    }

    /// Takes a change of `job` into account.
    pub(super) fn note(&mut self, job: &Job, after: &JobStatus) {
        let (before, now) = (&job.status, after.update_time);
        if let Some(desk) = self.circuits.get_mut(&job.spec.job_type)
            && let Some(report) = CircuitReport::of(before, after)
            && let Some((state, change)) = desk.state.after(&desk.spec, job.id, report, now)
        {
            (desk.state, desk.changed) = (state, true);
            self.jobs.insert(job.id);
            self.news.extend(change.map(|it| News::Circuit(job.spec.job_type.clone(), it)));
        }
        if before.kind() != StateKind::Running || before.quota_draws == after.quota_draws {
            return;
        }
        let began = before.execution.as_ref().map(|it| it.start_time).unwrap_or_default();
        for (name, is) in &after.quota_draws {
            let was = before.quota_draws.get(name).copied().unwrap_or_default();
            let Some(desk) = self.quotas.get_mut(name).filter(|_| was != *is) else { continue };
            let state = desk.spec.settle(desk.state, was, *is, (began, now));
            if state != desk.state {
                if desk.spec.runs_out(desk.state, state, Some(is.units), now) {
                    self.news.push(News::Exhausted(name.clone(), is.units));
                }
                (desk.state, desk.changed) = (state, true);
                self.jobs.insert(job.id);
            }
        }
    }

    /// Whether it may write this rule.
    pub(super) fn holds(&self, key: &RuleKey) -> bool {
        match key.kind {
            RuleKind::Circuit => self.circuits.keys().any(|name| name.as_str() == key.name),
            RuleKind::QuotaUse => self.quotas.keys().any(|name| name.as_str() == key.name),
            RuleKind::Type
            | RuleKind::Queue
            | RuleKind::Quota
            | RuleKind::Schedule
            | RuleKind::Rate
            | RuleKind::Drain
            | RuleKind::Retention
            | RuleKind::Bulk => false,
        }
    }

    /// Adds what changed to a batch, except for what goes by it anyway.
    pub(super) fn write(&self, batch: &mut Batch) -> store::Result<()> {
        for (name, desk) in self.circuits.iter().filter(|(_, desk)| desk.changed) {
            let key = RuleKey::new(RuleKind::Circuit, name.as_str());
            put(batch, RuleWrite::put(key, desk.revision, &desk.state)?);
        }
        for (name, desk) in self.quotas.iter().filter(|(_, desk)| desk.changed) {
            let key = RuleKey::new(RuleKind::QuotaUse, name.as_str());
            put(batch, RuleWrite::put(key, desk.revision, &desk.state)?);
        }
        let now = batch.now;
        for event in self.news.iter().filter_map(|news| self.event(news, now)) {
            batch.tell(Cause::Batch, event);
        }
        batch.rules_hang_on.clone_from(&self.jobs);
        Ok(())
    }

    /// What is told of it.
    fn event(&self, news: &News, now: Timestamp) -> Option<Event> {
        match news {
            News::Circuit(job_type, change) => Some(circuit_event(job_type, *change, now)),
            News::Exhausted(name, cost) => {
                let desk = self.quotas.get(name)?;
                Some(exhausted_event(name, &desk.spec, (desk.state, *cost), now))
            }
        }
    }

    /// What changed is durable: it is known from now on, and told.
    pub(super) fn written(&self, registry: &Registry) {
        let changed = self.circuits.iter().filter(|(_, desk)| desk.changed);
        registry.heed_circuits(changed.map(|(name, desk)| (name, &desk.state)));
        for news in &self.news {
            match news {
                News::Circuit(job_type, change) => journal::circuit(job_type, *change),
                News::Exhausted(quota, _) => journal::exhausted(quota),
            }
        }
    }
}

/// What is told of a breaker that opened or closed.
pub(in super::super) fn circuit_event(
    job_type: &JobType,
    change: CircuitChange,
    now: Timestamp,
) -> Event {
    let facts = match change {
        CircuitChange::Opened { next_probe_time } => Facts::CircuitOpened { next_probe_time },
        CircuitChange::Closed => Facts::CircuitClosed,
    };
    Event::of_type(job_type.clone(), facts, now)
}

/// What is told of a quota that stands so that too little is left for a start of this cost: once in a
/// period, whoever finds it so.
pub(in super::super) fn exhausted_event(
    name: &QuotaName,
    quota: &Quota,
    (state, cost): (QuotaState, u64),
    now: Timestamp,
) -> Event {
    let facts = Facts::QuotaExhausted {
        quota: name.to_string(),
        limit: quota.spec().limit,
        used: quota.current(state, now).used,
        cost,
        reset_time: quota.reset_time(now),
    };
    Event::plain(facts, now)
}

fn put(batch: &mut Batch, write: RuleWrite) {
    if !batch.rules.iter().any(|other| other.key == write.key) {
        batch.rules.push(write);
    }
}
