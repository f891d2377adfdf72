//! What is set up, as one server knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::circuit::{CircuitSpec, CircuitState};
use crate::domain::definitions::ServerDefaults;
use crate::domain::drain::{Drain, Process};
use crate::domain::ids::QuotaName;
use crate::domain::job_type::gate::{TriggerRefusal, circuit_of, skip_at_create};
use crate::domain::job_type::{JobTypeSpec, TypeState};
use crate::domain::queue::QueueSettings;
use crate::domain::quota::QuotaSpec;
use crate::domain::schedule::Schedule;
use crate::domain::status::Skip;
use crate::domain::validate::Violations;
use crate::domain::{Category, JobType, QueueName, Timestamp};
use crate::engine::error::Error;
use crate::store::{self, Rule, RuleKey, RuleKind};

use super::unread::tell_unread;

/// The name under which what holds for the whole server stands among the types. No type can have it.
pub const DEFAULTS: &str = "jobplane.defaults";

/// A declaration, as its row holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// As its author wrote it.
    pub spec: JobTypeSpec,
    /// The input of its runs that come with none: an encoded `google.protobuf.Struct`, opaque here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Bytes>,
    /// When it was declared first.
    pub create_time: Timestamp,
    /// When the declaration last changed.
    pub update_time: Timestamp,
}

/// A declared type.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Of the declaration.
    pub revision: i64,
    /// The declaration.
    pub declared: Declared,
    /// Its schedule, read; `None` if it has none.
    pub schedule: Option<Schedule>,
}

/// Something that is set up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known<T> {
    /// Of its row.
    pub revision: i64,
    /// What it says.
    pub what: T,
}

/// Everything that is set up.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// What holds for the whole server.
    pub defaults: Known<ServerDefaults>,
    /// Declared types.
    pub types: BTreeMap<JobType, Arc<Definition>>,
    /// Queues of which something is said.
    pub queues: BTreeMap<QueueName, Known<QueueSettings>>,
    /// Quotas.
    pub quotas: BTreeMap<QuotaName, Known<QuotaSpec>>,
    /// Breakers that have something to remember.
    pub circuits: BTreeMap<JobType, CircuitState>,
    /// Worker processes that are to leave, by the key of each.
    pub drains: BTreeMap<String, Known<Drain>>,
}

/// The smaller of two bounds, of which 0 is none.
#[must_use]
pub const fn smaller_bound(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, bound) | (bound, 0) => bound,
        _ if one < other => one,
        _ => other,
    }
}

impl Definition {
    /// Reads a declaration's row.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn of(rule: &Rule) -> store::Result<Self> {
        let declared: Declared = rule.read()?;
        // It was checked when it was declared; a zone may have gone since, and then it does not fire.
        let mut wrong = Violations::default();
        let schedule = declared.spec.schedule.as_ref();
        let schedule = schedule.and_then(|schedule| schedule.compile("schedule.", &mut wrong));
        for violation in wrong.as_slice() {
            tracing::error!(
                job.type = %declared.spec.job_type,
                field = violation.field,
                "the schedule cannot be read and does not fire: {}",
                violation.description
            );
        }
        Ok(Self { revision: rule.revision, declared, schedule })
    }

    /// The schedule, if it is one that acts: neither paused, nor of a disabled type.
    #[must_use]
    pub fn active_schedule(&self) -> Option<&Schedule> {
        let schedule = self.schedule.as_ref().filter(|schedule| !schedule.spec().paused);
        schedule.filter(|_| !self.declared.spec.disabled)
    }
}

impl Rulebook {
    /// What these rows say, beside what is `known` to hold for the whole server.
    pub(in super::super) fn of_some(rules: &[Rule], known: &Self) -> Self {
        Self { defaults: known.defaults.clone(), ..Self::of_all(rules, known) }
    }

    /// What all rows say. Of those that cannot be read it is known what was known `before`.
    pub(in super::super) fn of_all(rules: &[Rule], before: &Self) -> Self {
        let mut book = Self::default();
        for rule in rules {
            if let Err(error) = book.take(rule) {
                tell_unread(&rule.key, &error);
                book.keep(&rule.key, before);
            }
        }
        book
    }

    /// The declaration of a type.
    #[must_use]
    pub fn spec(&self, job_type: &JobType) -> Option<&JobTypeSpec> {
        self.types.get(job_type).map(|definition| &definition.declared.spec)
    }

    /// The breaker of a type: its own, else that of all types without one.
    #[must_use]
    pub fn circuit(&self, job_type: &JobType) -> &CircuitSpec {
        circuit_of(self.spec(job_type), self.default_circuit(job_type))
    }

    /// The breaker of all types without one; the server's own have none.
    #[must_use]
    pub fn default_circuit(&self, job_type: &JobType) -> &CircuitSpec {
        if job_type.is_reserved() { &CircuitSpec::NEVER } else { &self.defaults.what.circuit }
    }

