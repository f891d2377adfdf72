//! What is set up, as one server knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::domain::circuit::{CircuitSpec, CircuitState};
use crate::domain::ids::QuotaName;
use crate::domain::job_type::gate::{TriggerRefusal, circuit_of, skip_at_create};
use crate::domain::job_type::{JobTypeSpec, TypeState};
use crate::domain::queue::QueueSettings;
use crate::domain::quota::QuotaSpec;
use crate::domain::schedule::Schedule;
use crate::domain::validate::Violations;
use crate::domain::{Category, JobType, QueueName, SkipReason, Timestamp};
use crate::engine::error::Error;
use crate::store::{self, Rule, RuleKey, RuleKind};

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

/// How far a schedule is settled, as its row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Nominal times up to here have their job, or need none.
    pub through: Timestamp,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Known<T> {
    /// Of its row.
    pub revision: i64,
    /// What it says.
    pub what: T,
}

/// Everything that is set up.
#[derive(Debug, Clone, Default)]
pub struct Rulebook {
    /// Declared types.
    pub types: BTreeMap<JobType, Arc<Definition>>,
    /// Queues of which something is said.
    pub queues: BTreeMap<QueueName, Known<QueueSettings>>,
    /// Quotas.
    pub quotas: BTreeMap<QuotaName, Known<QuotaSpec>>,
    /// Breakers that have something to remember.
    pub circuits: BTreeMap<JobType, CircuitState>,
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
    /// The declaration of a type.
    #[must_use]
    pub fn spec(&self, job_type: &JobType) -> Option<&JobTypeSpec> {
        self.types.get(job_type).map(|definition| &definition.declared.spec)
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

    /// The breaker of a type.
    #[must_use]
    pub fn breaker(&self, job_type: &JobType) -> CircuitSpec {
        circuit_of(self.spec(job_type), &CircuitSpec::default()).clone()
    }

    /// Why a job of this type is recorded as SKIPPED instead of made, if that is so.
    #[must_use]
    pub fn skips(&self, job_type: &JobType, now: Timestamp) -> Option<SkipReason> {
        let (spec, circuit) = (self.spec(job_type), self.circuits.get(job_type));
        if spec.is_none() && circuit.is_none() {
            return None;
        }
        let state =
            TypeState { circuit: circuit.cloned().unwrap_or_default(), ..TypeState::default() };
        skip_at_create(spec, circuit_of(spec, &CircuitSpec::default()), &state, now)
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

    pub(super) fn take(&mut self, rule: &Rule) -> store::Result<()> {
        let Rule { key: RuleKey { kind, name }, revision, .. } = rule;
        match kind {
            RuleKind::Type => {
                let definition = Arc::new(Definition::of(rule)?);
                self.types.insert(definition.declared.spec.job_type.clone(), definition);
            }
            RuleKind::Queue => {
                if let Ok(name) = QueueName::new(name) {
                    let known = Known { revision: *revision, what: rule.read()? };
                    self.queues.insert(name, known);
                }
            }
            RuleKind::Quota => {
                if let Ok(name) = QuotaName::new(name) {
                    let known = Known { revision: *revision, what: rule.read()? };
                    self.quotas.insert(name, known);
                }
            }
            RuleKind::Circuit => {
                if let Ok(name) = JobType::new(name) {
                    self.circuits.insert(name, rule.read()?);
                }
            }
            RuleKind::QuotaUse | RuleKind::Schedule | RuleKind::Rate => {}
        }
        Ok(())
    }

    pub(super) fn drop(&mut self, key: &RuleKey) {
        match key.kind {
            RuleKind::Type => self.types.retain(|name, _| name.as_str() != key.name),
            RuleKind::Queue => self.queues.retain(|name, _| name.as_str() != key.name),
            RuleKind::Quota => self.quotas.retain(|name, _| name.as_str() != key.name),
            RuleKind::Circuit => self.circuits.retain(|name, _| name.as_str() != key.name),
            RuleKind::QuotaUse | RuleKind::Schedule | RuleKind::Rate => {}
        }
    }
}
