//! One command for many jobs: counted first, done by a job of the server's own, at a pace, each once.

use std::collections::BTreeSet;

use jobplane::domain::StateKind;
use jobplane::proto::v1;
use jobplane::proto::v1::{JobFilter, JobState};
use jobplane::store::Batch;
use tonic::Code;

use crate::harness::{
    Client, Fault, JobFacts as _, SOON, Server, Shared, Told as _, eventually, spec,
};
use crate::on_each_shared_store;

const BULK: &str = "jobplane.bulk";

fn of_type(job_type: &str) -> JobFilter {
    JobFilter { types: vec![job_type.to_owned()], ..JobFilter::default() }
}

fn cancel_of(job_type: &str, expected_max: i64) -> v1::BulkCancelJobsRequest {
    v1::BulkCancelJobsRequest {
        filter: Some(of_type(job_type)),
        expected_max,
        reason: "a bad deploy".to_owned(),
        ..Default::default()
    }
}

async fn cancel(client: &Client, request: v1::BulkCancelJobsRequest) -> v1::BulkCancelJobsResponse {
    client.jobs.clone().bulk_cancel_jobs(request).await.expect("begun").into_inner()
}

async fn made(client: &Client, job_type: &str, count: usize) -> BTreeSet<String> {
    let one = || v1::CreateJobRequest { spec: Some(spec(job_type)), ..Default::default() };
    let requests = (0..count).map(|_| one()).collect();
    let request = v1::BatchCreateJobsRequest { requests };
    client.jobs.clone().batch_create_jobs(request).await.expect("made");
    listed(client, Some(of_type(job_type))).await.into_iter().map(|job| job.id).collect()
}

async fn listed(client: &Client, filter: Option<JobFilter>) -> Vec<v1::Job> {
    let request = v1::ListJobsRequest { filter, page_size: 1_000, ..Default::default() };
    client.list(request).await.expect("a page").jobs
}

async fn in_state(client: &Client, job_type: &str, state: JobState) -> usize {
    let jobs = listed(client, Some(of_type(job_type))).await;
    jobs.iter().filter(|job| job.state() == state).count()
}

async fn ended(client: &Client, job: Option<v1::Job>) -> v1::Job {
    let id = job.expect("the job that does it").id;
    let over = async || {
        let job = client.get(&id).await;
        !matches!(job.state(), JobState::Pending | JobState::Running)
    };
    // Slow ones take seconds by themselves.
    eventually(6 * SOON, "the command comes to its end", over).await;
    client.get(&id).await
}

fn counted(job: &v1::Job) -> (i64, i64, i64) {
    let progress = job.status().progress.clone().expect("progress");
    (progress.total.unwrap_or_default(), progress.succeeded, progress.failed)
}

#[tokio::test]
async fn every_job_that_matches_is_cancelled_and_no_other() {
    let server = Server::start().await;
    let client = server.client();
    let meant = made(&client, "sync", 150).await;
    made(&client, "other", 3).await;
    let dry = v1::BulkCancelJobsRequest { validate_only: true, ..cancel_of("sync", 0) };
    let seen = cancel(&client, dry).await;
    assert_eq!((seen.count, seen.count_capped, seen.sample.len()), (150, false, 20));
    assert!(seen.job.is_none() && seen.sample.iter().all(|job| meant.contains(&job.id)));
    assert_eq!(in_state(&client, "sync", JobState::Pending).await, 150, "only counted");

    let begun = cancel(&client, cancel_of("sync", 150)).await;
    assert_eq!((begun.count, begun.sample.len()), (150, 20));
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (150, 150, 0)));
    assert_eq!(in_state(&client, "sync", JobState::Cancelled).await, 150);
    assert_eq!(in_state(&client, "other", JobState::Pending).await, 3);
    let one = client.get(meant.first().expect("one")).await;
    assert_eq!(one.status().revision, 2, "changed once");

    let again = cancel(&client, cancel_of("sync", 1)).await;
    assert_eq!(again.count, 0);
    assert_eq!(ended(&client, again.job).await.state(), JobState::Succeeded);
    server.stop().await;
}

#[tokio::test]
async fn a_full_server_is_no_hindrance_and_none_of_its_places_is_taken() {
    let server = Server::setup().in_memory().with(|config| config.max_running = 1).start().await;
    let client = server.client();
    made(&client, "sync", 2).await;
    let worker = server.worker("w1").slots(2).connect().await;
    let held = worker.expect_assignment().await;
    // The one that runs has its grace; the command is not held up by it.
    let begun = cancel(&client, cancel_of("sync", 2)).await;
    assert_eq!(counted(&ended(&client, begun.job).await), (2, 2, 0));
    worker.expect_cancel().await;
    held.cancelled().await.expect("taken");
    // One that takes long leaves the place to others.
    made(&client, "sync", 30).await;
    let held = worker.expect_assignment().await;
    let slow = v1::BulkCancelJobsRequest { rate: 1.0, ..cancel_of("sync", 30) };
    let slow = cancel(&client, slow).await.job.expect("the job that does it");
    client.until(&slow.id, |job| job.state() == JobState::Running).await;
    held.succeed().await.expect("taken");
    worker.expect_assignment().await;
    assert_eq!(client.get(&slow.id).await.state(), JobState::Running);
    server.abandon().await;
}

