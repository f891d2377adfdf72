//! Changes of rules that nobody waits for, or that were made elsewhere before.

use std::pin::pin;

use super::*;
use crate::engine::{Error, Queue};

fn mail() -> QueueName {
    QueueName::new("mail").expect("a name")
}

async fn pause(server: &Engine) -> Result<Queue, Error> {
    server.update_queue(&Caller::anonymous(), &mail(), |queue, _| queue.paused = true).await
}

fn hourly() -> JobTypeSpec {
    spec(r#"{"type": "sync", "schedule": {"interval": "1h"}}"#)
}

fn is_paused(server: &Engine) -> bool {
    server.registry.book().pause_reason(&mail()).is_some()
}

/// Asks, and goes away once the rule stands, without having heard an answer.
async fn unwaited<T>(store: &MemoryStore, key: RuleKey, ask: impl Future<Output = T>) {
    let mut ask = pin!(ask);
    loop {
        assert!(futures_util::poll!(&mut ask).is_pending(), "it has heard no answer");
        for _ in 0..100 {
            tokio::task::yield_now().await;
            if !store.rules_by_key(std::slice::from_ref(&key)).await.expect("a read").is_empty() {
                return;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_in_force_although_its_caller_stopped_waiting() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    unwaited(&store, RuleKey::new(RuleKind::Queue, "mail"), pause(&server)).await;
    assert!(is_paused(&server));
    unwaited(&store, RuleKey::new(RuleKind::Type, "sync"), put(&server, hourly())).await;
    assert!(server.registry.definition(&name("sync")).is_some());
    let next = server.agenda.next().expect("it is to fire");
    assert!(next.since(server.clock().now()) <= HOUR);
    tokio::time::sleep(HOUR).await;
    server.run_schedules().await.expect("run");
    assert_eq!(jobs_of(&store, "sync").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_what_stands_already_has_it_in_force() {
    let store = Arc::new(MemoryStore::new());
    let (elsewhere, here) = (server(&store), server(&store));
    pause(&elsewhere).await.expect("paused");
    put(&elsewhere, hourly()).await;
    assert!(!is_paused(&here), "nobody told it");
    pause(&here).await.expect("paused already");
    assert!(is_paused(&here));
    // To be shown it is not yet to fire it.
    here.job_type(&Caller::anonymous(), &name("sync")).await.expect("declared");
    assert_eq!(here.agenda.next(), None);
    assert!(!put(&here, hourly()).await, "it is not new");
    assert_eq!(here.agenda.next(), elsewhere.agenda.next());
    assert!(here.agenda.next().is_some());
}
