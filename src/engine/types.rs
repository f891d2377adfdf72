//! The registry of types: declaring, showing, taking back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::circuit::{CircuitSpec, CircuitState};
use crate::domain::ids::QuotaName;
use crate::domain::job_type::gate::circuit_of;
use crate::domain::job_type::{JobTypeSpec, TypeOrigin};
use crate::domain::limits::{QUOTA_COSTS_MAX, TYPES_MAX};
use crate::domain::quota::QuotaSpec;
use crate::domain::schedule::{Nominal, Schedule};
use crate::domain::validate::Violations;
use crate::domain::{Category, JobType, Timestamp};
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::error::{Error, Result};
use super::pipeline::RuleChange;
use super::registry::{Cursor, Declared, Definition, Rulebook, readable, tell_unread};
use super::{Engine, breakers, schedule};

/// A wish to declare a type.
#[derive(Debug, Clone)]
pub struct PutType {
    /// The declaration as a whole.
    pub spec: JobTypeSpec,
    /// The input of its runs that come with none.
    pub payload: Option<Bytes>,
    /// The revision that is replaced; 0 for whatever is there.
    pub revision: i64,
    /// Only check it.
    pub validate_only: bool,
    /// Why, in the caller's words.
    pub reason: String,
}

/// Which types are meant; an empty field does not filter.
#[derive(Debug, Clone, Default)]
pub struct TypeFilter {
    /// Of these categories.
    pub categories: Vec<Category>,
    /// Of these origins.
    pub origins: Vec<TypeOrigin>,
}

/// A type as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeInfo {
    /// Its definition; that of an observed one says nothing.
    pub spec: JobTypeSpec,
    /// The input of its runs that come with none.
    pub payload: Option<Bytes>,
    /// Where it comes from.
    pub origin: TypeOrigin,
    /// Of the declaration; 0 for an observed one.
    pub revision: i64,
    /// When it was declared first, and when that last changed.
    pub times: Option<(Timestamp, Timestamp)>,
    /// How its breaker stands, if it has one.
    pub circuit: Option<CircuitState>,
    /// That breaker, if it is the one of all types without one of their own.
    pub default_circuit: Option<CircuitSpec>,
}

impl TypeInfo {
    /// A type that is known from jobs alone.
    #[must_use]
    pub fn observed(job_type: JobType, book: &Rulebook) -> Self {
        let circuit = circuit(&job_type, book);
        let default_circuit = circuit.as_ref().map(|_| book.defaults.what.circuit.clone());
        Self {
            spec: JobTypeSpec::new(job_type),
            payload: None,
            origin: TypeOrigin::Observed,
            revision: 0,
            times: None,
            circuit,
            default_circuit,
        }
    }

    /// A declared type.
    #[must_use]
    pub fn declared(definition: &Definition, book: &Rulebook) -> Self {
        let Declared { spec, payload, create_time, update_time } = definition.declared.clone();
        let circuit = circuit(&spec.job_type, book);
        let inherits = spec.circuit.is_none() && circuit.is_some();
        let default_circuit = inherits.then(|| book.defaults.what.circuit.clone());
        Self {
            spec,
            payload,
            origin: TypeOrigin::Declared,
            revision: definition.revision,
            times: Some((create_time, update_time)),
            circuit,
            default_circuit,
        }
    }

    /// Whether a trigger would make a job of it at all.
    #[must_use]
    pub fn can_trigger(&self) -> bool {
        self.origin == TypeOrigin::Declared && !self.spec.disabled
    }
}

/// How the breaker of a type stands, if it has one.
pub(super) fn circuit(job_type: &JobType, book: &Rulebook) -> Option<CircuitState> {
    let has_one = book.circuit(job_type).max_failures > 0;
    has_one.then(|| book.circuits.get(job_type).cloned().unwrap_or_default())
}

fn keys(job_type: &JobType) -> Vec<RuleKey> {
    [RuleKind::Type, RuleKind::Schedule].map(|kind| RuleKey::new(kind, job_type.as_str())).to_vec()
}

