//! Numbers.

use std::ops::RangeInclusive;

use crate::domain::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, SEQUENCE_MAX, SLOTS_MAX};
use crate::domain::validate::Violations;

use super::path::Path;

/// A count: zero or more.
pub(super) fn count(value: i64, at: Path<'_>, violations: &mut Violations) {
    at.check(violations, value >= 0, || format!("must not be negative, is {value}"));
}

/// A place in an order: from 0 to 2^53.
pub(super) fn sequence(value: i64, at: Path<'_>, violations: &mut Violations) {
    at.check(violations, (0..=SEQUENCE_MAX).contains(&value), || {
        format!("must be from 0 to {SEQUENCE_MAX}, is {value}")
    });
}

/// A count that the domain keeps unsigned; zero if it is wrong.
pub(super) fn unsigned(value: i64, at: Path<'_>, violations: &mut Violations) -> u64 {
    count(value, at, violations);
    u64::try_from(value).unwrap_or_default()
}

/// A small count that the domain keeps unsigned; zero if it is wrong.
pub(super) fn small(value: i32, at: Path<'_>, violations: &mut Violations) -> u32 {
    count(i64::from(value), at, violations);
    u32::try_from(value).unwrap_or_default()
}

/// A finite number within `range`.
pub(super) fn within(
    value: f64,
    range: RangeInclusive<f64>,
    at: Path<'_>,
    violations: &mut Violations,
) {
    at.check(violations, value.is_finite() && range.contains(&value), || {
        let (low, high) = (range.start(), range.end());
        if high.is_finite() && *high < f64::MAX {
            format!("must be a number from {low} to {high}, is {value}")
        } else {
            format!("must be a number of at least {low}, is {value}")
        }
    });
}

/// A number of things from 1 to `max`, `default` if zero.
pub fn amount(
    value: i32,
    default: usize,
    max: usize,
    field: &str,
    violations: &mut Violations,
) -> Option<usize> {
    match usize::try_from(value) {
        Ok(0) => Some(default),
        Ok(amount) if amount <= max => Some(amount),
        Ok(_) | Err(_) => {
            violations.add(field, format!("must be from 0 to {max}, is {value}"));
            None
        }
    }
}

/// The size of a page: 20 if zero, at most 1,000.
pub fn page_size(value: i32, field: &str, violations: &mut Violations) -> Option<usize> {
    amount(value, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, field, violations)
}

/// The jobs one `AcquireJobs` call takes: 1 if zero, at most 100.
pub fn max_jobs(value: i32, field: &str, violations: &mut Violations) -> Option<usize> {
    amount(value, 1, crate::domain::limits::ACQUIRE_JOBS_MAX as usize, field, violations)
}

/// The recent runs of a type in a summary: none if zero, at most 20.
pub fn recent_runs(value: i32, field: &str, violations: &mut Violations) -> Option<usize> {
    amount(value, 0, crate::domain::limits::RECENT_RUNS_MAX, field, violations)
}

/// Jobs a session may hold: 0 to 1,000.
pub fn slots(value: i32, field: &str, violations: &mut Violations) -> Option<u32> {
    let slots = u32::try_from(value).ok().filter(|slots| *slots <= SLOTS_MAX);
    if slots.is_none() {
        violations.add(field, format!("must be from 0 to {SLOTS_MAX}, is {value}"));
    }
    slots
}

/// The epoch of a lease: at least 1.
pub fn lease_epoch(value: i64, field: &str, violations: &mut Violations) -> Option<i64> {
    violations.check(value >= 1, field, || {
        format!("must be the epoch of an assignment, at least 1, is {value}")
    });
    (value >= 1).then_some(value)
}

/// The number of a report: from 1 to 2^53.
pub fn seq(value: i64, field: &str, violations: &mut Violations) -> Option<i64> {
    let fits = (1..=SEQUENCE_MAX).contains(&value);
    violations.check(fits, field, || format!("must be from 1 to {SEQUENCE_MAX}, is {value}"));
    fits.then_some(value)
}

/// A position in a log or a number that may be missing: from 0 to 2^53.
pub fn position(value: i64, field: &str, violations: &mut Violations) -> Option<i64> {
    sequence(value, Path::root(field), violations);
    (0..=SEQUENCE_MAX).contains(&value).then_some(value)
}
