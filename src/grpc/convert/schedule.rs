//! Schedules.

use std::time::Duration;

use crate::domain::schedule::ScheduleSpec;
use crate::domain::schedule::expected::Expected;
use crate::domain::validate::Violations;
use crate::proto::v1;
use crate::proto::v1::schedule::Times;

use super::enums::Named as _;
use super::path::Path;
use super::{enums, time};

/// Any length of time: the domain bounds it.
pub(super) const ANY: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

/// A schedule; whether its times make sense is for the domain to say.
pub(super) fn read(
    schedule: v1::Schedule,
    at: Path<'_>,
    violations: &mut Violations,
) -> ScheduleSpec {
    let (mut cron, mut interval) = (String::new(), None);
    match schedule.times {
        Some(Times::Cron(text)) => cron = text,
        Some(Times::Interval(length)) => {
            interval = time::span(length, ANY, at.field("interval"), violations);
        }
        None => {}
    }
    let policy = schedule.overlap_policy;
    let policy = enums::read(policy, at.field("overlap_policy"), violations).flatten();
    let mut moment = |given: Option<prost_types::Timestamp>, name| {
        given.and_then(|given| time::moment(given, at.field(name), violations))
    };
    let start_time = moment(schedule.start_time, "start_time");
    let end_time = moment(schedule.end_time, "end_time");
    let mut span =
        |length, name| time::optional_span(length, ANY, at.field(name), violations).flatten();
    ScheduleSpec {
        cron,
        interval,
        time_zone: schedule.time_zone,
        jitter: span(schedule.jitter, "jitter"),
        start_time,
        end_time,
        paused: schedule.paused,
        overlap_policy: policy.unwrap_or_default(),
        catch_up_window: span(schedule.catch_up_window, "catch_up_window"),
    }
}

/// A schedule to look ahead with.
pub fn from_proto(
    schedule: v1::Schedule,
    field: &str,
    violations: &mut Violations,
) -> ScheduleSpec {
    read(schedule, Path::root(field), violations)
}

/// A schedule as a message.
#[must_use]
pub fn to_proto(schedule: &ScheduleSpec) -> v1::Schedule {
    let interval = schedule.interval.map(|length| Times::Interval(time::span_to_proto(length)));
    let cron = (!schedule.cron.is_empty()).then(|| Times::Cron(schedule.cron.clone()));
    v1::Schedule {
        times: interval.or(cron),
        time_zone: schedule.time_zone.clone(),
        jitter: schedule.jitter.map(time::span_to_proto),
        start_time: schedule.start_time.map(time::to_proto),
        end_time: schedule.end_time.map(time::to_proto),
        paused: schedule.paused,
        overlap_policy: schedule.overlap_policy.to_wire(),
        catch_up_window: schedule.catch_up_window.map(time::span_to_proto),
    }
}

pub(super) fn expected(
    expected: &v1::Expected,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Expected> {
    let at = at.field("grace_period");
    let Some(length) = expected.grace_period else {
        at.wrong(violations, "must be set");
        return None;
    };
    time::span(length, ANY, at, violations).map(|grace_period| Expected { grace_period })
}
