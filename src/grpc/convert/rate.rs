//! Start rates: starts per second on the wire, starts in a period in the domain.

use std::time::Duration;

use crate::domain::limits::RATE_COUNT_MAX;
use crate::domain::rate::StartRate;
use crate::domain::validate::Violations;

use super::path::Path;

const SECOND: Duration = Duration::from_secs(1);
/// Beyond it a fraction of a start per second means nothing.
const FRACTIONS_BELOW: f64 = 1_000.0;

/// What counting in seconds and back may cost of a rate.
const ROUNDING: f64 = 1e-9;

/// So many starts per second on average, and so many at once after a pause; 0 = as many as in a second,
/// at least one.
pub(super) fn from_proto(
    per_second: f64,
    burst: i64,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<StartRate> {
    let most = f64::from(RATE_COUNT_MAX);
    let slowest = 1.0 / crate::domain::limits::RATE_PERIOD_MAX.as_secs_f64();
    let good = per_second.is_finite() && (slowest..=most).contains(&per_second);
    at.field("per_second").check(violations, good, || {
        format!("must be from {slowest:e} to {RATE_COUNT_MAX}, is {per_second}")
    });
    let said = u32::try_from(burst).ok().filter(|burst| *burst <= RATE_COUNT_MAX);
    at.field("burst").check(violations, said.is_some(), || {
        format!("must be from 0 to {RATE_COUNT_MAX}, is {burst}")
    });
    let burst = said.filter(|_| good)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and far below 2^32"
    )]
    let whole = per_second.round() as u32;
    let is_whole = per_second.fract() == 0.0 || per_second > FRACTIONS_BELOW;
    if is_whole {
        return Some(StartRate { count: whole, period: SECOND, burst });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and far below 2^32"
    )]
    let in_a_second = (per_second.floor() as u32).max(1);
    let burst = if burst == 0 { in_a_second } else { burst };
    let (count, period) = spoken(per_second).unwrap_or((1, SECOND.div_f64(per_second)));
    // As many as in a period, as files leave it out.
    let burst = if burst == count { 0 } else { burst };
    Some(StartRate { count, period, burst })
}

/// The rate as people say it: so many a minute, an hour or a day, if that is a whole number.
fn spoken(per_second: f64) -> Option<(u32, Duration)> {
    [60, 3_600, 86_400].into_iter().map(Duration::from_secs).find_map(|period| {
        let count = per_second * period.as_secs_f64();
        let whole = count.round();
        let good = (1.0..=f64::from(RATE_COUNT_MAX)).contains(&whole)
            && (count - whole).abs() <= whole * ROUNDING;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 1 to RATE_COUNT_MAX"
        )]
        let count = whole as u32;
        good.then_some((count, period))
    })
}

/// Starts per second.
pub(super) fn per_second(rate: &StartRate) -> f64 {
    f64::from(rate.count) / rate.period.as_secs_f64()
}

/// Starts at once after a pause, as they were said.
pub(super) fn burst(rate: &StartRate) -> i64 {
    match rate.burst {
        // In a period of any other length a burst that was not said is another one than on the wire.
        0 if rate.period != SECOND => rate.count.into(),
        burst => burst.into(),
    }
}
