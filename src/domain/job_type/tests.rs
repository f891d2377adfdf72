//! Who says what of a job, and what may be said.

use std::time::Duration;

use uuid::Uuid;

use super::gate::{Standing, TriggerRefusal, circuit_of, skip_at_create, trigger};
use super::*;
use crate::domain::circuit::CircuitReport;
use crate::domain::job::{OnStuck, Priority};
use crate::domain::limits::LABELS_MAX;
use crate::domain::status::{Skip, SkipReason};
use crate::domain::validate::Violations;
use crate::domain::{JobId, JobSpec, QueueName, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn read(json: &str) -> JobTypeSpec {
    serde_json::from_str(json).unwrap()
}

fn full() -> JobTypeSpec {
    read(
        r#"{"type": "sync", "category": "sync", "defaults": {
            "queue": "bulk", "priority": "high", "on_stuck": "NOTIFY", "timeout": "1h",
            "retry_policy": {"max_attempts": 5, "delays": [60, "5m"]},
            "limits": {"memory_bytes": 1000}, "labels": {"team": "data", "tier": "2"},
            "retention": "7days"},
            "retry_rules": [{"codes": ["BAD_*"], "retry": false}]}"#,
    )
}

fn draft() -> Draft {
    Draft::new(JobSpec::new(JobType::new("sync").unwrap(), QueueName::default()))
}

fn wrong(definition: &JobTypeSpec) -> Vec<String> {
    let mut violations = Violations::default();
    definition.validate("job_type.", &mut violations);
    violations.as_slice().iter().map(|violation| violation.field.clone()).collect()
}

#[test]
fn a_job_of_which_nothing_is_said_is_as_its_type_says() {
    let definition = full();
    assert_eq!(wrong(&definition), Vec::<String>::new());
    let spec = draft().complete(Some(&definition));
    assert_eq!((spec.queue.as_str(), spec.priority), ("bulk", Priority::High));
    assert_eq!((spec.on_stuck, spec.timeout), (OnStuck::Notify, Some(Duration::from_secs(3_600))));
    assert_eq!(spec.retry_policy.max_attempts, 5);
    assert_eq!(spec.retry_policy.delay(9, 1.0), Duration::from_secs(300));
    assert_eq!(spec.limits.memory_bytes, 1_000);
    assert_eq!(spec.labels["team"], "data");
    assert_eq!(spec.retention, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(spec.retry_rules, definition.retry_rules);
}

#[test]
fn without_a_type_the_server_says() {
    let spec = draft().complete(None);
    assert_eq!(spec, JobSpec::new(JobType::new("sync").unwrap(), QueueName::default()));
}

#[test]
fn what_the_creator_says_wins() {
    let mut asked = draft();
    asked.queue = Some(QueueName::new("mine").unwrap());
    asked.priority = Some(Priority::Normal);
    asked.on_stuck = Some(OnStuck::Fail);
    asked.rest.timeout = Some(Duration::from_secs(5));
    asked.rest.labels.insert("team".to_owned(), "web".to_owned());
    asked.rest.limits.memory_bytes = 7;
    asked.retry_policy.initial_backoff = Some(Duration::from_secs(1));
    let spec = asked.complete(Some(&full()));
    assert_eq!((spec.queue.as_str(), spec.priority), ("mine", Priority::Normal));
    assert_eq!((spec.on_stuck, spec.timeout), (OnStuck::Fail, Some(Duration::from_secs(5))));
    assert_eq!((spec.labels["team"].as_str(), spec.labels["tier"].as_str()), ("web", "2"));
    assert_eq!(spec.limits.memory_bytes, 7);
    // A back-off of its own stands instead of the type's list, and the attempts stay the type's.
    assert_eq!(spec.retry_policy.delay(2, 0.0), Duration::from_secs(2));
    assert_eq!(spec.retry_policy.max_attempts, 5);
}

#[test]
fn a_job_that_its_creator_starts_is_tried_once() {
    let mut asked = Draft { started: true, ..draft() };
    assert_eq!(asked.clone().complete(Some(&full())).retry_policy.max_attempts, 1);
    asked.retry_policy.max_attempts = Some(4);
    assert_eq!(asked.complete(Some(&full())).retry_policy.max_attempts, 4);
}

#[test]
fn labels_of_the_type_do_not_crowd_out_those_of_the_job() {
    let mut asked = draft();
    asked.rest.labels = (1..LABELS_MAX).map(|n| (format!("l{n}"), String::new())).collect();
    let spec = asked.complete(Some(&full()));
    assert_eq!((spec.labels.len(), spec.labels.contains_key("tier")), (LABELS_MAX, false));
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let definition = read(
        r#"{"type": "-", "display_name": "a\u0000b", "category": "", "max_concurrent": 4000000000,
            "concurrency_key": {"label": "", "max_running": 0}, "expected": {"grace_period": 0},
            "quota_costs": {"": 0}, "start_rate": {"count": 0, "period": "1s"},
            "circuit": {"max_failures": 1000},
            "defaults": {"queue": "no good", "timeout": "1ms", "retention": "1h",
                "labels": {"": "x"}, "limits": {"cpu_percent": -1.0},
                "retry_policy": {"max_attempts": 0, "jitter": 2.0}},
            "retry_rules": [{"codes": []}, {"codes": ["X"], "retry": false, "delays": [1],
                "change": {"memory_factor": 0.5}}]}"#,
    );
    let fields = [
        "type",
        "category",
        "quota_costs[\"\"]",
        "display_name",
        "max_concurrent",
        "concurrency_key.max_running",
        "concurrency_key.label",
        "expected.grace_period",
        "expected",
        "defaults.queue",
        "defaults.retry_policy.max_attempts",
        "defaults.retry_policy.jitter",
        "defaults.timeout",
        "defaults.retention",
        "defaults.limits.cpu_percent",
        "defaults.labels[\"\"]",
        "start_rate.count",
        "circuit.max_failures",
        "retry_rules[0].codes",
        "retry_rules[1].delays",
        "retry_rules[1].change",
        "retry_rules[1].change.memory_factor",
    ];
    assert_eq!(wrong(&definition), fields.map(|field| format!("job_type.{field}")));
}

