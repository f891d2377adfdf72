//! Workers that are told apart by their names alone, and drains that cannot be settled.

use uuid::Uuid;

use super::*;
use crate::domain::job_type::Draft;
use crate::domain::limits::DRAIN_KEPT;
use crate::domain::{BatchId, JobId, JobSpec, QueueName, StateKind};
use crate::engine::schedule::tests::{Server, name, server};
use crate::engine::{CreateJob, Started, Waiter};
use crate::store::Batch;
use crate::store::memory::MemoryStore;

const MINUTE: Duration = Duration::from_secs(60);

fn worker(name: &str) -> WorkerName {
    WorkerName::new(name).expect("a name")
}

/// A job that a process without an instance runs under this name, in a session of its own.
async fn runs(server: &Server, under: &str) -> JobId {
    let waiter = Waiter {
        caller: Caller::anonymous(),
        worker_id: worker(under),
        instance_id: InstanceId::new("").expect("none"),
        queues: Vec::new(),
        types: vec![name("sync")],
        max_jobs: 1,
        lease_ttl: DRAIN_KEPT * 4,
    };
    let draft =
        Draft { started: true, ..Draft::new(JobSpec::new(name("sync"), QueueName::default())) };
    let create = CreateJob { draft, request: None, validate_only: false };
    match server.start(waiter, create).await {
        Ok(Started::Assigned(assignment)) => assignment.job.id,
        _ => panic!("not started"),
    }
}

async fn drain(server: &Server, named: &str, grace: Duration) {
    let which = WhichWorker::Named(worker(named));
    let drain = DrainWorker { which, grace, reason: String::new() };
    server.drain_worker(&Caller::anonymous(), drain).await.expect("drained");
}

async fn state(server: &Server, job_id: JobId) -> StateKind {
    server.find(job_id).await.expect("an answer").expect("there").status.kind()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_to_leave_again_has_its_new_grace() {
    let server = server(&Arc::new(MemoryStore::new()));
    let first = runs(&server, "w1").await;
    drain(&server, "w1", MINUTE).await;
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(server.settle_drains().await.expect("settled"), 1);
    assert_eq!(state(&server, first).await, StateKind::Pending);
    // A successor of that name.
    let second = runs(&server, "w1").await;
    drain(&server, "w1", 30 * MINUTE).await;
    tokio::time::sleep(20 * MINUTE).await;
    assert_eq!(server.settle_drains().await.expect("settled"), 0);
    assert_eq!(state(&server, second).await, StateKind::Running);
    tokio::time::sleep(20 * MINUTE).await;
    assert_eq!(server.settle_drains().await.expect("settled"), 1);
    assert_eq!(state(&server, second).await, StateKind::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_cannot_be_read_keeps_no_other_from_being_settled() {
    let store = Arc::new(MemoryStore::new());
    let server = server(&store);
    for named in ["w1", "w2"] {
        runs(&server, named).await;
        drain(&server, named, MINUTE).await;
    }
    let [broken, other] = ["/w1", "/w2"].map(|key| RuleKey::new(RuleKind::Drain, key));
    let found = store.rules_by_key(std::slice::from_ref(&broken)).await.expect("rules");
    let spoilt =
        RuleWrite { key: broken, expected_revision: found[0].revision, body: Some(vec![0xc1]) };
    let batch = Batch::new(BatchId(Uuid::now_v7()), server.clock.now());
    store.commit(Batch { rules: vec![spoilt], ..batch }).await.expect("written");
    tokio::time::sleep(DRAIN_KEPT * 2).await;
    server.settle_drains().await.expect_err("it cannot be read");
    assert_eq!(store.rules_by_key(&[other]).await.expect("rules"), []);
}
