//! Types: what is declared of them, and how they stand.

use std::collections::BTreeMap;

use crate::domain::circuit::{CircuitCounts, CircuitPhase, CircuitSpec, CircuitState};
use crate::domain::ids::QuotaName;
use crate::domain::job_type::{ConcurrencyKey, JobDefaults, JobTypeSpec};
use crate::domain::limits::{PAYLOAD_BYTES_MAX, QUOTA_COSTS_MAX, RETRY_RULES_MAX};
use crate::domain::retry::{Change, RetryRule};
use crate::domain::validate::Violations;
use crate::domain::{Category, JobType, QueueName};
use crate::engine::{PutType, TypeInfo};
use crate::proto::v1;

use super::enums::Named as _;
use super::path::{Path, is_clean};
use super::schedule::ANY;
use super::{enums, number, opaque, rate, retry, schedule, time, usage};

/// A declaration whose every field was checked.
pub fn from_proto(
    job_type: Option<v1::JobType>,
    validate_only: bool,
    violations: &mut Violations,
) -> Option<PutType> {
    let at = Path::root("job_type");
    let Some(job_type) = job_type else {
        at.wrong(violations, "must be set");
        return None;
    };
    let before = violations.as_slice().len();
    number::count(job_type.revision, at.field("revision"), violations);
    let payload = job_type.defaults.as_ref().and_then(|defaults| defaults.payload.clone());
    if let Some(payload) = &payload {
        let defaults = at.field("defaults");
        opaque::check_at(payload, PAYLOAD_BYTES_MAX, defaults.field("payload"), violations);
    }
    let revision = job_type.revision;
    let spec = spec(job_type, at, violations).map(JobTypeSpec::tidied);
    if let Some(spec) = &spec {
        spec.validate("job_type.", violations);
    }
    let spec = spec.filter(|_| is_clean(violations, before))?;
    Some(PutType { spec, payload, revision, validate_only, reason: String::new() })
}

