#![expect(clippy::float_cmp, reason = "exact by construction")]

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::domain::job_type::Draft;
use crate::domain::limits::{
    ATTEMPTS_MAX, LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, PAYLOAD_BYTES_MAX,
    RETENTION_MAX, RETENTION_MIN, RETRY_DELAY_MAX, RETRY_DELAYS_MAX, SPAN_MAX, TEXT_BYTES_MAX,
    TIMEOUT_MIN,
};
use crate::domain::{JobSpec, Priority, QueueName, RetryPolicy};
use crate::grpc::convert::{View, spec, time};
use crate::proto::v1;

use super::{NOW, checked, span};

fn minimal() -> v1::JobSpec {
    v1::JobSpec { r#type: "tick_sync".to_owned(), ..Default::default() }
}

fn read(spec: v1::JobSpec) -> Result<JobSpec, Vec<String>> {
    checked(|v| spec::from_proto(Some(spec), "spec", NOW, v)).map(|draft| draft.complete(None))
}

/// Changes a minimal spec and reads it.
fn with(change: impl FnOnce(&mut v1::JobSpec)) -> Result<JobSpec, Vec<String>> {
    let mut spec = minimal();
    change(&mut spec);
    read(spec)
}

fn with_policy(change: impl FnOnce(&mut v1::RetryPolicy)) -> Result<RetryPolicy, Vec<String>> {
    let mut policy = v1::RetryPolicy::default();
    change(&mut policy);
    with(|spec| spec.retry_policy = Some(policy)).map(|spec| spec.retry_policy)
}

fn wrong<T: std::fmt::Debug>(found: Result<T, Vec<String>>, field: &str) {
    assert_eq!(found.expect_err("wrong"), [field]);
}

#[test]
fn a_type_alone_is_enough() {
    let spec = with(|_| {}).expect("valid");
    assert_eq!(spec.queue, QueueName::default());
    assert_eq!(spec.priority, Priority::Normal);
    assert_eq!(spec.retry_policy, RetryPolicy::default());
    assert_eq!((spec.schedule_time, spec.expire_time, spec.timeout), (None, None, None));
    wrong(checked(|v| spec::from_proto(None, "spec", NOW, v)), "spec");
}

#[test]
fn a_job_started_by_its_creator_is_tried_once() {
    let started = |spec| {
        let draft = checked(|v| spec::from_proto(Some(spec), "spec", NOW, v));
        draft.map(|draft| Draft { started: true, ..draft }.complete(None))
    };
    assert_eq!(started(minimal()).expect("valid").retry_policy.max_attempts, 1);
    let mut spec = minimal();
    spec.retry_policy = Some(v1::RetryPolicy { max_attempts: 5, ..Default::default() });
    assert_eq!(started(spec).expect("valid").retry_policy.max_attempts, 5);
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    let found = with(|spec| {
        spec.r#type = "no spaces".to_owned();
        spec.queue = "jobplane.own".to_owned();
        spec.priority = 99;
        spec.payload = Some(Bytes::from_static(b"{}"));
        spec.labels = [(String::new(), "v".to_owned())].into_iter().collect();
        spec.owner = "o".repeat(257);
        spec.subject = "nul\0".to_owned();
        spec.on_stuck = -1;
        spec.unique_policy = 3;
        spec.timeout = Some(span(0, 999_999_999));
        spec.stuck_after = Some(span(-5, 0));
        spec.expire_time = Some(time::to_proto(NOW));
        spec.retention = Some(span(60, 0));
        spec.retry_policy = Some(v1::RetryPolicy {
            max_attempts: 101,
            jitter: Some(f64::NAN),
            delays: vec![span(1, 0), span(-1, 0)],
            ..Default::default()
        });
        spec.limits = Some(v1::ResourceLimits { memory_bytes: -1, cpu_percent: f64::INFINITY });
    });
    let mut found = found.expect_err("invalid");
    found.sort();
    let expected = [
        "spec.expire_time",
        "spec.labels[\"\"]",
        "spec.limits.cpu_percent",
        "spec.limits.memory_bytes",
        "spec.on_stuck",
        "spec.owner",
        "spec.payload",
        "spec.priority",
        "spec.queue",
        "spec.retention",
        "spec.retry_policy.delays[1]",
        "spec.retry_policy.jitter",
        "spec.retry_policy.max_attempts",
        "spec.stuck_after",
        "spec.subject",
        "spec.timeout",
        "spec.type",
        "spec.unique_policy",
    ];
    assert_eq!(found, expected);
}

#[test]
fn names_and_texts_keep_their_bounds() {
    assert!(with(|spec| spec.r#type = "t".repeat(128)).is_ok());
    wrong(with(|spec| spec.r#type = "t".repeat(129)), "spec.type");
    wrong(with(|spec| spec.r#type = String::new()), "spec.type");
    assert!(with(|spec| spec.unique_key = "k".repeat(TEXT_BYTES_MAX)).is_ok());
    wrong(with(|spec| spec.unique_key = "k".repeat(TEXT_BYTES_MAX + 1)), "spec.unique_key");
    wrong(with(|spec| spec.external_id = "x".repeat(TEXT_BYTES_MAX + 1)), "spec.external_id");
    wrong(with(|spec| spec.traceparent = "x".repeat(TEXT_BYTES_MAX + 1)), "spec.traceparent");
}

#[test]
fn labels_keep_their_bounds() {
    let labels = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect();
    assert!(with(|spec| spec.labels = labels(LABELS_MAX)).is_ok());
    wrong(with(|spec| spec.labels = labels(LABELS_MAX + 1)), "spec.labels");
    wrong(with(|spec| spec.labels = labels(10_000)), "spec.labels");
    let one = |key: usize, value: usize| {
        with(|spec| spec.labels = [("k".repeat(key), "v".repeat(value))].into_iter().collect())
    };
    assert!(one(LABEL_KEY_BYTES_MAX, LABEL_VALUE_BYTES_MAX).is_ok());
    assert!(one(LABEL_KEY_BYTES_MAX + 1, 0).is_err());
    wrong(one(1, LABEL_VALUE_BYTES_MAX + 1), "spec.labels[\"k\"]");
}

#[test]
fn times_keep_their_bounds() {
    let at = |ahead: Duration| Some(time::to_proto(NOW.plus(ahead)));
    let second = Duration::from_secs(1);
    assert!(with(|spec| spec.expire_time = at(second)).is_ok());
    let sooner = second.saturating_sub(Duration::from_micros(1));
    wrong(with(|spec| spec.expire_time = at(sooner)), "spec.expire_time");
    let both = |schedule, expire| {
        with(|spec| {
            spec.schedule_time = at(schedule);
            spec.expire_time = at(expire);
        })
    };
    assert!(both(5 * second, 6 * second).is_ok());
    wrong(both(5 * second, 5 * second), "spec.expire_time");
    let past = Some(time::to_proto(NOW.minus(second)));
    assert!(with(|spec| spec.schedule_time = past).is_ok());
    let broken = Some(prost_types::Timestamp { seconds: 0, nanos: -1 });
    wrong(with(|spec| spec.schedule_time = broken), "spec.schedule_time");
}

#[test]
fn spans_keep_their_bounds() {
    let wire = |span| Some(time::span_to_proto(span));
    let nano = Duration::from_nanos(1);
    assert!(with(|spec| spec.timeout = wire(TIMEOUT_MIN)).is_ok());
    assert!(with(|spec| spec.timeout = wire(SPAN_MAX)).is_ok());
    wrong(with(|spec| spec.timeout = wire(SPAN_MAX + nano)), "spec.timeout");
    wrong(
        with(|spec| spec.stuck_after = wire(TIMEOUT_MIN.saturating_sub(nano))),
        "spec.stuck_after",
    );
    assert!(with(|spec| spec.retention = wire(RETENTION_MIN)).is_ok());
    assert!(with(|spec| spec.retention = wire(RETENTION_MAX)).is_ok());
    wrong(with(|spec| spec.retention = wire(RETENTION_MIN.saturating_sub(nano))), "spec.retention");
    wrong(with(|spec| spec.retention = wire(RETENTION_MAX + nano)), "spec.retention");
    let estimate = |span| with(|spec| spec.estimated_duration = Some(span));
    assert!(estimate(span(0, 0)).is_ok());
    wrong(estimate(span(0, -1)), "spec.estimated_duration");
}

#[test]
fn the_retry_policy_keeps_its_bounds() {
    let max = i32::try_from(ATTEMPTS_MAX).expect("small");
    assert_eq!(with_policy(|p| p.max_attempts = 1).expect("valid").max_attempts, 1);
    assert!(with_policy(|p| p.max_attempts = max).is_ok());
    wrong(with_policy(|p| p.max_attempts = max + 1), "spec.retry_policy.max_attempts");
    wrong(with_policy(|p| p.max_attempts = -1), "spec.retry_policy.max_attempts");
    assert!(with_policy(|p| p.backoff_multiplier = 1.0).is_ok());
    for multiplier in [0.99, -1.0, f64::NAN, f64::INFINITY] {
        let found = with_policy(|p| p.backoff_multiplier = multiplier);
        wrong(found, "spec.retry_policy.backoff_multiplier");
    }
    for jitter in [0.0, 1.0] {
        assert_eq!(with_policy(|p| p.jitter = Some(jitter)).expect("valid").jitter, jitter);
    }
    wrong(with_policy(|p| p.jitter = Some(1.01)), "spec.retry_policy.jitter");
    let delays = |count| with_policy(|p| p.delays = vec![span(1, 0); count]);
    assert!(delays(RETRY_DELAYS_MAX).is_ok());
    wrong(delays(RETRY_DELAYS_MAX + 1), "spec.retry_policy.delays");
    let longest = time::span_to_proto(RETRY_DELAY_MAX);
    assert!(with_policy(|p| p.initial_backoff = Some(longest)).is_ok());
    wrong(
        with_policy(|p| {
            p.initial_backoff = Some(span(10, 0));
            p.max_backoff = Some(span(9, 0));
        }),
        "spec.retry_policy.max_backoff",
    );
}

#[test]
fn a_delay_list_is_not_spread_unless_it_says_so() {
    let listed = with_policy(|p| p.delays = vec![span(1, 0)]).expect("valid");
    assert_eq!(listed.jitter, 0.0);
    let spread = with_policy(|p| {
        p.delays = vec![span(1, 0)];
        p.jitter = Some(0.5);
    });
    assert_eq!(spread.expect("valid").jitter, 0.5);
}

#[test]
fn a_first_wait_beyond_the_default_cap_is_kept() {
    let policy = with_policy(|p| p.initial_backoff = Some(span(7_200, 0))).expect("valid");
    assert_eq!(policy.delay(1, 0.0), Duration::from_secs(7_200));
}

#[test]
fn a_payload_of_300_kilobytes_is_refused() {
    let payload = Bytes::from(vec![0; 300 * 1024]);
    assert!(payload.len() > PAYLOAD_BYTES_MAX);
    wrong(with(|spec| spec.payload = Some(payload)), "spec.payload");
}

#[test]
fn a_spec_comes_back_as_it_went() {
    let payload = prost_types::Struct::default();
    let spec = with(|spec| {
        spec.queue = "bulk".to_owned();
        spec.priority = v1::Priority::Urgent.into();
        spec.payload = Some(payload.encode_to_vec().into());
        spec.labels = [("team".to_owned(), "data".to_owned())].into_iter().collect();
        spec.owner = "o".to_owned();
        spec.subject = "s".to_owned();
        spec.external_id = "e".to_owned();
        spec.schedule_time = Some(time::to_proto(NOW.plus(Duration::from_secs(60))));
        spec.expire_time = Some(time::to_proto(NOW.plus(Duration::from_secs(120))));
        spec.timeout = Some(span(30, 5_000));
        spec.stuck_after = Some(span(10, 0));
        spec.on_stuck = v1::OnStuck::Notify.into();
        spec.estimated_duration = Some(span(3, 0));
        spec.retention = Some(span(24 * 3600, 0));
        spec.retry_policy = Some(v1::RetryPolicy {
            max_attempts: 7,
            delays: vec![span(1, 0), span(2, 0)],
            ..Default::default()
        });
        spec.limits = Some(v1::ResourceLimits { memory_bytes: 1 << 30, cpu_percent: 150.0 });
        spec.unique_key = "u".to_owned();
        spec.unique_policy = v1::UniquePolicy::ReturnExisting.into();
        spec.traceparent = "t".to_owned();
    })
    .expect("valid");
    assert_eq!(read(spec::to_proto(&spec, View::Full)), Ok(spec.clone()));
    let basic = spec::to_proto(&spec, View::Basic);
    assert_eq!(basic.payload, None);
    assert_eq!(read(basic), Ok(JobSpec { payload: None, ..spec }));
}
