//! What was due before a type was off, and what while it was.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_falls_into_a_pause_is_not_made_up_for() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let hourly = |more: &str| {
        spec(&format!(
            r#"{{"type": "sync", {more} "schedule": {{"interval": "1h", "overlap_policy": "ALLOW"}}}}"#
        ))
    };
    assert!(put(&server, hourly("")).await, "new");
    assert!(!put(&server, hourly(r#""disabled": true,"#)).await, "changed");
    tokio::time::sleep(HOUR * 6).await;
    server.run_schedules().await.expect("a step");
    assert_eq!(jobs_of(&store, "sync").await, []);
    put(&server, hourly("")).await;
    server.run_schedules().await.expect("a step");
    assert_eq!(jobs_of(&store, "sync").await, []);
    tokio::time::sleep(HOUR * 2).await;
    server.run_schedules().await.expect("a step");
    assert!(!jobs_of(&store, "sync").await.is_empty());
}