#[test]
fn a_definition_is_the_same_after_a_way_through_the_store_and_newer_fields_do_no_harm() {
    let definition = full();
    let stored = rmp_serde::to_vec_named(&definition).unwrap();
    assert_eq!(rmp_serde::from_slice::<JobTypeSpec>(&stored).unwrap(), definition);
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(read(&json), definition);
    assert_eq!(read(r#"{"type": "sync", "colour": "red"}"#).job_type.as_str(), "sync");
}

fn standing() -> Standing {
    Standing { origin: TypeOrigin::Declared, running: 0, queue_paused: None }
}

fn open() -> (CircuitSpec, TypeState) {
    let circuit = CircuitSpec { max_failures: 1, ..CircuitSpec::default() };
    let mut state = TypeState::default();
    let job = JobId(Uuid::nil());
    state.circuit = state.circuit.after(&circuit, job, CircuitReport::Failed, NOW).unwrap().0;
    (circuit, state)
}

#[test]
fn a_trigger_is_refused_for_what_stands_in_its_way() {
    let mut definition = JobTypeSpec::new(JobType::new("sync").unwrap());
    definition.max_concurrent = 1;
    let (circuit, state) = open();
    let next_probe_time = NOW.plus(Duration::from_secs(300));
    let ask = |definition: &JobTypeSpec, standing| {
        trigger(definition, &circuit, &state, standing, NOW).unwrap_err()
    };
    let wait = Duration::from_secs(300);
    let open = TriggerRefusal::CircuitOpen { next_probe_time, wait };
    assert_eq!(ask(&definition, standing()), open);
    let paused = Standing { queue_paused: Some("night".to_owned()), ..standing() };
    let refused = TriggerRefusal::QueuePaused { reason: "night".to_owned() };
    assert_eq!(ask(&definition, paused.clone()), refused);
    let busy = Standing { running: 1, ..paused };
    let refused = TriggerRefusal::AlreadyRunning { running: 1, max_concurrent: 1 };
    assert_eq!(ask(&definition, busy.clone()), refused);
    definition.disabled = true;
    definition.disabled_reason = "a fire".into();
    let refused = ask(&definition, busy.clone());
    assert_eq!(refused, TriggerRefusal::TypeDisabled { reason: "a fire".to_owned() });
    assert_eq!(refused.to_string(), "the type is disabled: a fire");
    let observed = Standing { origin: TypeOrigin::Observed, ..busy };
    assert_eq!(ask(&definition, observed), TriggerRefusal::TypeNotDeclared);
    definition.disabled = false;
    let closed = TypeState::default();
    assert_eq!(trigger(&definition, &circuit, &closed, standing(), NOW), Ok(()));
    assert_eq!(trigger(&definition, &circuit, &state, standing(), next_probe_time), Ok(()));
}

#[test]
fn a_job_of_a_type_that_may_not_run_is_made_skipped() {
    let (circuit, state) = open();
    let skip = |definition, now| skip_at_create(definition, &circuit, &state, now);
    let probe_time = NOW.plus(Duration::from_secs(300));
    let open = Skip { reason: SkipReason::CircuitOpen, until: Some(probe_time) };
    assert_eq!(skip(None, NOW), Some(open));
    assert_eq!(skip(None, probe_time), None);
    let mut definition = full();
    definition.disabled = true;
    assert_eq!(skip(Some(&definition), NOW), Some(SkipReason::TypeDisabled.into()));
    assert_eq!(circuit_of(Some(&definition), &circuit), &circuit);
    definition.circuit = Some(CircuitSpec::default());
    assert_eq!(circuit_of(Some(&definition), &circuit).max_failures, 0);
}

#[test]
fn while_a_probe_runs_on_nobody_is_told_to_ask_at_once() {
    let (circuit, mut state) = open();
    let wait = Duration::from_secs(300);
    let began = NOW.plus(wait);
    state.circuit = state.circuit.begin_probe(&circuit, JobId(Uuid::max()), began).unwrap();
    let definition = JobTypeSpec::new(JobType::new("sync").unwrap());
    // The next one might try from 300 s after the start of this one on.
    for (after, told) in [(299, 300), (300, 600), (1_000, 1_300)] {
        let [now, told] = [after, told].map(|it| began.plus(Duration::from_secs(it)));
        let skip = skip_at_create(None, &circuit, &state, now).unwrap();
        assert_eq!(skip.until, Some(told), "{after} s");
        let refused = trigger(&definition, &circuit, &state, standing(), now).unwrap_err();
        let wait = told.since(now);
        assert_eq!(refused, TriggerRefusal::CircuitOpen { next_probe_time: told, wait });
    }
}

#[test]
fn a_grace_longer_than_the_jobs_are_kept_is_refused() {
    let of = |grace: &str, retention: &str| {
        wrong(&read(&format!(
            r#"{{"type": "sync", "schedule": {{"cron": "@weekly"}},
                "expected": {{"grace_period": "{grace}"}}, "defaults": {{{retention}}}}}"#
        )))
    };
    assert_eq!(of("2days", r#""retention": "1day""#), ["job_type.expected.grace_period"]);
    assert!(of("1day", r#""retention": "1day""#).is_empty());
    assert!(of("2days", "").is_empty(), "what the server says is not known here");
}
