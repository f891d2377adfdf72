//! What was asked.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::job_type::Draft;
use crate::domain::limits::{
    PAYLOAD_BYTES_MAX, RETENTION_MAX, RETENTION_MIN, SPAN_MAX, TEXT_BYTES_MAX, TIMEOUT_MIN,
};
use crate::domain::validate::Violations;
use crate::domain::{JobSpec, JobType, QueueName, Timestamp};
use crate::proto::v1;

use super::enums::Named as _;
use super::job::View;
use super::path::{Path, is_clean};
use super::{enums, labels, opaque, retry, text, time, usage};

/// The earliest `expire_time`: sooner than this the job cannot have been meant to run.
const EXPIRE_AHEAD_MIN: Duration = TIMEOUT_MIN;
const TIMEOUT: RangeInclusive<Duration> = TIMEOUT_MIN..=SPAN_MAX;

/// What a creator says of a job; the rest is for its type to say.
pub fn from_proto(
    spec: Option<v1::JobSpec>,
    prefix: &str,
    now: Timestamp,
    violations: &mut Violations,
) -> Option<Draft> {
    let at = Path::root(prefix);
    let Some(spec) = spec else {
        at.wrong(violations, "must be set");
        return None;
    };
    let before = violations.as_slice().len();
    check_texts(&spec, at, violations);
    let job_type = at.field("type").take(violations, JobType::new(&spec.r#type));
    let queue = Some(spec.queue.as_str()).filter(|name| !name.is_empty());
    let queue = queue.and_then(|name| at.field("queue").take(violations, QueueName::new(name)));
    let priority = enums::read(spec.priority, at.field("priority"), violations).flatten();
    let on_stuck = enums::read(spec.on_stuck, at.field("on_stuck"), violations).flatten();
    let policy = at.field("unique_policy");
    let unique_policy = enums::read(spec.unique_policy, policy, violations).flatten();
    let (schedule_time, expire_time) = times(&spec, at, now, violations);
    let retry_policy = retry::from_proto(spec.retry_policy, at.field("retry_policy"), violations);
    let limits = usage::limits_from_proto(spec.limits, at.field("limits"), violations);
    let mut span = |length, range, name| {
        time::optional_span(length, range, at.field(name), violations).flatten()
    };
    let timeout = span(spec.timeout, TIMEOUT, "timeout");
    let stuck_after = span(spec.stuck_after, TIMEOUT, "stuck_after");
    let retention = span(spec.retention, RETENTION_MIN..=RETENTION_MAX, "retention");
    let estimated_duration =
        span(spec.estimated_duration, Duration::ZERO..=SPAN_MAX, "estimated_duration");
    if !is_clean(violations, before) {
        return None;
    }
    let rest = JobSpec {
        payload: spec.payload,
        labels: spec.labels,
        owner: spec.owner,
        subject: spec.subject,
        external_id: spec.external_id,
        schedule_time,
        timeout,
        stuck_after,
        expire_time,
        estimated_duration,
        limits,
        unique_key: spec.unique_key,
        unique_policy: unique_policy.unwrap_or_default(),
        traceparent: spec.traceparent,
        retention,
        ..JobSpec::new(job_type?, QueueName::default())
    };
    Some(Draft { queue, priority, retry_policy, on_stuck, ..Draft::new(rest) })
}

fn check_texts(spec: &v1::JobSpec, at: Path<'_>, violations: &mut Violations) {
    if let Some(payload) = &spec.payload {
        opaque::check_at(payload, PAYLOAD_BYTES_MAX, at.field("payload"), violations);
    }
    labels::check(&spec.labels, at.field("labels"), violations);
    for (value, name) in [
        (&spec.owner, "owner"),
        (&spec.subject, "subject"),
        (&spec.external_id, "external_id"),
        (&spec.unique_key, "unique_key"),
        (&spec.traceparent, "traceparent"),
    ] {
        text::key(value, TEXT_BYTES_MAX, at.field(name), violations);
    }
}

/// When it is to run and when it expires: the latter after the former and at least a second ahead.
fn times(
    spec: &v1::JobSpec,
    at: Path<'_>,
    now: Timestamp,
    violations: &mut Violations,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let schedule =
        time::schedule(spec.schedule_time, now, at.field("schedule_time"), violations).flatten();
    let path = at.field("expire_time");
    let expire = spec.expire_time.and_then(|expire| time::moment(expire, path, violations));
    if let Some(expire) = expire {
        path.check(violations, expire >= now.plus(EXPIRE_AHEAD_MIN), || {
            format!("must be at least {} s ahead", EXPIRE_AHEAD_MIN.as_secs_f64())
        });
        path.check(violations, schedule.is_none_or(|schedule| expire > schedule), || {
            "must be after schedule_time".to_owned()
        });
    }
    (schedule, expire)
}

/// A spec as a message.
#[must_use]
pub fn to_proto(spec: &JobSpec, view: View) -> v1::JobSpec {
    v1::JobSpec {
        r#type: spec.job_type.to_string(),
        queue: spec.queue.to_string(),
        priority: spec.priority.to_wire(),
        payload: spec.payload.clone().filter(|_| view == View::Full),
        labels: spec.labels.clone(),
        owner: spec.owner.clone(),
        subject: spec.subject.clone(),
        external_id: spec.external_id.clone(),
        schedule_time: spec.schedule_time.map(time::to_proto),
        expire_time: spec.expire_time.map(time::to_proto),
        timeout: spec.timeout.map(time::span_to_proto),
        stuck_after: spec.stuck_after.map(time::span_to_proto),
        on_stuck: spec.on_stuck.to_wire(),
        estimated_duration: spec.estimated_duration.map(time::span_to_proto),
        retention: spec.retention.map(time::span_to_proto),
        retry_policy: Some(retry::to_proto(&spec.retry_policy)),
        limits: usage::limits_to_proto(&spec.limits),
        unique_key: spec.unique_key.clone(),
        unique_policy: spec.unique_policy.to_wire(),
        traceparent: spec.traceparent.clone(),
    }
}