/// What the audit shows of a declaration; of the input only how long it is.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    spec: &'a JobTypeSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_bytes: Option<usize>,
}

impl<'a> Shown<'a> {
    fn of(declared: &'a Declared) -> Self {
        Self { spec: &declared.spec, payload_bytes: declared.payload.as_ref().map(Bytes::len) }
    }
}

/// A type as its rows stand.
struct Standing {
    /// Of the declaration's row; 0 if there is none.
    revision: i64,
    /// The declaration, if it can be read.
    definition: Option<Definition>,
    /// Of the cursor's row; 0 if there is none.
    cursor_revision: i64,
    /// The cursor, if it can be read.
    cursor: Option<Cursor>,
}

impl Standing {
    fn of(found: &[Rule]) -> Self {
        let row = |kind| found.iter().find(move |rule: &&Rule| rule.key.kind == kind);
        let revision = |kind| row(kind).map_or(0, |rule| rule.revision);
        Self {
            revision: revision(RuleKind::Type),
            definition: row(RuleKind::Type).and_then(|rule| {
                Definition::of(rule).inspect_err(|error| tell_unread(&rule.key, error)).ok()
            }),
            cursor_revision: revision(RuleKind::Schedule),
            cursor: row(RuleKind::Schedule).and_then(readable),
        }
    }
}

/// What the quotas among these rows say, or what is known of those that cannot be read.
fn quotas(found: &[Rule], known: &Rulebook) -> BTreeMap<QuotaName, QuotaSpec> {
    let quotas = Rulebook::of_some(found, known).quotas.into_iter();
    quotas.map(|(name, quota)| (name, quota.what)).collect()
}

/// Writes the rows of quotas that the type did not draw as much from, as they are: whoever takes one away or lowers it in
/// the same moment finds it changed.
fn guards(
    before: Option<&Declared>,
    after: &Declared,
    found: &[Rule],
) -> impl Iterator<Item = RuleWrite> {
    let cost = |declared: Option<&Declared>, quota: &str| {
        let costs = declared.map(|declared| &declared.spec.quota_costs);
        costs.into_iter().flatten().find(|(name, _)| name.as_str() == quota).map(|(_, cost)| *cost)
    };
    let is_new = move |rule: &&Rule| {
        let (was, is) = (cost(before, &rule.key.name), cost(Some(after), &rule.key.name));
        rule.key.kind == RuleKind::Quota && is > was
    };
    found.iter().filter(is_new).map(|rule| RuleWrite {
        key: rule.key.clone(),
        expected_revision: rule.revision,
        body: Some(rule.body.clone()),
    })
}