    /// How the breakers that are in force stand, as far as they have something to remember.
    pub fn breakers(&self) -> impl Iterator<Item = (&JobType, &CircuitState)> {
        self.circuits.iter().filter(|(job_type, _)| self.circuit(job_type).max_failures > 0)
    }

    /// How many jobs may wait in a queue; 0 = any number.
    #[must_use]
    pub fn max_pending(&self, queue: &QueueName) -> u32 {
        self.queues.get(queue).map_or(0, |known| known.what.max_pending)
    }

    /// How many jobs may wait in all, by what was set up and by what one server was told: the smaller
    /// number that is one; 0 = any number.
    #[must_use]
    pub fn max_pending_in_all(&self, told: u32) -> u32 {
        smaller_bound(self.defaults.what.max_pending, told)
    }

    /// How many jobs may run in all, in the same way.
    #[must_use]
    pub fn max_running_in_all(&self, told: u32) -> u32 {
        smaller_bound(self.defaults.what.max_running, told)
    }

    /// Whether a type is declared to be of one of these categories.
    #[must_use]
    pub fn is_of(&self, job_type: &JobType, categories: &[Category]) -> bool {
        let category = self.spec(job_type).and_then(|spec| spec.category.as_ref());
        category.is_some_and(|category| categories.contains(category))
    }

    /// Why nothing starts from a queue, if that is so.
    #[must_use]
    pub fn pause_reason(&self, queue: &QueueName) -> Option<&str> {
        let settings = &self.queues.get(queue)?.what;
        settings.paused.then_some(settings.pause_reason.as_str())
    }

    /// Why a job of this type is recorded as SKIPPED instead of made, if that is so.
    #[must_use]
    pub fn skips(&self, job_type: &JobType, now: Timestamp) -> Option<Skip> {
        let (spec, circuit) = (self.spec(job_type), self.circuits.get(job_type));
        if spec.is_none() && circuit.is_none() {
            return None;
        }
        let state =
            TypeState { circuit: circuit.cloned().unwrap_or_default(), ..TypeState::default() };
        skip_at_create(spec, self.circuit(job_type), &state, now)
    }

    /// The wish that a process leave, if it is to take no jobs at `now`.
    #[must_use]
    pub fn drain_of(&self, process: &Process, now: Timestamp) -> Option<&Drain> {
        if self.drains.is_empty() {
            return None;
        }
        let drain = &self.drains.get(&process.key())?.what;
        drain.is_in_force(now).then_some(drain)
    }

    /// Whether a worker may start a job of its own in this queue.
    ///
    /// # Errors
    /// If the queue is paused.
    pub fn lets_start(&self, job_type: &JobType, queue: &QueueName) -> Result<(), Error> {
        let Some(reason) = self.pause_reason(queue) else { return Ok(()) };
        let refusal = TriggerRefusal::QueuePaused { reason: reason.to_owned() };
        Err(Error::CannotTrigger { job_type: job_type.clone(), queue: queue.clone(), refusal })
    }

    /// Takes up a row, unless what is known came after it: what was read before a commit may come in after
    /// what that did. One that cannot be read changes nothing.
    pub(super) fn take(&mut self, rule: &Rule) -> store::Result<()> {
        self.put(rule, false)
    }

    /// Takes up a row, whatever is known.
    pub(super) fn take_anew(&mut self, rule: &Rule) -> store::Result<()> {
        self.put(rule, true)
    }

    fn put(&mut self, rule: &Rule, anew: bool) -> store::Result<()> {
        let Rule { key, revision, .. } = rule;
        let known = if anew { None } else { self.revision(key) };
        // That of a breaker is in what the row says.
        if key.kind != RuleKind::Circuit && known.is_some_and(|known| known > *revision) {
            return Ok(());
        }
        match key.kind {
            RuleKind::Type if key.name == DEFAULTS => {
                self.defaults = Known { revision: *revision, what: rule.read()? };
            }
            RuleKind::Type => {
                let definition = Arc::new(Definition::of(rule)?);
                self.types.insert(definition.declared.spec.job_type.clone(), definition);
            }
            RuleKind::Queue => {
                if let Ok(name) = QueueName::new(&key.name) {
                    let known = Known { revision: *revision, what: rule.read()? };
                    self.queues.insert(name, known);
                }
            }
            RuleKind::Quota => {
                if let Ok(name) = QuotaName::new(&key.name) {
                    let known = Known { revision: *revision, what: rule.read()? };
                    self.quotas.insert(name, known);
                }
            }
            RuleKind::Circuit => {
                if let Ok(name) = JobType::new(&key.name) {
                    let state: CircuitState = rule.read()?;
                    if known.is_none_or(|known| known <= state.revision) {
                        self.circuits.insert(name, state);
                    }
                }
            }
            RuleKind::Drain => {
                let known = Known { revision: *revision, what: rule.read()? };
                self.drains.insert(key.name.clone(), known);
            }
            RuleKind::QuotaUse
            | RuleKind::Schedule
            | RuleKind::Rate
            | RuleKind::Retention
            | RuleKind::Bulk => {}
        }
        Ok(())
    }

