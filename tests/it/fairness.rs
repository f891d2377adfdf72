//! Priorities as time passes: what is urgent goes first, and what is low is not forgotten.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::runtime::Clock;
use prost::Message as _;

use crate::harness::{Client, Setup, seconds, spec};

crate::on_each_store! {
    a_low_job_starts_within_ninety_minutes_however_much_is_urgent
}

const MINUTE: Duration = Duration::from_secs(60);

async fn made(client: &Client, priority: v1::Priority) -> String {
    client.create(v1::JobSpec { priority: priority.into(), ..spec("sync") }).await.id
}

/// The one job that starts next.
async fn next(client: &Client) -> (String, i64) {
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        wait: seconds(30.0),
        lease_ttl: seconds(86_400.0),
        ..v1::AcquireJobsRequest::default()
    };
    let mut assigned = client.acquire(request).await.expect("an answer");
    assert_eq!(assigned.len(), 1);
    let assigned = assigned.remove(0);
    let job = v1::Job::decode(assigned.job.expect("a job")).expect("a job");
    (job.id, assigned.lease_epoch)
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