#[tokio::test]
async fn a_command_for_one_job_is_counted_too() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    made(&client, "sync", 1).await;
    let begun = cancel(&client, cancel_of("sync", 1)).await;
    assert_eq!(counted(&ended(&client, begun.job).await), (1, 1, 0));
    server.stop_with(client).await;
}

#[tokio::test]
async fn every_number_of_a_bulk_command_out_of_range_names_its_field() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let good = || cancel_of("sync", 10);
    let running = v1::BulkDeleteJobsRequest {
        filter: Some(JobFilter { states: vec![JobState::Running.into()], ..JobFilter::default() }),
        expected_max: 1,
        ..Default::default()
    };
    let refused = client.jobs.clone().bulk_delete_jobs(running).await.refusal();
    assert_eq!(refused.fields, ["filter.states[0]"]);
    let refused = client.jobs.clone().bulk_retry_jobs(v1::BulkRetryJobsRequest::default()).await;
    assert_eq!(refused.refusal().fields, ["filter", "expected_max"]);
    let reserved = JobFilter { types: vec![BULK.to_owned()], ..JobFilter::default() };
    for (request, fields) in [
        (v1::BulkCancelJobsRequest { expected_max: 0, ..good() }, ["expected_max"]),
        (v1::BulkCancelJobsRequest { expected_max: -1, ..good() }, ["expected_max"]),
        (v1::BulkCancelJobsRequest { expected_max: 10_000_001, ..good() }, ["expected_max"]),
        (v1::BulkCancelJobsRequest { rate: -1.0, ..good() }, ["rate"]),
        (v1::BulkCancelJobsRequest { rate: 0.001, ..good() }, ["rate"]),
        (v1::BulkCancelJobsRequest { rate: 10_000.1, ..good() }, ["rate"]),
        (v1::BulkCancelJobsRequest { rate: f64::NAN, ..good() }, ["rate"]),
        (v1::BulkCancelJobsRequest { filter: None, ..good() }, ["filter"]),
        (v1::BulkCancelJobsRequest { filter: Some(reserved), ..good() }, ["filter.types[0]"]),
        (v1::BulkCancelJobsRequest { reason: "x".repeat(1_025), ..good() }, ["reason"]),
        (v1::BulkCancelJobsRequest { request_id: "x".repeat(129), ..good() }, ["request_id"]),
        (
            v1::BulkCancelJobsRequest {
                grace: Some(prost_types::Duration { seconds: 3_601, nanos: 0 }),
                ..good()
            },
            ["grace"],
        ),
    ] {
        let refused = client.jobs.clone().bulk_cancel_jobs(request.clone()).await.refusal();
        assert_eq!(refused.code, Code::InvalidArgument, "{request:?}");
        assert_eq!(refused.fields, fields, "{request:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn more_jobs_than_expected_are_left_alone() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    made(&client, "sync", 5).await;
    let refused = client.jobs.clone().bulk_cancel_jobs(cancel_of("sync", 4)).await.refusal();
    assert_eq!(
        (refused.code, refused.reason.as_str()),
        (Code::ResourceExhausted, "LIMIT_EXCEEDED")
    );
    assert_eq!(refused.fact("count"), "5");
    assert_eq!(in_state(&client, "sync", JobState::Pending).await, 5);
    server.stop().await;
}

#[tokio::test]
async fn the_same_request_again_is_the_same_command() {
    let server = Server::start().await;
    let client = server.client();
    made(&client, "sync", 5).await;
    let request = v1::BulkCancelJobsRequest { request_id: "r1".to_owned(), ..cancel_of("sync", 9) };
    let first = cancel(&client, request.clone()).await.job.expect("a job");
    ended(&client, Some(first.clone())).await;
    let again = cancel(&client, request.clone()).await;
    assert_eq!((again.job.expect("a job").id, again.count), (first.id, 5));
    let other = v1::BulkCancelJobsRequest { rate: 7.0, ..request };
    let refused = client.jobs.clone().bulk_cancel_jobs(other).await;
    assert_eq!(refused.reason(), "REQUEST_ID_REUSED");
    server.stop().await;
}

#[tokio::test]
async fn a_command_that_is_cancelled_stops_where_it_is() {
    let server = Server::start().await;
    let client = server.client();
    made(&client, "sync", 200).await;
    let slow = v1::BulkCancelJobsRequest { rate: 20.0, ..cancel_of("sync", 200) };
    let job = cancel(&client, slow).await.job.expect("a job");
    eventually(SOON, "it has begun", || async {
        in_state(&client, "sync", JobState::Cancelled).await > 3
    })
    .await;
    client.cancel(&job.id, None).await.expect("asked");
    assert_eq!(ended(&client, Some(job)).await.state(), JobState::Cancelled);
    let done = in_state(&client, "sync", JobState::Cancelled).await;
    assert!((4..200).contains(&done), "{done} were cancelled");
    assert_eq!(in_state(&client, "sync", JobState::Cancelled).await, done);
    server.stop().await;
}

#[tokio::test]
async fn a_command_goes_on_after_a_restart_and_touches_each_job_once() {
    let mut server = Server::start().await;
    let client = server.client();
    let meant = made(&client, "sync", 120).await;
    cancel(&client, cancel_of("sync", 120)).await;
    eventually(SOON, "all are over", || async {
        in_state(&client, "sync", JobState::Cancelled).await == 120
    })
    .await;
    let request = v1::BulkRetryJobsRequest {
        filter: Some(of_type("sync")),
        expected_max: 120,
        rate: 40.0,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_retry_jobs(request).await.expect("begun").into_inner();
    assert_eq!(begun.count, 120);
    eventually(SOON, "it has begun", || async {
        in_state(&client, "sync", JobState::Pending).await > 5
    })
    .await;
    server.restart().await;
    let client = server.client();
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (120, 120, 0)));
    for id in &meant {
        let job = client.get(id).await;
        assert_eq!((job.state(), job.status().revision), (JobState::Pending, 3), "{id}");
    }
    server.stop().await;
}

