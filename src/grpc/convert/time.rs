//! Moments and lengths of time.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::Timestamp;
use crate::domain::limits::{
    ACQUIRE_WAIT_DEFAULT, ACQUIRE_WAIT_MAX, CANCEL_GRACE_DEFAULT, CANCEL_GRACE_MAX, LEASE_TTL_MAX,
    LEASE_TTL_MIN, RETRY_DELAY_MAX, SCHEDULE_AHEAD_MAX, WATCH_INTERVAL_MAX,
};
use crate::domain::validate::Violations;

use super::path::Path;

/// Seconds of the years 1 to 9999, the moments a `google.protobuf.Timestamp` may name.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i32 = 1_000;
const NANOS: RangeInclusive<i32> = 0..=999_999_999;

/// A moment, to the microsecond.
pub(super) fn moment(
    time: prost_types::Timestamp,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Timestamp> {
    if !SECONDS.contains(&time.seconds) || !NANOS.contains(&time.nanos) {
        at.wrong(
            violations,
            "must be a time of the years 1 to 9999 with nanos from 0 to 999999999",
        );
        return None;
    }
    let micros = time.seconds * MICROS_PER_SECOND + i64::from(time.nanos / NANOS_PER_MICRO);
    Some(Timestamp::from_micros(micros))
}

/// A length of time within `range`.
pub(super) fn span(
    length: prost_types::Duration,
    range: RangeInclusive<Duration>,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Duration> {
    let seconds = u64::try_from(length.seconds);
    let nanos = u32::try_from(length.nanos).ok().filter(|_| NANOS.contains(&length.nanos));
    let (Ok(seconds), Some(nanos)) = (seconds, nanos) else {
        at.wrong(violations, "must not be negative, with nanos from 0 to 999999999");
        return None;
    };
    let length = Duration::new(seconds, nanos);
    at.check(violations, range.contains(&length), || {
        let (low, high) = (range.start().as_secs_f64(), range.end().as_secs_f64());
        format!("must be from {low} s to {high} s, is {} s", length.as_secs_f64())
    });
    range.contains(&length).then_some(length)
}

/// An optional length of time: `Some(None)` if unset, `None` if wrong.
#[expect(clippy::option_option, reason = "unset and wrong are two things")]
pub(super) fn optional_span(
    length: Option<prost_types::Duration>,
    range: RangeInclusive<Duration>,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Option<Duration>> {
    length.map_or(Some(None), |length| span(length, range, at, violations).map(Some))
}

fn or_default(
    length: Option<prost_types::Duration>,
    default: Duration,
    range: RangeInclusive<Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    length.map_or(Some(default), |length| span(length, range, Path::root(field), violations))
}

/// The grace of a cancel: 30 s if unset, at most an hour.
pub fn cancel_grace(
    length: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    or_default(length, CANCEL_GRACE_DEFAULT, Duration::ZERO..=CANCEL_GRACE_MAX, field, violations)
}

/// The lease of a session: `default` if unset, 10 s to 24 h.
pub fn lease_ttl(
    length: Option<prost_types::Duration>,
    default: Duration,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    or_default(length, default, LEASE_TTL_MIN..=LEASE_TTL_MAX, field, violations)
}

/// How long `AcquireJobs` waits: 30 s if unset, at most a minute.
pub fn acquire_wait(
    length: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    or_default(length, ACQUIRE_WAIT_DEFAULT, Duration::ZERO..=ACQUIRE_WAIT_MAX, field, violations)
}

/// The least time between two updates of a watch: `default` if unset, at most a minute.
pub fn min_interval(
    length: Option<prost_types::Duration>,
    default: Duration,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    or_default(length, default, Duration::ZERO..=WATCH_INTERVAL_MAX, field, violations)
}

/// The wait of a retry or of a job that is given back: `Some(None)` if unset, `None` if wrong.
pub fn delay(
    length: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Option<Duration>> {
    optional_span(length, Duration::ZERO..=RETRY_DELAY_MAX, Path::root(field), violations)
}

/// A moment: `Some(None)` if unset, `None` if wrong.
pub fn instant(
    time: Option<prost_types::Timestamp>,
    field: &str,
    violations: &mut Violations,
) -> Option<Option<Timestamp>> {
    time.map_or(Some(None), |time| moment(time, Path::root(field), violations).map(Some))
}

/// When a job is to run: `Some(None)` if unset, `None` if wrong; the past is as good as now.
pub fn schedule_time(
    time: Option<prost_types::Timestamp>,
    now: Timestamp,
    field: &str,
    violations: &mut Violations,
) -> Option<Option<Timestamp>> {
    schedule(time, now, Path::root(field), violations)
}

#[expect(clippy::option_option, reason = "unset and wrong are two things")]
pub(super) fn schedule(
    time: Option<prost_types::Timestamp>,
    now: Timestamp,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<Option<Timestamp>> {
    let Some(time) = time else { return Some(None) };
    let time = moment(time, at, violations)?;
    let good = time <= now.plus(SCHEDULE_AHEAD_MAX);
    at.check(violations, good, || {
        format!("must be at most {} days ahead", SCHEDULE_AHEAD_MAX.as_secs() / 86_400)
    });
    good.then_some(Some(time))
}

/// A moment as a message.
#[must_use]
pub fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) * i64::from(NANOS_PER_MICRO);
    prost_types::Timestamp {
        seconds: micros.div_euclid(MICROS_PER_SECOND),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// A length of time as a message.
#[must_use]
pub fn span_to_proto(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).unwrap_or_default(),
    }
}
