//! What was due before a type was off, and what while it was.

use super::*;

/// A type that another scheduler runs every day, and the first moment at which it is expected.
async fn expected_daily(server: &Engine, store: &MemoryStore) -> (JobTypeSpec, Timestamp) {
    let daily = spec(
        r#"{"type": "offsite", "schedule": {"cron": "@daily"}, "expected": {"grace_period": "12h"}}"#,
    );
    put(server, daily.clone()).await;
    let time = compiled(&daily).next(cursor(store, "offsite").await).expect("a day");
    (daily, time)
}

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

#[tokio::test(start_paused = true)]
async fn a_run_that_did_not_come_before_its_type_was_off_for_a_while_is_missed_all_the_same() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let (daily, time) = expected_daily(&server, &store).await;
    reach(&server, time.plus(HOUR)).await;
    put(&server, JobTypeSpec { disabled: true, ..daily.clone() }).await;
    reach(&server, time.plus(HOUR * 13)).await;
    server.run_schedules().await.expect("a step");
    assert_eq!(jobs_of(&store, "offsite").await, [], "nothing is settled while it is off");
    put(&server, daily).await;
    server.run_schedules().await.expect("a step");
    let missed = jobs_of(&store, "offsite").await;
    let told: Vec<_> = missed.iter().map(|job| (job.spec.schedule_time, skipped(job))).collect();
    assert_eq!(told, [(Some(time), Some(SkipReason::Missed))]);
}

#[tokio::test(start_paused = true)]
async fn nobody_judges_what_was_owed_before_a_long_rest() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let (daily, time) = expected_daily(&server, &store).await;
    reach(&server, time.plus(HOUR)).await;
    put(&server, JobTypeSpec { disabled: true, ..daily.clone() }).await;
    // What came before may be deleted by now.
    reach(&server, time.plus(HOUR * 27)).await;
    put(&server, daily).await;
    let now = server.clock().now();
    server.run_schedules().await.expect("a step");
    assert_eq!(jobs_of(&store, "offsite").await, []);
    assert_eq!(cursor(&store, "offsite").await, now);
}

#[tokio::test(start_paused = true)]
async fn an_expected_run_that_was_refused_came() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let (daily, time) = expected_daily(&server, &store).await;
    reach(&server, time.plus(HOUR)).await;
    put(&server, JobTypeSpec { disabled: true, ..daily.clone() }).await;
    let refused = create(&server, "offsite").await;
    assert_eq!(skipped(&refused), Some(SkipReason::TypeDisabled));
    put(&server, daily).await;
    reach(&server, time.plus(HOUR * 13)).await;
    server.run_schedules().await.expect("a step");
    assert_eq!(jobs_of(&store, "offsite").await.len(), 1, "none was missed");
    assert_eq!(cursor(&store, "offsite").await, time, "it was judged");
}
