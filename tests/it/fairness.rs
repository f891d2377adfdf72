//! Priorities as time passes: what is urgent goes first, and what is low is not forgotten.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::runtime::Clock;
use prost::Message as _;

use crate::harness::{Client, Setup, seconds, spec};

crate::on_each_store! {
    a_low_job_starts_within_ninety_minutes_however_much_is_urgent
    of_many_types_those_that_wait_longest_go_first
}

const MINUTE: Duration = Duration::from_secs(60);

async fn made(client: &Client, priority: v1::Priority) -> String {
    client.create(v1::JobSpec { priority: priority.into(), ..spec("sync") }).await.id
}

/// The jobs that start next, with the number of each attempt's lease: at least one, at most so many.
async fn some(client: &Client, max_jobs: i32) -> Vec<(v1::Job, i64)> {
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        max_jobs,
        wait: seconds(30.0),
        lease_ttl: seconds(86_400.0),
        ..v1::AcquireJobsRequest::default()
    };
    let assigned = client.acquire(request).await.expect("an answer");
    let job = |job: Option<bytes::Bytes>| v1::Job::decode(job.expect("a job")).expect("a job");
    assigned.into_iter().map(|one| (job(one.job), one.lease_epoch)).collect()
}

/// The one job that starts next.
async fn next(client: &Client) -> (String, i64) {
    let [(job, lease_epoch)] = some(client, 1).await.try_into().expect("one job");
    (job.id, lease_epoch)
}

async fn a_low_job_starts_within_ninety_minutes_however_much_is_urgent(setup: Setup) {
    let clock = Clock::new();
    let server = setup.in_its_own_time(clock.clone()).start().await;
    let client = server.client();
    let low = made(&client, v1::Priority::Low).await;
    let began = clock.now();
    let mut served = 0;
    for _ in 0..3 {
        made(&client, v1::Priority::Urgent).await;
    }
    // As much comes every minute as a minute can do: some that are urgent wait all the while.
    loop {
        made(&client, v1::Priority::Urgent).await;
        let (id, epoch) = next(&client).await;
        let passed = clock.now().since(began);
        if id == low {
            assert!(passed >= 60 * MINUTE, "urgent ones go before it for an hour: {passed:?}");
            assert!(served >= 60, "{served}");
            break;
        }
        assert!(passed <= 90 * MINUTE, "{served} urgent ones went before it");
        clock.follow(clock.now().plus(MINUTE));
        client.complete(&id, epoch).await.expect("taken");
        served += 1;
    }
    server.abandon().await;
}

/// A round looks at more types than it can look at in full.
async fn of_many_types_those_that_wait_longest_go_first(setup: Setup) {
    const OLD: usize = 60;
    let clock = Clock::new();
    let server = setup.in_its_own_time(clock.clone()).start().await;
    let client = server.client();
    for _ in 0..OLD {
        client.create(spec("old")).await;
    }
    clock.follow(clock.now().plus(MINUTE));
    for number in 0..150 {
        client.create(spec(&format!("young_{}", number % 30))).await;
    }
    let mut taken = Vec::new();
    while taken.len() < OLD + 150 {
        let jobs = some(&client, 20).await.into_iter();
        taken.extend(jobs.map(|(job, _)| job.spec.expect("a spec").r#type));
    }
    let young_before = taken.iter().take(OLD).filter(|name| *name != "old").count();
    assert_eq!(young_before, 0, "{taken:?}");
    server.abandon().await;
}
