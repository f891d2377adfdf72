//! The caller's deadline, and how to answer before it.

use std::time::Duration;

use tonic::metadata::MetadataMap;

/// Where a call says how long it waits for its answer.
const HEADER: &str = "grpc-timeout";
/// Digits a timeout may have.
const DIGITS_MAX: usize = 8;
/// Kept back for the way of the answer; of a long timeout a twentieth.
const MARGIN_MIN: Duration = Duration::from_millis(200);

/// What is left until the caller gives up, if it says so. A header that is none is no deadline: the
/// transport does not keep it either.
pub(super) fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.get(HEADER)?.to_str().ok()?)
}

/// `wait`, or less of it, so that the answer comes before the caller gives up.
pub(super) fn within(wait: Duration, timeout: Option<Duration>) -> Duration {
    match timeout {
        Some(timeout) => {
            let margin = (timeout / 20).max(MARGIN_MIN.min(timeout / 2));
            wait.min(timeout.saturating_sub(margin))
        }
        None => wait,
    }
}

/// At most eight digits and a unit, as the protocol spells a timeout.
fn parse(text: &str) -> Option<Duration> {
    let (amount, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let digits =
        (1..=DIGITS_MAX).contains(&amount.len()) && amount.bytes().all(|b| b.is_ascii_digit());
    let amount: u64 = amount.parse().ok().filter(|_| digits)?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