#[tokio::test]
async fn jobs_that_refuse_are_counted_and_told_in_the_log() {
    let server = Server::start().await;
    let client = server.client();
    let keyed = || v1::JobSpec { unique_key: "one".to_owned(), ..spec("sync") };
    let old = client.create(keyed()).await.id;
    client.cancel(&old, None).await.expect("cancelled");
    let holder = client.create(keyed()).await.id;
    let free = client.create(spec("sync")).await.id;
    client.cancel(&free, None).await.expect("cancelled");
    let request = v1::BulkRetryJobsRequest {
        filter: Some(of_type("sync")),
        expected_max: 9,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_retry_jobs(request).await.expect("begun").into_inner();
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (2, 1, 1)));
    assert_eq!(client.get(&free).await.state(), JobState::Pending);
    assert_eq!(client.get(&old).await.state(), JobState::Cancelled);
    let wish = v1::ListJobLogsRequest { job_id: done.id, ..Default::default() };
    let lines = client.logs(wish).await.entries;
    assert!(lines.iter().any(|line| line.message.contains(&holder)), "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_line_of_a_command_that_the_store_does_not_take_comes_later() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    let mut refused = Vec::new();
    for key in ["one", "two"] {
        let keyed = || v1::JobSpec { unique_key: key.to_owned(), ..spec("sync") };
        let old = client.create(keyed()).await.id;
        client.cancel(&old, None).await.expect("cancelled");
        client.create(keyed()).await;
        refused.push(old);
    }
    server.faults.plan(Fault::Refused, |batch| !batch.logs.is_empty());
    let request = v1::BulkRetryJobsRequest {
        filter: Some(of_type("sync")),
        expected_max: 9,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_retry_jobs(request).await.expect("begun").into_inner();
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (2, 0, 2)));
    assert!(server.faults.happened());
    let wish = v1::ListJobLogsRequest { job_id: done.id, ..Default::default() };
    let lines = client.logs(wish).await.entries;
    for id in &refused {
        assert!(lines.iter().any(|line| line.message.contains(id)), "{lines:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn jobs_that_are_over_are_deleted() {
    let server = Server::start().await;
    let client = server.client();
    made(&client, "sync", 130).await;
    let begun = cancel(&client, cancel_of("sync", 130)).await;
    ended(&client, begun.job).await;
    let waits = client.create(spec("sync")).await.id;
    let request = v1::BulkDeleteJobsRequest {
        filter: Some(of_type("sync")),
        expected_max: 130,
        ..Default::default()
    };
    let begun = client.jobs.clone().bulk_delete_jobs(request).await.expect("begun").into_inner();
    assert_eq!(begun.count, 130);
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (130, 130, 0)));
    let left: Vec<String> =
        listed(&client, Some(of_type("sync"))).await.into_iter().map(|job| job.id).collect();
    assert_eq!(left, [waits]);
    server.stop().await;
}

