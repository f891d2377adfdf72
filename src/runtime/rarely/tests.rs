//! When trouble is told of.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn each_name_is_told_once_within_its_time() {
    let told = Unreadable::new();
    assert!(told.is_news("a") && told.is_news("b"));
    assert!(!told.is_news("a"));
    tokio::time::advance(UNREADABLE_AGAIN_AFTER.saturating_sub(Duration::from_secs(1))).await;
    assert!(!told.is_news("b"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(told.is_news("b") && !told.is_news("b"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_is_told_of_in_part() {
    let told = Unreadable::new();
    let news = |from: usize| (from..from + 400).filter(|at| told.is_news(&at.to_string())).count();
    assert_eq!(news(0), UNREADABLE_NAMES_MAX);
    assert_eq!(news(1_000), 0);
    tokio::time::advance(UNREADABLE_AGAIN_AFTER).await;
    assert_eq!(news(1_000), UNREADABLE_NAMES_MAX, "those before are forgotten");
}