impl Engine {
    /// Declares a type, or replaces its declaration; answers it as it stands, and whether it is new. What
    /// is declared already as it is changes nothing.
    pub async fn put_type(&self, caller: &Caller, put: PutType) -> Result<(TypeInfo, bool)> {
        let book = self.registry.book();
        let mut wrong = Violations::default();
        put.spec.validate("job_type.", &mut wrong);
        let costs = &put.spec.quota_costs;
        if costs.len() > QUOTA_COSTS_MAX {
            // As many are not looked up.
            wrong.clone().into_result().map_err(Error::Invalid)?;
        }
        let mut keys = keys(&put.spec.job_type);
        keys.extend(costs.keys().map(|name| RuleKey::new(RuleKind::Quota, name.as_str())));
        keys.push(RuleKey::new(RuleKind::Circuit, put.spec.job_type.as_str()));
        let job_type = put.spec.job_type.clone();
        let now = self.clock.now();
        let decide = |found: &[Rule]| {
            let standing = Standing::of(found);
            let (held, revision) = (&standing.definition, standing.revision);
            let mut wrong = wrong.clone();
            let draws = held.as_ref().map(|held| &held.declared.spec.quota_costs);
            // What it draws already was checked when it was declared, and is no reason to keep it from being disabled.
            if draws != Some(&put.spec.quota_costs) {
                put.spec.validate_quotas(&quotas(found, &book), "job_type.", &mut wrong);
            }
            wrong.into_result().map_err(Error::Invalid)?;
            if put.revision != 0 && put.revision != revision {
                let (job_type, held) = (job_type.clone(), revision);
                return Err(Error::TypeChanged { job_type, held, presented: put.revision });
            }
            if revision == 0 {
                self.check_room(&book, &job_type)?;
            }
            let before = held.as_ref().map(|held| &held.declared);
            let same = before.is_some_and(|it| it.spec == put.spec && it.payload == put.payload);
            if let (Some(held), true) = (held, same) {
                return Ok((RuleChange::default(), (TypeInfo::declared(held, &book), false)));
            }
            let declared = Declared {
                spec: put.spec.clone(),
                payload: put.payload.clone(),
                create_time: before.map_or(now, |before| before.create_time),
                update_time: now,
            };
            let row = RuleWrite::put(keys[0].clone(), revision, &declared)?;
            let mut writes = vec![row];
            writes.extend(guards(before, &declared, found));
            let compiled = declared.spec.schedule.as_ref();
            let compiled = compiled.and_then(|it| it.compile("", &mut Violations::default()));
            let definition = Definition { revision: revision + 1, declared, schedule: compiled };
            let held = (standing.cursor_revision, standing.cursor);
            writes.extend(schedule::cursor_write(
                standing.definition.as_ref(),
                &definition,
                held,
                now,
            )?);
            let circuit = circuit_of(Some(&put.spec), &book.defaults.what.circuit);
            let (forgotten, closed) = breakers::forgotten(found, &job_type, circuit, now)?;
            writes.extend(forgotten);
            let writes = if put.validate_only { Vec::new() } else { writes };
            let deed = Deed::new(caller.principal(), AuditAction::PutJobType);
            let deed = deed.because(put.reason.clone());
            let (was, is) = (before.map(Shown::of), Shown::of(&definition.declared));
            let subject = AuditSubject::Type(job_type.clone());
            let change = RuleChange::from(writes);
            let mut change = change.as_deed(&deed, subject, was.as_ref(), Some(&is), now);
            change.events.extend(closed);
            Ok((change, (TypeInfo::declared(&definition, &book), revision == 0)))
        };
        self.change_rules(keys.clone(), decide).await
    }

    /// A new declaration counts against the bound on types, unless jobs of it did already.
    fn check_room(&self, book: &Rulebook, job_type: &JobType) -> Result<()> {
        if book.types.len() < TYPES_MAX && self.known.takes_type(job_type) {
            return Ok(());
        }
        Err(Error::LimitExceeded { what: "the number of job types", limit: TYPES_MAX as u64 })
    }

    /// One type.
    pub async fn job_type(&self, _caller: &Caller, job_type: &JobType) -> Result<TypeInfo> {
        Ok(self.job_type_read(job_type).await?.0)
    }

    /// One type, and its declaration if it is declared, by rows read now.
    async fn job_type_read(
        &self,
        job_type: &JobType,
    ) -> Result<(TypeInfo, Option<Arc<Definition>>)> {
        let mut keys = keys(job_type);
        keys.push(RuleKey::new(RuleKind::Circuit, job_type.as_str()));
        let found = self.seen_rules(keys).await?;
        let book = Rulebook::of_some(&found, &self.registry.book());
        if let Some(definition) = book.types.get(job_type) {
            let info = TypeInfo::declared(definition, &book);
            return Ok((info, Some(Arc::clone(definition))));
        }
        let counts = self.db.read(|store| async move { store.counts().await }).await?;
        if counts.iter().any(|count| count.key.job_type == *job_type) {
            return Ok((TypeInfo::observed(job_type.clone(), &book), None));
        }
        Err(Error::TypeNotFound(job_type.clone()))
    }

