//! Rows of what is set up that cannot be read: to set it up anew mends them.

use uuid::Uuid;

use super::*;
use crate::domain::BatchId;
use crate::domain::ids::QuotaName;
use crate::domain::quota::{OnExhausted, Period, QuotaSpec};
use crate::store::{Batch, RuleWrite};

/// Writes nonsense into a row, behind the back of the server.
async fn spoil(store: &MemoryStore, server: &Engine, kind: RuleKind, name: &str) {
    let key = RuleKey::new(kind, name);
    let found = store.rules_by_key(std::slice::from_ref(&key)).await.expect("a read");
    let expected_revision = found.first().map_or(0, |rule| rule.revision);
    let rules = vec![RuleWrite { key, expected_revision, body: Some(vec![0xc1]) }];
    let batch = Batch { rules, ..Batch::new(BatchId(Uuid::now_v7()), server.clock().now()) };
    assert_eq!(store.commit(batch).await.expect("a commit").missed_rules, []);
}

/// Whether a row says something.
async fn is_mended(store: &MemoryStore, kind: RuleKind, name: &str) -> bool {
    let found = store.rules_by_key(&[RuleKey::new(kind, name)]).await.expect("a read");
    found.first().is_some_and(|rule| rule.body != [0xc1])
}

fn quota(limit: u64) -> QuotaSpec {
    let (period, on_exhausted) = (Period::Day, OnExhausted::Wait);
    QuotaSpec { limit, period, time_zone: String::new(), on_exhausted }
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_changed_from_what_was_known_of_it() {
    let store = Arc::new(MemoryStore::new());
    let (server, caller) = (server(&store), Caller::anonymous());
    let mail = QueueName::new("mail").expect("a name");
    server.update_queue(&caller, &mail, |queue, _| queue.max_running = 7).await.expect("changed");
    spoil(&store, &server, RuleKind::Queue, "mail").await;
    let queue = server.update_queue(&caller, &mail, |queue, _| queue.paused = true).await;
    let settings = queue.expect("changed").settings;
    assert_eq!((settings.paused, settings.max_running), (true, 7));
    assert!(is_mended(&store, RuleKind::Queue, "mail").await);
    spoil(&store, &server, RuleKind::Queue, "mail").await;
    server.update_queue(&caller, &mail, |queue, _| queue.paused = true).await.expect("as it is");
    assert!(is_mended(&store, RuleKind::Queue, "mail").await);
}

#[tokio::test(start_paused = true)]
async fn what_holds_for_the_whole_server_is_changed_from_what_was_known_of_it() {
    use crate::engine::registry::DEFAULTS;
    let store = Arc::new(MemoryStore::new());
    let (server, caller) = (server(&store), Caller::anonymous());
    server.update_defaults(&caller, |defaults| defaults.max_pending = 7).await.expect("changed");
    spoil(&store, &server, RuleKind::Type, DEFAULTS).await;
    assert_eq!(server.defaults(&caller).await.expect("an answer").max_pending, 7);
    let defaults = server.update_defaults(&caller, |defaults| defaults.max_pending = 7).await;
    assert_eq!(defaults.expect("as it is").max_pending, 7);
    assert!(is_mended(&store, RuleKind::Type, DEFAULTS).await);
}

#[tokio::test(start_paused = true)]
async fn a_type_is_declared_anew_or_taken_back() {
    let store = Arc::new(MemoryStore::new());
    let (server, caller) = (server(&store), Caller::anonymous());
    let hourly = || spec(r#"{"type": "sync", "schedule": {"interval": "1h"}}"#);
    put(&server, hourly()).await;
    for kind in [RuleKind::Type, RuleKind::Schedule] {
        spoil(&store, &server, kind, "sync").await;
    }
    let shown = server.job_type(&caller, &name("sync")).await.expect("an answer");
    assert_eq!(shown.spec, hourly(), "as it is known");
    assert!(!put(&server, hourly()).await, "it is not new");
    for kind in [RuleKind::Type, RuleKind::Schedule] {
        assert!(is_mended(&store, kind, "sync").await, "{kind:?}");
        spoil(&store, &server, kind, "sync").await;
    }
    put(&server, spec(r#"{"type": "sync"}"#)).await;
    let key = RuleKey::new(RuleKind::Schedule, "sync");
    assert!(store.rules_by_key(&[key]).await.expect("a read").is_empty(), "it has none any more");
    spoil(&store, &server, RuleKind::Type, "sync").await;
    server.delete_type(&caller, &name("sync")).await.expect("taken back");
    let key = RuleKey::new(RuleKind::Type, "sync");
    assert!(store.rules_by_key(&[key]).await.expect("a read").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_set_up_anew_or_taken_away_and_hides_no_other() {
    let store = Arc::new(MemoryStore::new());
    let (server, caller) = (server(&store), Caller::anonymous());
    let [api, mail] = ["api", "mail"].map(|name| QuotaName::new(name).expect("a name"));
    for name in [&api, &mail] {
        server.put_quota(&caller, name.clone(), quota(100)).await.expect("set up");
    }
    spoil(&store, &server, RuleKind::QuotaUse, "api").await;
    let (again, created) =
        server.put_quota(&caller, api.clone(), quota(90)).await.expect("changed");
    assert_eq!((again.used, again.remaining, created), (0, 90, false));
    spoil(&store, &server, RuleKind::Quota, "api").await;
    let all = server.quotas(&caller).await.expect("an answer");
    let limits: Vec<u64> = all.iter().map(|quota| quota.spec.limit).collect();
    assert_eq!(limits, [90, 100], "as they are known");
    let (again, created) = server.put_quota(&caller, api.clone(), quota(90)).await.expect("mended");
    assert_eq!((again.spec.limit, created), (90, false));
    assert!(is_mended(&store, RuleKind::Quota, "api").await);
    spoil(&store, &server, RuleKind::Quota, "mail").await;
    server.delete_quota(&caller, &mail).await.expect("taken away");
    assert_eq!(server.quotas(&caller).await.expect("an answer").len(), 1);
}
