//! Moments, also at the ends of time.

use super::*;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

#[test]
fn time_passed_is_never_negative() {
    assert_eq!(at(5).since(at(2)), Duration::from_micros(3));
    assert_eq!(at(2).since(at(5)), Duration::ZERO);
}

#[test]
fn the_ends_of_time_are_not_passed() {
    assert_eq!(at(i64::MAX).plus(Duration::from_secs(1)), at(i64::MAX));
    assert_eq!(at(0).plus(Duration::MAX), at(i64::MAX));
    assert_eq!(at(i64::MIN).minus(Duration::from_secs(1)), at(i64::MIN));
    assert_eq!(at(i64::MAX).since(at(i64::MIN)).as_micros(), u128::from(i64::MAX.unsigned_abs()));
}

#[test]
fn a_minute_starts_at_its_first_microsecond() {
    assert_eq!([at(0).minute(), at(59_999_999).minute(), at(60_000_000).minute()], [0, 0, 1]);
    assert_eq!(at(-1).minute(), -1);
}
