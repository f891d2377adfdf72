//! What is declared of a type, and what that means to its jobs.

use super::*;
use crate::domain::BatchId;
use crate::domain::job_type::TypeOrigin;
use crate::domain::job_type::gate::TriggerRefusal;
use crate::domain::queue::QueueSettings;
use crate::engine::{Error, TriggerType};
use crate::store::{Batch, RuleWrite};

#[tokio::test(start_paused = true)]
async fn a_disabled_type_is_recorded_and_neither_started_nor_triggered() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    put(&server, spec(r#"{"type": "sync", "category": "sync", "disabled": true}"#)).await;
    let job = create(&server, "sync").await;
    assert_eq!(skipped(&job), Some(SkipReason::TypeDisabled));
    assert_eq!(job.status.category.expect("copied").as_str(), "sync");
    let Ok(Started::Skipped(job)) = start(&server, "sync").await else { panic!("started") };
    assert_eq!(skipped(&job), Some(SkipReason::TypeDisabled));
    assert_eq!(
        store.sessions(Timestamp::default()).await.expect("a read"),
        [],
        "it holds no lease"
    );
    let trigger = |of: &str| TriggerType {
        job_type: name(of),
        payload: None,
        labels: BTreeMap::new(),
        request: None,
        reason: String::new(),
    };
    let caller = Caller::anonymous();
    let refused = server.trigger_type(&caller, trigger("sync")).await;
    let Err(Error::CannotTrigger { refusal, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal, TriggerRefusal::TypeDisabled { reason: String::new() });
    create(&server, "seen").await;
    let refused = server.trigger_type(&caller, trigger("seen")).await;
    assert!(matches!(refused, Err(Error::TypeNotDeclared(_))), "{refused:?}");
    let refused = server.trigger_type(&caller, trigger("unheard_of")).await;
    assert!(matches!(refused, Err(Error::TypeNotFound(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_is_refused_where_the_job_could_not_run_and_takes_the_defaults_where_it_could() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let caller = Caller::anonymous();
    let one = r#"{"type": "sync", "max_concurrent": 1, "defaults": {"queue": "bulk", "timeout": "5m", "labels": {"team": "a", "who": "type"}}}"#;
    put(&server, spec(one)).await;
    let trigger = TriggerType {
        job_type: name("sync"),
        payload: None,
        labels: [("who".to_owned(), "caller".to_owned())].into(),
        request: Some(("r".to_owned(), [1; 32])),
        reason: "to see".to_owned(),
    };
    let job = server.trigger_type(&caller, trigger.clone()).await.expect("triggered");
    assert_eq!((job.status.trigger, job.spec.queue.as_str()), (Trigger::Manual, "bulk"));
    assert_eq!(job.spec.timeout, Some(Duration::from_secs(300)));
    assert_eq!(
        (job.spec.labels["team"].as_str(), job.spec.labels["who"].as_str()),
        ("a", "caller")
    );
    let Ok(Started::Assigned(_)) = start(&server, "sync").await else { panic!("not started") };
    let again = server.trigger_type(&caller, trigger.clone()).await.expect("the same request");
    assert_eq!(again.id, job.id);
    let other = TriggerType { request: None, ..trigger };
    let refused = server.trigger_type(&caller, other.clone()).await;
    let Err(Error::CannotTrigger { refusal, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal, TriggerRefusal::AlreadyRunning { running: 1, max_concurrent: 1 });
    put(&server, spec(r#"{"type": "sync", "defaults": {"queue": "bulk"}}"#)).await;
    let bulk = QueueName::new("bulk").expect("a name");
    server.update_queue(&caller, &bulk, |queue, _| queue.paused = true).await.expect("paused");
    let refused = server.trigger_type(&caller, other.clone()).await;
    let Err(Error::CannotTrigger { refusal, .. }) = refused else { panic!("{refused:?}") };
    assert!(matches!(refusal, TriggerRefusal::QueuePaused { .. }));
    let refused = start(&server, "sync").await;
    assert!(matches!(refused, Err(Error::CannotTrigger { .. })), "{refused:?}");
    server.update_queue(&caller, &bulk, |queue, _| queue.paused = false).await.expect("resumed");
    server.trigger_type(&caller, other).await.expect("triggered");
}

#[tokio::test(start_paused = true)]
async fn a_declaration_is_replaced_by_who_has_seen_it_and_taken_back_by_anybody() {
    let store = Arc::new(MemoryStore::new());
    let (server, other) = (server(&store), server(&store));
    let caller = Caller::anonymous();
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    let held = other.job_type(&caller, &name("sync")).await.expect("there");
    assert_eq!(
        (held.revision, held.origin),
        (1, TypeOrigin::Declared),
        "the same again is no change"
    );
    let change = |revision, description: &str| PutType {
        spec: JobTypeSpec { description: description.to_owned(), ..held.spec.clone() },
        payload: None,
        revision,
        validate_only: false,
        reason: String::new(),
    };
    other.put_type(&caller, change(1, "one")).await.expect("changed");
    let late = server.put_type(&caller, change(1, "two")).await;
    assert!(matches!(late, Err(Error::TypeChanged { held: 2, presented: 1, .. })), "{late:?}");
    create(&server, "sync").await;
    server.delete_type(&caller, &name("sync")).await.expect("taken back");
    let left = server.job_type(&caller, &name("sync")).await.expect("it has jobs");
    assert_eq!(left.origin, TypeOrigin::Observed);
    let again = server.delete_type(&caller, &name("sync")).await;
    assert!(matches!(again, Err(Error::TypeNotDeclared(_))), "{again:?}");
    let unknown = server.delete_type(&caller, &name("other")).await;
    assert!(matches!(unknown, Err(Error::TypeNotFound(_))), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_anew_is_known_before_it_is_heard_that_it_was_taken_back() {
    let store = Arc::new(MemoryStore::new());
    let (one, other) = (server(&store), server(&store));
    for text in ["first", "second"] {
        put(&one, spec(&format!(r#"{{"type": "sync", "description": "{text}"}}"#))).await;
    }
    other.load_rules().await.expect("read");
    one.delete_type(&Caller::anonymous(), &name("sync")).await.expect("taken back");
    put(&other, spec(r#"{"type": "sync", "description": "third", "disabled": true}"#)).await;
    let job = create(&other, "sync").await;
    assert_eq!(skipped(&job), Some(SkipReason::TypeDisabled));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_beside_rows_that_cannot_be_read() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    for of in ["broken", "lost", "whole"] {
        let hourly = format!(r#"{{"type": "{of}", "schedule": {{"interval": "1h"}}}}"#);
        put(&server, spec(&hourly)).await;
    }
    let spoil = async |kind, of: &str| {
        let key = RuleKey::new(kind, of);
        let found = store.rules_by_key(std::slice::from_ref(&key)).await.expect("a read");
        let (expected_revision, body) = (found[0].revision, Some(vec![0xc1]));
        let rules = vec![RuleWrite { key, expected_revision, body }];
        let batch = Batch::new(BatchId(uuid::Uuid::now_v7()), server.clock().now());
        store.commit(Batch { rules, ..batch }).await.expect("written");
    };
    spoil(RuleKind::Type, "broken").await;
    spoil(RuleKind::Schedule, "lost").await;
    server.load_rules().await.expect("read");
    server.run_schedules().await.expect("settled");
    let began = server.clock().now();
    assert_eq!(cursor(&store, "lost").await, began, "it begins anew");
    for _ in 0..3 {
        tokio::time::sleep(HOUR).await;
        server.run_schedules().await.expect("settled");
    }
    // The wall clock stands nearly still here, and the server's is drawn to it: an hour of sleep is less by it.
    let hours = |at: Timestamp| usize::try_from(at.as_micros() / 3_600_000_000).expect("hours");
    let passed = hours(server.clock().now()) - hours(began);
    assert!(passed >= 2);
    for (of, fired) in [("broken", 0), ("lost", passed), ("whole", passed)] {
        assert_eq!(jobs_of(&store, of).await.len(), fired, "{of}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reason_for_a_pause_needs_a_pause() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    let (caller, bulk) = (Caller::anonymous(), QueueName::new("bulk").expect("a name"));
    let update = async |paused: bool, reason: &'static str| {
        let change = move |queue: &mut QueueSettings, _: &mut Violations| {
            (queue.paused, queue.pause_reason) = (paused, reason.to_owned());
        };
        server.update_queue(&caller, &bulk, change).await
    };
    let refused = update(false, "repairs").await;
    let Err(Error::Invalid(wrong)) = refused else { panic!("{refused:?}") };
    assert_eq!(wrong.as_slice()[0].field, "queue.pause_reason");
    update(true, "repairs").await.expect("paused");
    // Who ends the pause may leave the reason as it was read.
    let resumed = update(false, "repairs").await.expect("resumed");
    assert_eq!(resumed.settings.pause_reason, "");
}
