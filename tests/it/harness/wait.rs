//! Waiting for conditions, with a bound.

use std::time::Duration;

use jobplane::runtime::Clock;

/// The bound for what is promised at once or within a second.
pub const SOON: Duration = Duration::from_secs(10);
/// Pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until `holds` answers true.
///
/// # Panics
/// If it does not within `bound`.
pub async fn eventually<F, Fut>(bound: Duration, what: &str, mut holds: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let until = Clock::monotonic() + bound;
    while !holds().await {
        assert!(Clock::monotonic() < until, "not within {bound:?}: {what}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Waits for `future`.
///
/// # Panics
/// If it does not end within `bound`.
pub async fn within<T>(bound: Duration, what: &str, future: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(bound, future).await;
    answer.unwrap_or_else(|_| panic!("not within {bound:?}: {what}"))
}
