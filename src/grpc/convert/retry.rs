//! When a failed attempt runs again.

use std::time::Duration;

use crate::domain::RetryPolicy;
use crate::domain::limits::{ATTEMPTS_MAX, RETRY_DELAY_MAX, RETRY_DELAYS_MAX};
use crate::domain::retry::RetryPatch;
use crate::domain::validate::Violations;
use crate::proto::v1;

use super::path::Path;
use super::{number, time};

const DELAY: std::ops::RangeInclusive<Duration> = Duration::ZERO..=RETRY_DELAY_MAX;

/// A retry policy; what it leaves out is for whoever stands behind it to say.
pub(super) fn from_proto(
    policy: Option<v1::RetryPolicy>,
    at: Path<'_>,
    violations: &mut Violations,
) -> RetryPatch {
    let Some(policy) = policy else { return RetryPatch::default() };
    let max_attempts = match u32::try_from(policy.max_attempts) {
        Ok(0) => None,
        Ok(attempts) if attempts <= ATTEMPTS_MAX => Some(attempts),
        Ok(_) | Err(_) => {
            let found = policy.max_attempts;
            at.field("max_attempts")
                .wrong(violations, format!("must be from 0 to {ATTEMPTS_MAX}, is {found}"));
            None
        }
    };
    let backoff_multiplier =
        (policy.backoff_multiplier != 0.0).then_some(policy.backoff_multiplier);
    if let Some(given) = backoff_multiplier {
        number::within(given, 1.0..=f64::MAX, at.field("backoff_multiplier"), violations);
    }
    let initial = policy.initial_backoff;
    let initial = time::optional_span(initial, DELAY, at.field("initial_backoff"), violations);
    let initial_backoff = initial.flatten();
    let max = policy.max_backoff;
    let max = time::optional_span(max, DELAY, at.field("max_backoff"), violations).flatten();
    if let (Some(max), Some(initial)) = (max, initial_backoff) {
        at.field("max_backoff").check(violations, max >= initial, || {
            format!("must not be less than initial_backoff, which is {} s", initial.as_secs_f64())
        });
    }
    let delays = delays(&policy.delays, at.field("delays"), violations);
    if let Some(jitter) = policy.jitter {
        number::within(jitter, 0.0..=1.0, at.field("jitter"), violations);
    }
    RetryPatch {
        max_attempts,
        initial_backoff,
        backoff_multiplier,
        max_backoff: max,
        jitter: policy.jitter,
        delays,
    }
}

/// As much of a retry policy as is said; unset if nothing is.
pub(super) fn patch_to_proto(patch: &RetryPatch) -> Option<v1::RetryPolicy> {
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    (*patch != RetryPatch::default()).then(|| v1::RetryPolicy {
        max_attempts: patch.max_attempts.map_or(0, count),
        initial_backoff: patch.initial_backoff.map(time::span_to_proto),
        backoff_multiplier: patch.backoff_multiplier.unwrap_or_default(),
        max_backoff: patch.max_backoff.map(time::span_to_proto),
        jitter: patch.jitter,
        delays: patch.delays.iter().copied().map(time::span_to_proto).collect(),
    })
}

pub(super) fn delays(
    delays: &[prost_types::Duration],
    at: Path<'_>,
    violations: &mut Violations,
) -> Vec<Duration> {
    if delays.len() > RETRY_DELAYS_MAX {
        let found = delays.len();
        at.wrong(violations, format!("must have at most {RETRY_DELAYS_MAX} elements, has {found}"));
        return Vec::new();
    }
    let checked = delays.iter().enumerate();
    checked.filter_map(|(i, delay)| time::span(*delay, DELAY, at.index(i), violations)).collect()
}

/// A retry policy as a message, with every field set.
pub(super) fn to_proto(policy: &RetryPolicy) -> v1::RetryPolicy {
    v1::RetryPolicy {
        max_attempts: i32::try_from(policy.max_attempts).unwrap_or(i32::MAX),
        initial_backoff: Some(time::span_to_proto(policy.initial_backoff)),
        backoff_multiplier: policy.backoff_multiplier,
        max_backoff: Some(time::span_to_proto(policy.max_backoff)),
        jitter: Some(policy.jitter),
        delays: policy.delays.iter().copied().map(time::span_to_proto).collect(),
    }
}
