//! When a failed attempt runs again.

use std::time::Duration;

use crate::domain::RetryPolicy;
use crate::domain::limits::{ATTEMPTS_MAX, RETRY_DELAY_MAX, RETRY_DELAYS_MAX};
use crate::domain::validate::Violations;
use crate::proto::v1;

use super::path::Path;
use super::{number, time};

const DELAY: std::ops::RangeInclusive<Duration> = Duration::ZERO..=RETRY_DELAY_MAX;

/// A retry policy; what it leaves out is as in `default`.
pub(super) fn from_proto(
    policy: Option<v1::RetryPolicy>,
    default: RetryPolicy,
    at: Path<'_>,
    violations: &mut Violations,
) -> RetryPolicy {
    let Some(policy) = policy else { return default };
    let max_attempts = match u32::try_from(policy.max_attempts) {
        Ok(0) => default.max_attempts,
        Ok(attempts) if attempts <= ATTEMPTS_MAX => attempts,
        Ok(_) | Err(_) => {
            let found = policy.max_attempts;
            at.field("max_attempts")
                .wrong(violations, format!("must be from 0 to {ATTEMPTS_MAX}, is {found}"));
            default.max_attempts
        }
    };
    let backoff_multiplier = match policy.backoff_multiplier {
        0.0 => default.backoff_multiplier,
        given => {
            number::within(given, 1.0..=f64::MAX, at.field("backoff_multiplier"), violations);
            given
        }
    };
    let initial = policy.initial_backoff;
    let initial = time::optional_span(initial, DELAY, at.field("initial_backoff"), violations);
    let initial_backoff = initial.flatten().unwrap_or(default.initial_backoff);
    let max = policy.max_backoff;
    let max = time::optional_span(max, DELAY, at.field("max_backoff"), violations).flatten();
    if let Some(max) = max {
        at.field("max_backoff").check(violations, max >= initial_backoff, || {
            let initial = initial_backoff.as_secs_f64();
            format!("must not be less than initial_backoff, which is {initial} s")
        });
    }
    let delays = delays(&policy.delays, at.field("delays"), violations);
    // A list of delays is spread only if the policy says so itself.
    let unsaid = if delays.is_empty() { default.jitter } else { 0.0 };
    let jitter = policy.jitter.unwrap_or(unsaid);
    number::within(jitter, 0.0..=1.0, at.field("jitter"), violations);
    RetryPolicy {
        max_attempts,
        initial_backoff,
        backoff_multiplier,
        // A first wait beyond the default cap is meant.
        max_backoff: max.unwrap_or_else(|| default.max_backoff.max(initial_backoff)),
        jitter,
        delays,
    }
}

fn delays(
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
