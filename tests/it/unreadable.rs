//! Rows that cannot be read, of jobs and of what is set up: each keeps only what it concerns, and is told of.

use std::time::Duration;

use jobplane::auth::Caller;
use jobplane::domain::BatchId;
use jobplane::domain::watchdog::{Basis, Sweep};
use jobplane::engine::SweepQuery;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::runtime::Clock;
use jobplane::store::{Batch, RuleKey, RuleKind, RuleWrite};
use uuid::Uuid;

use crate::harness::{Client, Held, JobFacts as _, SOON, Server, Shared, eventually, spec};

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
    server.spoil_jobs(&ids[..9]).await;
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

#[tokio::test]
async fn a_running_job_that_cannot_be_read_hides_no_stuck_one() {
    let server = Server::start().await;
    let threshold = Duration::from_millis(1);
    let client = server.client();
    let worker = server.worker("w1").slots(4).connect().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        client.create(spec("sync")).await;
        held.push(worker.expect_assignment().await);
    }
    let four: [Held; 4] = held.try_into().ok().expect("four");
    let [by_hand, spoilt, other, by_itself] = four;
    server.spoil_jobs(std::slice::from_ref(&spoilt.id)).await;
    by_itself.succeed().await.expect("taken");
    let sweep = Sweep { threshold, basis: Basis::Start, include_pending: false, types: Vec::new() };
    let query = SweepQuery { sweep, validate_only: false, reason: String::new() };
    let caller = Caller::anonymous();
    let swept = server.engine().sweep(&caller, query).await.expect("swept");
    assert_eq!(swept.count, 2, "one cannot be judged, and the log says so");
    for _ in [&by_hand, &other] {
        assert_eq!(worker.expect_cancel().await.cause(), v1::CancelCause::Stuck);
    }
    // The one by the configuration comes to its end, too.
    server.engine().sweep_stuck().await.expect("swept");
    assert_eq!(server.logged("a job cannot be read"), 1);
    server.forgive();
    drop((by_hand, spoilt, other, by_itself));
    server.stop_with(worker).await;
}

#[tokio::test]
async fn a_bulk_command_leaves_a_job_that_cannot_be_read_and_says_so() {
    let server = Server::start().await;
    let client = server.client();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(client.create(spec("sync")).await.id);
    }
    let spoilt = ids.remove(1);
    server.spoil_jobs(std::slice::from_ref(&spoilt)).await;
    let request = v1::BulkCancelJobsRequest {
        filter: Some(v1::JobFilter { types: vec!["sync".to_owned()], ..Default::default() }),
        expected_max: 3,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_cancel_jobs(request).await.expect("begun").into_inner();
    assert_eq!((begun.count, begun.sample.len()), (3, 2));
    let bulk = begun.job.expect("a job").id;
    let done = client.until(&bulk, |job| job.state() == State::Succeeded).await;
    let progress = done.status().progress.clone().expect("progress");
    assert_eq!((progress.succeeded, progress.failed), (2, 1));
    let wish = v1::ListJobLogsRequest { job_id: bulk, ..Default::default() };
    let lines = client.logs(wish).await.entries;
    let said = format!("job {spoilt}: it cannot be read");
    assert!(lines.iter().any(|line| line.message == said), "{lines:?}");
    for id in &ids {
        assert_eq!(client.get(id).await.state(), State::Cancelled);
    }
    server.forgive();
    server.stop().await;
}

#[tokio::test]
async fn a_bulk_command_that_cannot_be_read_keeps_no_purge_from_its_end() {
    let mut server = Server::start().await;
    let client = server.client();
    for _ in 0..2 {
        client.create(spec("sync")).await;
    }
    let request = v1::BulkCancelJobsRequest {
        filter: Some(v1::JobFilter { types: vec!["sync".to_owned()], ..Default::default() }),
        expected_max: 2,
        rate: 0.01,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_cancel_jobs(request).await.expect("begun").into_inner();
    let bulk = begun.job.expect("a job").id;
    client.cancel(&bulk, None).await.expect("asked");
    client.until(&bulk, |job| job.state() == State::Cancelled).await;
    server.halt().await;
    server.set_clock(Clock::ahead_by(2 * 86_400 * 1_000_000));
    server.resume().await;
    let ran = async || server.logged("purge: ") > 0;
    eventually(SOON, "a purge that can read all", ran).await;
    let before = server.logged("purge: ");
    server.spoil_jobs(&[bulk]).await;
    server.set_clock(Clock::ahead_by(4 * 86_400 * 1_000_000));
    server.restart().await;
    eventually(SOON, "it comes to its end", async || server.logged("purge: ") > before).await;
    assert_eq!(server.logged("purge left"), 0);
    server.forgive();
    server.stop().await;
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
