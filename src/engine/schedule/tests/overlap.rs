//! Jobs that are not over when the next run is due.

use super::*;
use crate::domain::machine::Command;
use crate::engine::pipeline::{RuleChange, Work};

#[tokio::test(start_paused = true)]
async fn the_run_before_is_asked_to_stop_in_the_commit_of_the_next() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let hourly =
        r#"{"type": "sync", "schedule": {"interval": "1h", "overlap_policy": "CANCEL_RUNNING"}}"#;
    put(&server, spec(hourly)).await;
    let Ok(Started::Assigned(running)) = start(&server, "sync").await else {
        panic!("not started")
    };
    let waiting = create(&server, "sync").await;
    tokio::time::sleep(HOUR * 2).await;
    assert!(server.run_schedules().await.expect("a step") > 0);
    let jobs = jobs_of(&store, "sync").await;
    let by_id = |job: &Job| jobs.iter().find(|found| found.id == job.id).expect("there").clone();
    let asked = by_id(&running.job).status.cancel_request.expect("asked");
    assert_eq!(asked.cause, CancelCause::Overlap);
    assert_eq!(skipped(&by_id(&waiting)), Some(SkipReason::Overlap));
    let fresh = jobs.iter().filter(|job| job.status.trigger == Trigger::Schedule);
    let fresh: Vec<_> = fresh.filter(|job| job.status.kind() == StateKind::Pending).collect();
    assert_eq!(fresh.len(), 1, "one waits for its turn: {jobs:#?}");
}

#[tokio::test(start_paused = true)]
async fn who_was_asked_to_stop_for_its_use_makes_way_all_the_same() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let Ok(Started::Assigned(running)) = start(&server, "sync").await else {
        panic!("not started")
    };
    let job_id = running.job.id;
    let command = Command::RequestStop {
        lease_epoch: running.job.status.lease_epoch,
        cause: CancelCause::ResourceLimit,
        reason: "too much".to_owned(),
        grace: HOUR,
    };
    let work = |reply| Work::Try { job_id, command, deed: None, reply };
    assert!(server.pipeline.ask(work).await.expect("asked"));
    server.make_way(vec![job_id]).await.expect("asked otherwise");
    let jobs = jobs_of(&store, "sync").await;
    let asked = jobs[0].status.cancel_request.as_ref().expect("asked");
    assert_eq!(asked.cause, CancelCause::Overlap, "it would come back as a retry");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_made_already_does_not_make_way_for_itself() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let hourly = spec(
        r#"{"type": "sync", "schedule": {"interval": "1h", "overlap_policy": "CANCEL_RUNNING"}}"#,
    );
    put(&server, hourly.clone()).await;
    let first = compiled(&hourly).next(server.clock().now()).expect("an hour");
    reach(&server, first).await;
    server.run_schedules().await.expect("a step");
    // As after a clock that was ahead.
    let key = RuleKey::new(RuleKind::Schedule, "sync");
    let row = store.rules_by_key(std::slice::from_ref(&key)).await.expect("a read");
    let back = Cursor::at(first.minus(HOUR));
    let write = RuleWrite::put(key, row[0].revision, &back).expect("a cursor");
    server.write_rules(RuleChange::from(vec![write])).await.expect("written");
    server.run_schedules().await.expect("a step");
    assert_eq!(cursor(&store, "sync").await, first, "it was settled again");
    let jobs = jobs_of(&store, "sync").await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].status.kind(), StateKind::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_job_made_for_later_is_in_no_runs_way() {
    for policy in ["SKIP", "QUEUE_ONE", "CANCEL_RUNNING"] {
        let store = Arc::new(MemoryStore::new());
        let server = server(&store);
        put(
            &server,
            spec(&format!(
                r#"{{"type": "sync", "schedule": {{"interval": "1h", "overlap_policy": "{policy}"}}}}"#
            )),
        )
        .await;
        let mut later = JobSpec::new(name("sync"), QueueName::default());
        later.schedule_time = Some(server.clock().now().plus(HOUR * 24 * 30));
        let create = CreateJob { draft: Draft::new(later), request: None, validate_only: false };
        let later = server.create(&Caller::anonymous(), create).await.expect("a job").job;
        let first = compiled(&spec(r#"{"type": "sync", "schedule": {"interval": "1h"}}"#))
            .next(server.clock().now())
            .expect("an hour");
        reach(&server, first).await;
        server.run_schedules().await.expect("a step");
        let jobs = jobs_of(&store, "sync").await;
        assert_eq!(jobs.len(), 2);
        let waits = |job: &Job| job.status.kind() == StateKind::Pending;
        assert!(jobs.iter().all(waits), "{policy}: {jobs:#?}");
        assert!(jobs.iter().any(|job| job.id == later.id));
    }
}

#[tokio::test(start_paused = true)]
async fn the_run_before_is_found_behind_any_number_that_wait() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let hourly =
        r#"{"type": "sync", "schedule": {"interval": "1h", "overlap_policy": "CANCEL_RUNNING"}}"#;
    put(&server, spec(hourly)).await;
    let Ok(Started::Assigned(running)) = start(&server, "sync").await else {
        panic!("not started")
    };
    let many = (0..crate::domain::limits::LOOP_ROWS_MAX).map(|_| create(&server, "sync"));
    futures_util::future::join_all(many).await;
    tokio::time::sleep(HOUR * 2).await;
    server.run_schedules().await.expect("a step");
    let jobs = jobs_of(&store, "sync").await;
    let found = jobs.iter().find(|job| job.id == running.job.id).expect("there");
    let asked = found.status.cancel_request.as_ref().expect("asked");
    assert_eq!(asked.cause, CancelCause::Overlap);
}

#[tokio::test(start_paused = true)]
async fn who_moved_on_meanwhile_makes_way_as_it_stands_now() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let Ok(Started::Assigned(running)) = start(&server, "sync").await else {
        panic!("not started")
    };
    let waiting = create(&server, "sync").await;
    let over = create(&server, "sync").await;
    let caller = Caller::anonymous();
    server.cancel(&caller, over.id, String::new(), None).await.expect("cancelled");
    let missed = vec![running.job.id, waiting.id, over.id];
    server.make_way(missed.clone()).await.expect("asked");
    server.make_way(missed).await.expect("asked already");
    let jobs = jobs_of(&store, "sync").await;
    let by_id = |job: &Job| jobs.iter().find(|found| found.id == job.id).expect("there");
    let asked = by_id(&running.job).status.cancel_request.as_ref().expect("asked");
    assert_eq!(asked.cause, CancelCause::Overlap);
    assert_eq!(skipped(by_id(&waiting)), Some(SkipReason::Overlap));
    assert_eq!(by_id(&over).status.kind(), StateKind::Cancelled);
}
