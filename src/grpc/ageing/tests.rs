use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn streams_end_around_their_age_and_not_together() {
    let begin = Clock::monotonic();
    let ends: Vec<_> = (0..100).filter_map(|_| Ageing::about(HOUR).end).collect();
    let ages: Vec<_> = ends.iter().map(|end| end.duration_since(begin)).collect();
    assert_eq!(ages.len(), 100);
    assert!(ages.iter().all(|age| (HOUR.mul_f64(0.79)..HOUR.mul_f64(1.21)).contains(age)));
    let (first, last) = (ages.iter().min(), ages.iter().max());
    let spread = last.zip(first).map(|(last, first)| last.abs_diff(*first));
    assert!(spread > Some(HOUR.mul_f64(0.2)), "{spread:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_over_at_the_age_and_never_without_one() {
    let ageing = Ageing::exactly(HOUR);
    let begin = Clock::monotonic();
    ageing.over().await;
    let took = Clock::monotonic().duration_since(begin);
    assert!((HOUR..HOUR * 2).contains(&took), "{took:?}");
    let never = Ageing::about(Duration::ZERO);
    assert!(tokio::time::timeout(1_000 * HOUR, never.over()).await.is_err());
}

#[test]
fn an_old_stream_says_when_to_come_again() {
    let status = aged();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().expect("always there").reason, "STREAM_AGED");
    assert!(status.get_details_retry_info().is_some());
}