    /// The revision of what is known under a key, if anything is.
    pub(in super::super) fn revision(&self, key: &RuleKey) -> Option<i64> {
        let name = key.name.as_str();
        match key.kind {
            RuleKind::Type if name == DEFAULTS => {
                Some(self.defaults.revision).filter(|revision| *revision > 0)
            }
            RuleKind::Type => Some(self.types.get(&JobType::new(name).ok()?)?.revision),
            RuleKind::Queue => Some(self.queues.get(&QueueName::new(name).ok()?)?.revision),
            RuleKind::Quota => Some(self.quotas.get(&QuotaName::new(name).ok()?)?.revision),
            RuleKind::Circuit => Some(self.circuits.get(&JobType::new(name).ok()?)?.revision),
            RuleKind::Drain => Some(self.drains.get(name)?.revision),
            RuleKind::QuotaUse
            | RuleKind::Schedule
            | RuleKind::Rate
            | RuleKind::Retention
            | RuleKind::Bulk => None,
        }
    }

    /// Knows under this key what another book does.
    fn keep(&mut self, key: &RuleKey, other: &Self) {
        fn one<K: Clone + Ord + std::fmt::Display, V: Clone>(
            name: &str,
            from: &BTreeMap<K, V>,
            to: &mut BTreeMap<K, V>,
        ) {
            let known = from.iter().find(|(known, _)| known.to_string() == name);
            to.extend(known.map(|(name, known)| (name.clone(), known.clone())));
        }
        match key.kind {
            RuleKind::Type if key.name == DEFAULTS => self.defaults = other.defaults.clone(),
            RuleKind::Type => one(&key.name, &other.types, &mut self.types),
            RuleKind::Queue => one(&key.name, &other.queues, &mut self.queues),
            RuleKind::Quota => one(&key.name, &other.quotas, &mut self.quotas),
            RuleKind::Circuit => one(&key.name, &other.circuits, &mut self.circuits),
            RuleKind::Drain => one(&key.name, &other.drains, &mut self.drains),
            RuleKind::QuotaUse
            | RuleKind::Schedule
            | RuleKind::Rate
            | RuleKind::Retention
            | RuleKind::Bulk => {}
        }
    }

    /// Knows of rules that were known otherwise `before` what is known `now`, unless this is newer.
    pub(super) fn keep_news(&mut self, now: &Self, before: &Self) {
        for key in now.keys().chain(before.keys()) {
            let known = now.revision(&key);
            if known == before.revision(&key) {
                continue;
            }
            // One that went and came again begins with a lower revision.
            let is_anew = known < before.revision(&key);
            match known {
                Some(known) if is_anew || self.revision(&key).is_none_or(|read| read < known) => {
                    self.keep(&key, now);
                }
                Some(_) => {}
                None => self.drop(&key),
            }
        }
    }

    /// The keys of all that is known.
    fn keys(&self) -> impl Iterator<Item = RuleKey> {
        let of = |kind| move |name: &str| RuleKey::new(kind, name);
        let types = self.types.keys().map(JobType::as_str).chain([DEFAULTS]);
        let queues = self.queues.keys().map(QueueName::as_str).map(of(RuleKind::Queue));
        let quotas = self.quotas.keys().map(QuotaName::as_str).map(of(RuleKind::Quota));
        let circuits = self.circuits.keys().map(JobType::as_str).map(of(RuleKind::Circuit));
        let drains = self.drains.keys().map(String::as_str).map(of(RuleKind::Drain));
        types.map(of(RuleKind::Type)).chain(queues).chain(quotas).chain(circuits).chain(drains)
    }

    /// Forgets a rule.
    pub(super) fn drop(&mut self, key: &RuleKey) {
        match key.kind {
            RuleKind::Type if key.name == DEFAULTS => self.defaults = Known::default(),
            RuleKind::Type => self.types.retain(|name, _| name.as_str() != key.name),
            RuleKind::Queue => self.queues.retain(|name, _| name.as_str() != key.name),
            RuleKind::Quota => self.quotas.retain(|name, _| name.as_str() != key.name),
            RuleKind::Circuit => self.circuits.retain(|name, _| name.as_str() != key.name),
            RuleKind::Drain => drop(self.drains.remove(&key.name)),
            RuleKind::QuotaUse
            | RuleKind::Schedule
            | RuleKind::Rate
            | RuleKind::Retention
            | RuleKind::Bulk => {}
        }
    }
}
