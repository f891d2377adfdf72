//! What the door takes, and what it turns away.

mod filter;
mod job;
mod logs;
mod number;
mod opaque;
mod path;
mod progress;
mod spec;
mod time;
mod worker;

use crate::domain::Timestamp;
use crate::domain::validate::Violations;

/// Some moment in 2026.
const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_123_456);

/// The fields that were turned away, in order.
fn fields(violations: &Violations) -> Vec<&str> {
    violations.as_slice().iter().map(|violation| violation.field.as_str()).collect()
}

/// What a check made of its input, and the fields it turned away.
fn checked<T>(check: impl FnOnce(&mut Violations) -> Option<T>) -> Result<T, Vec<String>> {
    let mut violations = Violations::default();
    let value = check(&mut violations);
    assert_eq!(
        value.is_none(),
        !violations.is_empty(),
        "a value means no violation: {violations:?}"
    );
    value.ok_or_else(|| fields(&violations).into_iter().map(str::to_owned).collect())
}

fn span(seconds: i64, nanos: i32) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos }
}