fn spec(given: v1::JobType, at: Path<'_>, violations: &mut Violations) -> Option<JobTypeSpec> {
    let name = at.field("type").take(violations, JobType::new(&given.r#type));
    let category = optional(&given.category, Category::new, at.field("category"), violations);
    let defaults = given.defaults.map(|given| defaults(given, at.field("defaults"), violations));
    let schedule = given.schedule.map(|it| schedule::read(it, at.field("schedule"), violations));
    let expected = given.expected.as_ref();
    let expected = expected.and_then(|it| schedule::expected(it, at.field("expected"), violations));
    let max_concurrent = cap(given.max_concurrent, at.field("max_concurrent"), violations);
    let concurrency_key = given.concurrency_key.map(|key| {
        let at = at.field("concurrency_key");
        let max_running = cap(key.max_running, at.field("max_running"), violations);
        ConcurrencyKey { label: key.label, max_running }
    });
    let start_rate = given.start_rate.and_then(|given| {
        rate::from_proto(given.per_second, given.burst, at.field("start_rate"), violations)
    });
    let mut quota_costs = BTreeMap::new();
    let costs = at.field("quota_costs");
    costs.check(violations, given.quota_costs.len() <= QUOTA_COSTS_MAX, || {
        format!("must have at most {QUOTA_COSTS_MAX} elements, has {}", given.quota_costs.len())
    });
    for (quota, cost) in given.quota_costs.iter().take(QUOTA_COSTS_MAX) {
        let at = costs.key(quota);
        let cost = number::unsigned(*cost, at, violations);
        if let Some(quota) = at.take(violations, QuotaName::new(quota)) {
            quota_costs.insert(quota, cost);
        }
    }
    let circuit = given.circuit.map(|given| circuit(&given, at.field("circuit"), violations));
    let rules = at.field("retry_rules");
    rules.check(violations, given.retry_rules.len() <= RETRY_RULES_MAX, || {
        format!("must have at most {RETRY_RULES_MAX} elements, has {}", given.retry_rules.len())
    });
    let retry_rules = given.retry_rules.into_iter().take(RETRY_RULES_MAX).enumerate();
    let retry_rules =
        retry_rules.map(|(place, given)| rule(given, rules.index(place), violations)).collect();
    Some(JobTypeSpec {
        display_name: given.display_name,
        category,
        description: given.description,
        disabled: given.disabled,
        disabled_reason: given.disabled_reason,
        defaults: defaults.unwrap_or_default(),
        schedule,
        expected,
        max_concurrent,
        concurrency_key,
        start_rate,
        quota_costs,
        circuit,
        retry_rules,
        ..JobTypeSpec::new(name?)
    })
}

/// A name that may be left out.
fn optional<T, E: std::fmt::Display>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<T> {
    if text.is_empty() { None } else { at.take(violations, parse(text)) }
}

fn cap(value: i64, at: Path<'_>, violations: &mut Violations) -> u32 {
    let cap = u32::try_from(value).ok();
    at.check(violations, cap.is_some(), || {
        format!("must be from 0 to {}, is {value}", crate::domain::limits::CAP_MAX)
    });
    cap.unwrap_or_default()
}

fn defaults(given: v1::JobDefaults, at: Path<'_>, violations: &mut Violations) -> JobDefaults {
    let mut span =
        |length, name| time::optional_span(length, ANY, at.field(name), violations).flatten();
    let (timeout, stuck_after) =
        (span(given.timeout, "timeout"), span(given.stuck_after, "stuck_after"));
    let retention = span(given.retention, "retention");
    JobDefaults {
        queue: optional(&given.queue, QueueName::new, at.field("queue"), violations),
        priority: enums::read(given.priority, at.field("priority"), violations).flatten(),
        retry_policy: retry::from_proto(given.retry_policy, at.field("retry_policy"), violations),
        timeout,
        stuck_after,
        on_stuck: enums::read(given.on_stuck, at.field("on_stuck"), violations).flatten(),
        limits: usage::limits_from_proto(given.limits, at.field("limits"), violations),
        labels: given.labels,
        retention,
    }
}

/// A breaker as it is written; what is wrong with it is noted.
pub(super) fn circuit(
    given: &v1::Circuit,
    at: Path<'_>,
    violations: &mut Violations,
) -> CircuitSpec {
    let mut span =
        |length, name| time::optional_span(length, ANY, at.field(name), violations).flatten();
    let (window, probe_after) =
        (span(given.window, "window"), span(given.probe_after, "probe_after"));
    let counts = if given.count_attempts { CircuitCounts::Attempts } else { CircuitCounts::Final };
    let max_failures = number::small(given.max_failures, at.field("max_failures"), violations);
    CircuitSpec { max_failures, window, probe_after, counts }
}

fn rule(given: v1::RetryRule, at: Path<'_>, violations: &mut Violations) -> RetryRule {
    let change = given.change.map(|change| {
        let at = at.field("change");
        let bytes = at.field("memory_bytes_max");
        Change {
            memory_factor: change.memory_factor,
            memory_bytes_max: number::unsigned(change.memory_bytes_max, bytes, violations),
            queue: optional(&change.queue, QueueName::new, at.field("queue"), violations),
            priority: enums::read(change.priority, at.field("priority"), violations).flatten(),
            avoid_worker: change.avoid_worker,
        }
    });
    RetryRule {
        codes: given.codes,
        retry: !given.no_retry,
        delays: retry::delays(&given.delays, at.field("delays"), violations),
        change: change.unwrap_or_default(),
    }
}

/// A type as a message.
#[must_use]
pub fn to_proto(info: &TypeInfo) -> v1::JobType {
    let spec = &info.spec;
    let has_defaults = !spec.defaults.is_empty() || info.payload.is_some();
    let costs = spec.quota_costs.iter();
    let default = info.default_circuit.as_ref();
    v1::JobType {
        r#type: spec.job_type.to_string(),
        display_name: spec.display_name.clone(),
        category: spec.category.as_ref().map(ToString::to_string).unwrap_or_default(),
        description: spec.description.clone(),
        disabled: spec.disabled,
        disabled_reason: spec.disabled_reason.clone(),
        origin: info.origin.to_wire(),
        can_trigger: info.can_trigger(),
        revision: info.revision,
        create_time: info.times.map(|(created, _)| time::to_proto(created)),
        update_time: info.times.map(|(_, updated)| time::to_proto(updated)),
        defaults: has_defaults.then(|| defaults_to_proto(info)),
        schedule: spec.schedule.as_ref().map(schedule::to_proto),
        expected: spec.expected.as_ref().map(|expected| v1::Expected {
            grace_period: Some(time::span_to_proto(expected.grace_period)),
        }),
        max_concurrent: spec.max_concurrent.into(),
        concurrency_key: spec.concurrency_key.as_ref().map(|key| v1::ConcurrencyKey {
            label: key.label.clone(),
            max_running: key.max_running.into(),
        }),
        start_rate: spec.start_rate.as_ref().map(|held| v1::StartRate {
            per_second: rate::per_second(held),
            burst: rate::burst(held),
        }),
        quota_costs: costs.map(|(quota, cost)| (quota.to_string(), signed(*cost))).collect(),
        circuit: spec.circuit.as_ref().map(|spec| circuit_to_proto(spec, info.circuit.as_ref())),
        default_circuit: default.map(|spec| circuit_to_proto(spec, info.circuit.as_ref())),
        retry_rules: spec.retry_rules.iter().map(rule_to_proto).collect(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn defaults_to_proto(info: &TypeInfo) -> v1::JobDefaults {
    let defaults = &info.spec.defaults;
    v1::JobDefaults {
        queue: defaults.queue.as_ref().map(ToString::to_string).unwrap_or_default(),
        priority: defaults.priority.map_or(0, enums::Named::to_wire),
        retry_policy: retry::patch_to_proto(&defaults.retry_policy),
        timeout: defaults.timeout.map(time::span_to_proto),
        stuck_after: defaults.stuck_after.map(time::span_to_proto),
        on_stuck: defaults.on_stuck.map_or(0, enums::Named::to_wire),
        limits: usage::limits_to_proto(&defaults.limits),
        labels: defaults.labels.clone(),
        retention: defaults.retention.map(time::span_to_proto),
        payload: info.payload.clone(),
    }
}

/// A breaker as a message, with how it stands.
pub(super) fn circuit_to_proto(spec: &CircuitSpec, state: Option<&CircuitState>) -> v1::Circuit {
    let next_probe_time = state.and_then(|state| match state.phase {
        CircuitPhase::Closed { .. } => None,
        CircuitPhase::Open { next_probe_time, .. }
        | CircuitPhase::HalfOpen { next_probe_time, .. } => Some(time::to_proto(next_probe_time)),
    });
    v1::Circuit {
        max_failures: i32::try_from(spec.max_failures).unwrap_or(i32::MAX),
        window: spec.window.map(time::span_to_proto),
        probe_after: spec.probe_after.map(time::span_to_proto),
        count_attempts: spec.counts == CircuitCounts::Attempts,
        state: circuit_state(state).into(),
        next_probe_time,
    }
}

/// How a breaker stands; unspecified if there is none.
#[must_use]
pub fn circuit_state(state: Option<&CircuitState>) -> v1::CircuitState {
    match state.map(|state| &state.phase) {
        None => v1::CircuitState::Unspecified,
        Some(CircuitPhase::Closed { .. }) => v1::CircuitState::Closed,
        Some(CircuitPhase::Open { .. }) => v1::CircuitState::Open,
        Some(CircuitPhase::HalfOpen { .. }) => v1::CircuitState::HalfOpen,
    }
}

fn rule_to_proto(rule: &RetryRule) -> v1::RetryRule {
    let change = (!rule.change.is_none()).then(|| v1::retry_rule::Change {
        memory_factor: rule.change.memory_factor,
        memory_bytes_max: signed(rule.change.memory_bytes_max),
        queue: rule.change.queue.as_ref().map(ToString::to_string).unwrap_or_default(),
        priority: rule.change.priority.map_or(0, enums::Named::to_wire),
        avoid_worker: rule.change.avoid_worker,
    });
    v1::RetryRule {
        codes: rule.codes.clone(),
        no_retry: !rule.retry,
        delays: rule.delays.iter().copied().map(time::span_to_proto).collect(),
        change,
    }
}
