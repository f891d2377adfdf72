//! Rows that cannot be read, of jobs and of what is set up: each keeps only what it concerns, and is told of.

use jobplane::domain::BatchId;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::store::{Batch, RuleKey, RuleKind, RuleWrite};
use uuid::Uuid;

use crate::harness::{Client, JobFacts as _, SOON, Server, Shared, eventually, spec};

/// Writes nonsense into rows of what is set up, behind the back of the servers, in one commit.
async fn spoil(server: &Server, keys: &[RuleKey]) {
    let store = server.store();
    let found = store.rules_by_key(keys).await.expect("rules");
    let spoilt = |key: &RuleKey| {
        let rule = found.iter().find(|rule| rule.key == *key);
        let expected_revision = rule.map_or(0, |rule| rule.revision);
        RuleWrite { key: key.clone(), expected_revision, body: Some(vec![0xc1]) }
    };
    let rules = keys.iter().map(spoilt).collect();
    let batch = Batch { rules, ..Batch::new(BatchId(Uuid::now_v7()), server.now()) };
    assert_eq!(store.commit(batch).await.expect("a commit").missed_rules, []);
}

async fn declare(client: &Client, job_type: v1::JobType) {
    let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
    client.types.clone().put_job_type(request).await.expect("declared");
}

async fn pause(client: &Client, queue: &str, paused: bool) {
    let queue = v1::Queue { name: queue.to_owned(), paused, ..v1::Queue::default() };
    let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
    client.admin.clone().update_queue(request).await.expect("changed");
}

#[tokio::test]
async fn jobs_at_the_front_that_cannot_be_read_hold_up_none_behind_them() {
    // One look at the line for each job that is made: no poll helps.
    let server = Server::setup().without_polling().start().await;
    let client = server.client();
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(client.create(spec("sync")).await.id);
    }
    server.spoil_jobs(&ids[..9]);
    let worker = server.worker("w1").slots(1).connect().await;
    for id in &ids[9..] {
        let held = worker.expect_assignment().await;
        assert_eq!(held.id, *id);
        held.succeed().await.expect("taken");
    }
    let later = client.create(spec("sync")).await.id;
    assert_eq!(worker.expect_assignment().await.id, later);
    assert_eq!(server.logged("a waiting job cannot be read"), 9, "each is named once");
    server.forgive();
    server.stop_with(worker).await;
}

#[tokio::test]
async fn a_server_starts_beside_rules_that_cannot_be_read() {
    let mut server = Server::start().await;
    let client = server.client();
    declare(&client, v1::JobType { r#type: "broken".into(), ..v1::JobType::default() }).await;
    pause(&client, "mail", true).await;
    spoil(&server, &[RuleKey::new(RuleKind::Type, "broken")]).await;
    spoil(&server, &[RuleKey::new(RuleKind::Schedule, "broken")]).await;
    server.restart().await;
    let client = server.client();
    let worker = server.worker("w1").queue("mail").queue("default").slots(2).connect().await;
    let waits = client.create(v1::JobSpec { queue: "mail".into(), ..spec("sync") }).await.id;
    let runs = client.create(spec("sync")).await.id;
    assert_eq!(worker.expect_assignment().await.id, runs);
    assert_eq!(client.get(&waits).await.state(), State::Pending, "its queue is paused");
    pause(&client, "mail", false).await;
    assert_eq!(worker.expect_assignment().await.id, waits);
    assert!(server.logged("a rule cannot be read") > 0);
    server.forgive();
    server.stop_with(worker).await;
}

#[tokio::test]
async fn buckets_that_cannot_be_read_begin_anew() {
    let server = Server::start().await;
    let client = server.client();
    let start_rate = Some(v1::StartRate { per_second: 100.0, burst: 1 });
    let paced = v1::JobType { r#type: "paced".into(), start_rate, ..v1::JobType::default() };
    declare(&client, paced).await;
    let queue = v1::Queue { name: "mail".into(), start_rate: 100.0, ..v1::Queue::default() };
    let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
    client.admin.clone().update_queue(request).await.expect("changed");
    let worker = server.worker("w1").queue("mail").connect().await;
    let make = async || {
        let id = client.create(v1::JobSpec { queue: "mail".into(), ..spec("paced") }).await.id;
        let held = worker.expect_assignment().await;
        assert_eq!(held.id, id);
        held.succeed().await.expect("taken");
    };
    make().await;
    let (of, from) = (RuleKey::new(RuleKind::Rate, "paced"), RuleKey::new(RuleKind::Rate, "@mail"));
    for bucket in [of, from] {
        spoil(&server, std::slice::from_ref(&bucket)).await;
        make().await;
        let found = server.store().rules_by_key(&[bucket]).await.expect("rules");
        assert_ne!(found[0].body, [0xc1], "it was written anew");
    }
    server.forgive();
    server.stop_with(worker).await;
}

crate::on_each_shared_store! {
    a_rule_that_cannot_be_read_hides_no_other_from_the_other_server
}

async fn a_rule_that_cannot_be_read_hides_no_other_from_the_other_server(store: Shared) {
    let a = Server::setup().over(store).start().await;
    let b = a.beside().await;
    let (one, two) = (a.client(), b.client());
    let capped = v1::JobType { r#type: "capped".into(), max_concurrent: 1, ..Default::default() };
    declare(&two, capped).await;
    spoil(&a, &[RuleKey::new(RuleKind::Type, "capped")]).await;
    pause(&one, "mail", true).await;
    let worker = b.worker("w1").queue("mail").queue("default").slots(4).connect().await;
    // Nothing is known of the pause before it is heard of: then this waits.
    let is_paused = async || {
        let job = one.create(v1::JobSpec { queue: "mail".into(), ..spec("sync") }).await.id;
        let after = one.create(spec("sync")).await.id;
        two.until(&after, |job| job.state() == State::Running).await;
        let held = worker.expect_assignment().await;
        held.succeed().await.expect("taken");
        let waits = held.id == after && two.get(&job).await.state() == State::Pending;
        if !waits {
            worker.expect_assignment().await.succeed().await.expect("taken");
        }
        waits
    };
    eventually(SOON, "the other server hears of the pause", is_paused).await;
    let id = one.create(spec("sync")).await.id;
    let held = worker.expect_assignment().await;
    assert_eq!(held.id, id);
    one.cancel(&id, None).await.expect("asked");
    assert_eq!(worker.expect_cancel().await.job_id, id, "it is not deaf");
    held.cancelled().await.expect("taken");
    a.forgive();
    drop((worker, held));
    b.stop().await;
    a.stop().await;
}