    /// The category of a type, as it is declared.
    #[must_use]
    pub fn category(&self, job_type: &JobType) -> Option<Category> {
        self.registry.book().spec(job_type)?.category.clone()
    }

    /// Types that match, by name.
    pub async fn job_types(&self, _caller: &Caller, filter: &TypeFilter) -> Result<Vec<TypeInfo>> {
        let book = self.current_rules().await?;
        let counts = self.db.read(|store| async move { store.counts().await }).await?;
        let seen: BTreeSet<&JobType> = counts.iter().map(|count| &count.key.job_type).collect();
        let seen = seen.into_iter().filter(|name| !name.is_reserved());
        let names: BTreeSet<&JobType> = book.types.keys().chain(seen).collect();
        let types = names.into_iter().map(|name| match book.types.get(name) {
            Some(definition) => TypeInfo::declared(definition, &book),
            None => TypeInfo::observed(name.clone(), &book),
        });
        let wanted = |info: &TypeInfo| {
            let category = info.spec.category.as_ref();
            let of = category.is_some_and(|category| filter.categories.contains(category));
            (filter.categories.is_empty() || of)
                && (filter.origins.is_empty() || filter.origins.contains(&info.origin))
        };
        Ok(types.filter(wanted).take(TYPES_MAX).collect())
    }

    /// Takes a declaration back; with jobs, the type is observed from then on.
    pub async fn delete_type(&self, caller: &Caller, job_type: &JobType) -> Result<()> {
        let all = [RuleKind::Type, RuleKind::Schedule, RuleKind::Circuit, RuleKind::Rate];
        let keys = all.map(|kind| RuleKey::new(kind, job_type.as_str())).to_vec();
        let deleted = |found: &[Rule]| {
            let held = found.iter().find(|rule| rule.key.kind == RuleKind::Type);
            let Some(held) = held else { return Ok((RuleChange::default(), false)) };
            let declared: Option<Declared> = readable(held);
            let gone = |rule: &Rule| RuleWrite::delete(rule.key.clone(), rule.revision);
            let writes: Vec<_> = found.iter().map(gone).collect();
            let deed = Deed::new(caller.principal(), AuditAction::DeleteJobType);
            let subject = AuditSubject::Type(job_type.clone());
            let change = RuleChange::from(writes);
            let (was, now) = (declared.as_ref().map(Shown::of), self.clock.now());
            let mut change = change.as_deed(&deed, subject, was.as_ref(), None, now);
            let circuit = found.iter().find(|rule| rule.key.kind == RuleKind::Circuit);
            let state: Option<CircuitState> = circuit.and_then(readable);
            change.events.extend(state.and_then(|state| breakers::closed(&state, job_type, now)));
            Ok((change, true))
        };
        if self.change_rules(keys, deleted).await? {
            return Ok(());
        }
        // Either nobody knows it, or it has nothing to be taken back.
        self.job_type(caller, job_type).await?;
        Err(Error::TypeNotDeclared(job_type.clone()))
    }

    /// When a declared type fires next; nothing if it has no schedule.
    pub async fn preview_type(
        &self,
        _caller: &Caller,
        job_type: &JobType,
        after: Option<Timestamp>,
        count: usize,
    ) -> Result<Vec<Nominal>> {
        let (_, definition) = self.job_type_read(job_type).await?;
        let Some(definition) = definition else {
            return Err(Error::TypeNotDeclared(job_type.clone()));
        };
        let schedule = definition.schedule.as_ref();
        Ok(schedule
            .map_or_else(Vec::new, |schedule| self.preview(schedule, job_type, after, count)))
    }

    /// When a schedule would fire.
    #[must_use]
    pub fn preview(
        &self,
        schedule: &Schedule,
        job_type: &JobType,
        after: Option<Timestamp>,
        count: usize,
    ) -> Vec<Nominal> {
        schedule.fire_times(job_type, after.unwrap_or_else(|| self.clock.now()), count)
    }
}
