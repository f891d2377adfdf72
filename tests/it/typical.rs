//! What runs of a type usually take, and what the server says of one that is under way: when it will be done, and that
//! it takes too long.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::event::Facts;
use jobplane::runtime::Clock;
use prost::Message as _;

use crate::harness::{Client, JobFacts as _, Setup, seconds, spec};

crate::on_each_store! {
    a_learned_type_has_an_end_in_sight_and_a_slow_run_is_told_once
}

/// What runs take.
const USUAL: Duration = Duration::from_secs(100);
/// As many as it takes to call another one slow.
const RUNS: usize = 20;

async fn begin(client: &Client, spec: v1::JobSpec) -> (String, i64) {
    let id = client.create(spec).await.id;
    let request = v1::AcquireJobsRequest {
        worker_id: "w1".to_owned(),
        wait: seconds(30.0),
        lease_ttl: seconds(86_400.0),
        ..v1::AcquireJobsRequest::default()
    };
    let mut assigned = client.acquire(request).await.expect("an answer");
    let assigned = assigned.pop().expect("the job");
    let job = v1::Job::decode(assigned.job.expect("a job")).expect("a job");
    assert_eq!(job.id, id);
    (id, assigned.lease_epoch)
}

/// How long the job will still take, as GetJob says; and as the summary of its type does, if it is the last one.
async fn remaining(client: &Client, id: &str) -> Option<Duration> {
    let of = |job: &v1::Job| {
        let progress = job.status().progress.clone()?;
        progress.remaining.map(|left| Duration::try_from(left).expect("positive"))
    };
    let got = of(&client.get(id).await);
    let request = v1::GetSummaryRequest { types: vec!["sync".to_owned()], ..Default::default() };
    let answer = client.jobs.clone().get_summary(request).await.expect("a summary").into_inner();
    let last = answer.summaries.into_iter().filter_map(|summary| summary.last_job);
    let last: Vec<v1::Job> = last.filter(|job| job.id == id).collect();
    for job in &last {
        assert_eq!(of(job).is_some(), got.is_some(), "the summary says the same");
    }
    got
}

/// The jobs that were told slow, with what 95 of 100 runs take at most.
async fn slow(client: &Client) -> Vec<(String, Duration, Duration)> {
    let names = vec!["job_slow".to_owned()];
    let request = v1::ListEventsRequest { names, page_size: 1_000, ..Default::default() };
    let events = client.admin.clone().list_events(request).await.expect("events").into_inner();
    let span = |span: Option<prost_types::Duration>| {
        Duration::try_from(span.expect("known")).expect("positive")
    };
    let told = events.events.into_iter().filter_map(|event| match event.facts {
        Some(Facts::JobSlow(facts)) => {
            assert_eq!(
                (event.r#type.as_str(), event.severity()),
                ("sync", v1::EventSeverity::Warning)
            );
            Some((event.job_id, span(facts.run_duration), span(facts.p95)))
        }
        _ => None,
    });
    told.collect()
}

fn about(found: Duration, expected: Duration) -> bool {
    found.abs_diff(expected) <= expected / 20 + Duration::from_secs(5)
}

async fn a_learned_type_has_an_end_in_sight_and_a_slow_run_is_told_once(setup: Setup) {
    let clock = Clock::new();
    let server = setup.in_its_own_time(clock.clone()).start().await;
    let client = server.client();
    for _ in 0..RUNS {
        let (id, epoch) = begin(&client, spec("sync")).await;
        clock.follow(clock.now().plus(USUAL));
        client.complete(&id, epoch).await.expect("taken");
    }
    // A minute counts when nobody adds to it any more.
    clock.follow(clock.now().plus(Duration::from_secs(300)));
    let (runs, lease_epoch) = begin(&client, spec("sync")).await;
    // It says how far it is, but not how far it has to go.
    let report = v1::ReportJobRequest {
        job_id: runs.clone(),
        lease_epoch,
        progress: Some(v1::Progress { completed: 3, ..v1::Progress::default() }),
        ..v1::ReportJobRequest::default()
    };
    client.report(report).await.expect("taken");
    server.engine().watch_slow().await.expect("looked");
    let left = remaining(&client, &runs).await.expect("known");
    assert!(about(left, USUAL), "{left:?}");
    clock.follow(clock.now().plus(USUAL / 2));
    let left = remaining(&client, &runs).await.expect("known");
    assert!(about(left, USUAL / 2), "{left:?}");
    // Longer than usual is not slow yet; twice what nearly all take is.
    clock.follow(clock.now().plus(USUAL));
    server.engine().watch_slow().await.expect("looked");
    assert_eq!(slow(&client).await, []);
    assert_eq!(remaining(&client, &runs).await, None, "none on record took as long");
    clock.follow(clock.now().plus(USUAL));
    server.engine().watch_slow().await.expect("looked");
    for _ in 0..3 {
        clock.follow(clock.now().plus(USUAL));
        server.engine().watch_slow().await.expect("looked");
    }
    let told = slow(&client).await;
    assert_eq!(told.len(), 1, "once: {told:?}");
    let (id, took, p95) = &told[0];
    assert_eq!(id, &runs);
    assert!(about(*p95, USUAL) && *took > 2 * *p95, "{told:?}");
    server.abandon().await;
}
