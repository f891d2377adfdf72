use std::time::Duration;

use prost_types::Timestamp as Wire;

use crate::domain::Timestamp;
use crate::domain::limits::{
    ACQUIRE_WAIT_MAX, CANCEL_GRACE_DEFAULT, CANCEL_GRACE_MAX, LEASE_TTL_DEFAULT, LEASE_TTL_MAX,
    LEASE_TTL_MIN, RETRY_DELAY_MAX, SCHEDULE_AHEAD_MAX, WATCH_INTERVAL_MAX,
};
use crate::domain::validate::Violations;
use crate::grpc::convert::{Path, number, time};

use super::{NOW, checked, span};

fn moment(seconds: i64, nanos: i32) -> Option<Timestamp> {
    let mut violations = Violations::default();
    time::moment(Wire { seconds, nanos }, Path::root("t"), &mut violations)
}

#[test]
fn moments_of_the_years_1_to_9999_pass() {
    assert_eq!(moment(0, 0), Some(Timestamp::from_micros(0)));
    assert_eq!(moment(-1, 999_999_999), Some(Timestamp::from_micros(-1)));
    assert!(moment(-62_135_596_800, 0).is_some());
    assert!(moment(253_402_300_799, 999_999_999).is_some());
    assert!(moment(-62_135_596_801, 0).is_none());
    assert!(moment(253_402_300_800, 0).is_none());
    assert!(moment(i64::MAX, 0).is_none());
    assert!(moment(0, -1).is_none());
    assert!(moment(0, 1_000_000_000).is_none());
}

#[test]
fn moments_come_back_to_the_microsecond() {
    for micros in [0, 1, -1, 1_780_000_000_123_456, -1_500_000] {
        let time = Timestamp::from_micros(micros);
        let wire = time::to_proto(time);
        assert_eq!(moment(wire.seconds, wire.nanos), Some(time));
    }
}

#[test]
fn a_length_of_time_is_taken_up_to_its_bounds() {
    let grace = |length| checked(|v| time::cancel_grace(length, "grace", v));
    assert_eq!(grace(None), Ok(CANCEL_GRACE_DEFAULT));
    assert_eq!(grace(Some(span(0, 0))), Ok(Duration::ZERO));
    assert_eq!(grace(Some(time::span_to_proto(CANCEL_GRACE_MAX))), Ok(CANCEL_GRACE_MAX));
    for wrong in [
        span(3_600, 1),
        span(-1, 0),
        span(0, -1),
        span(1, -1),
        span(0, 1_000_000_000),
        span(i64::MAX, 0),
        span(i64::MIN, i32::MIN),
    ] {
        assert_eq!(grace(Some(wrong)), Err(vec!["grace".to_owned()]), "{wrong:?}");
    }
}

#[test]
fn leases_waits_and_delays_keep_their_bounds() {
    let wire = time::span_to_proto;
    let nano = Duration::from_nanos(1);
    let ttl = |length| checked(|v| time::lease_ttl(Some(length), LEASE_TTL_DEFAULT, "f", v));
    assert_eq!(
        checked(|v| time::lease_ttl(None, LEASE_TTL_DEFAULT, "f", v)),
        Ok(LEASE_TTL_DEFAULT)
    );
    assert!(ttl(wire(LEASE_TTL_MIN)).is_ok() && ttl(wire(LEASE_TTL_MAX)).is_ok());
    assert!(ttl(wire(LEASE_TTL_MIN.saturating_sub(nano))).is_err());
    assert!(ttl(wire(LEASE_TTL_MAX + nano)).is_err());
    let wait = |length| checked(|v| time::acquire_wait(Some(length), "f", v));
    assert!(wait(span(0, 0)).is_ok() && wait(wire(ACQUIRE_WAIT_MAX)).is_ok());
    assert!(wait(wire(ACQUIRE_WAIT_MAX + nano)).is_err());
    let delay = |length| checked(|v| time::delay(Some(length), "f", v));
    assert!(delay(wire(RETRY_DELAY_MAX)).is_ok() && delay(wire(RETRY_DELAY_MAX + nano)).is_err());
    assert_eq!(checked(|v| time::delay(None, "f", v)), Ok(None));
    let interval = |length| checked(|v| time::min_interval(Some(length), nano, "f", v));
    assert!(interval(wire(WATCH_INTERVAL_MAX)).is_ok());
    assert!(interval(wire(WATCH_INTERVAL_MAX + nano)).is_err());
}

#[test]
fn a_schedule_may_be_past_but_not_too_far_ahead() {
    let schedule = |time| checked(|v| time::schedule_time(Some(time::to_proto(time)), NOW, "f", v));
    let past = NOW.minus(Duration::from_secs(5));
    assert_eq!(schedule(past), Ok(Some(past)));
    let last = NOW.plus(SCHEDULE_AHEAD_MAX);
    assert_eq!(schedule(last), Ok(Some(last)));
    assert!(schedule(last.plus(Duration::from_micros(1))).is_err());
}

#[test]
fn numbers_keep_their_bounds() {
    assert_eq!(checked(|v| number::page_size(0, "f", v)), Ok(20));
    assert_eq!(checked(|v| number::page_size(1_000, "f", v)), Ok(1_000));
    assert!(checked(|v| number::page_size(1_001, "f", v)).is_err());
    assert!(checked(|v| number::page_size(-1, "f", v)).is_err());
    assert_eq!(checked(|v| number::max_jobs(0, "f", v)), Ok(1));
    assert_eq!(checked(|v| number::max_jobs(100, "f", v)), Ok(100));
    assert!(checked(|v| number::max_jobs(101, "f", v)).is_err());
    assert_eq!(checked(|v| number::recent_runs(20, "f", v)), Ok(20));
    assert!(checked(|v| number::recent_runs(21, "f", v)).is_err());
    assert_eq!(checked(|v| number::slots(1_000, "f", v)), Ok(1_000));
    assert!(checked(|v| number::slots(1_001, "f", v)).is_err());
    assert!(checked(|v| number::slots(-1, "f", v)).is_err());
    assert!(checked(|v| number::lease_epoch(0, "f", v)).is_err());
    assert!(checked(|v| number::seq(0, "f", v)).is_err());
    assert_eq!(checked(|v| number::seq(1, "f", v)), Ok(1));
    assert!(checked(|v| number::position(-1, "f", v)).is_err());
}