#[tokio::test]
async fn the_servers_own_jobs_are_shown_to_who_asks_for_them() {
    let server = Server::start().await;
    let client = server.client();
    made(&client, "sync", 2).await;
    // Takes all types that come to its queue.
    let worker = server.worker("w1").slots(9).connect().await;
    let begun = cancel(&client, cancel_of("nothing", 2)).await;
    let bulk = ended(&client, begun.job).await;
    assert_eq!(bulk.state(), JobState::Succeeded);
    assert_eq!(listed(&client, None).await.len(), 2);
    let shown = listed(&client, Some(of_type(BULK))).await;
    assert_eq!(shown.iter().map(|job| &job.id).collect::<Vec<_>>(), [&bulk.id]);
    let by_id = JobFilter { job_ids: vec![bulk.id.clone()], ..JobFilter::default() };
    assert_eq!(listed(&client, Some(by_id)).await.len(), 1);
    let stats = client.stats().await;
    assert_eq!(stats.by_type.len(), 1);
    assert_eq!(stats.by_queue.len(), 1);
    let request = v1::GetSummaryRequest::default();
    let summary = client.jobs.clone().get_summary(request).await.expect("a summary").into_inner();
    assert_eq!(summary.summaries.len(), 1);
    let queues = client.admin.clone().list_queues(v1::ListQueuesRequest {}).await.expect("queues");
    assert_eq!(queues.into_inner().queues.len(), 1);
    let workers: Vec<String> =
        client.workers().await.into_iter().map(|worker| worker.worker_id).collect();
    assert_eq!(workers, ["w1"]);
    let mine = v1::JobSpec { r#type: BULK.to_owned(), ..spec("sync") };
    let request = v1::CreateJobRequest { spec: Some(mine), ..Default::default() };
    assert_eq!(client.try_create(request).await.refusal().code, Code::InvalidArgument);
    let thief = v1::AcquireJobsRequest {
        worker_id: "w2".to_owned(),
        queues: vec![BULK.to_owned()],
        ..Default::default()
    };
    assert_eq!(client.acquire(thief).await.refusal().code, Code::InvalidArgument);
    server.stop_with(worker).await;
}

fn cancels(batch: &Batch) -> bool {
    let mut writes = batch.writes.iter().map(|write| &write.job);
    writes.any(|job| {
        job.spec.job_type.as_str() == "sync" && job.status.kind() == StateKind::Cancelled
    })
}

#[tokio::test]
async fn jobs_that_move_on_before_the_commit_are_asked_until_they_heard() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    made(&client, "sync", 5).await;
    for _ in 0..8 {
        server.faults.plan(Fault::GuardsMissed, cancels);
    }
    let begun = cancel(&client, cancel_of("sync", 5)).await;
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (5, 5, 0)));
    assert_eq!(in_state(&client, "sync", JobState::Cancelled).await, 5);
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_loses_no_job_of_a_command() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    for fault in [Fault::Refused, Fault::RequestLost, Fault::AnswerLost] {
        made(&client, "sync", 5).await;
        server.faults.plan(Fault::GuardsMissed, cancels);
        server.faults.plan(fault, cancels);
        let begun = cancel(&client, cancel_of("sync", 5)).await;
        let done = ended(&client, begun.job).await;
        assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (5, 5, 0)), "{fault:?}");
        assert_eq!(in_state(&client, "sync", JobState::Pending).await, 0, "{fault:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_whose_begin_is_in_doubt_is_answered_with_its_job() {
    let server = Server::setup().in_memory().start().await;
    let client = server.client();
    made(&client, "sync", 5).await;
    server.faults.plan(Fault::AnswerLost, |batch| !batch.creates.is_empty());
    let begun = cancel(&client, cancel_of("sync", 5)).await;
    assert_eq!(begun.count, 5);
    assert_eq!(ended(&client, begun.job).await.state(), JobState::Succeeded);
    server.stop().await;
}

/// One of several servers does it; when it is gone, another one goes on.
async fn another_server_goes_on(store: Shared) {
    let first = Server::setup().over(store).start().await;
    let client = first.client();
    let meant = made(&client, "sync", 150).await;
    let slow = v1::BulkCancelJobsRequest { rate: 30.0, ..cancel_of("sync", 150) };
    let begun = cancel(&client, slow).await;
    eventually(SOON, "it has begun", || async {
        in_state(&client, "sync", JobState::Cancelled).await > 5
    })
    .await;
    let second = first.beside().await;
    first.stop().await;
    let client = second.client();
    let done = ended(&client, begun.job).await;
    assert_eq!((done.state(), counted(&done)), (JobState::Succeeded, (150, 150, 0)));
    for id in &meant {
        assert_eq!(client.get(id).await.status().revision, 2);
    }
    second.stop().await;
}

on_each_shared_store!(another_server_goes_on);
