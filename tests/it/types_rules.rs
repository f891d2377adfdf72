//! What is said of types, seen from outside: breakers, quotas, rooms to wait in, retry rules.

use std::time::Duration;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::Report;
use jobplane::proto::v1::{CircuitState, JobState as State, SkipReason};
use tonic::Code;

use crate::harness::{
    Client, JobFacts as _, Refusal, SOON, Server, Told as _, eventually, seconds, spec,
};

async fn put(client: &Client, job_type: v1::JobType) {
    let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
    client.types.clone().put_job_type(request).await.expect("declared");
}

async fn job_type(client: &Client, name: &str) -> v1::JobType {
    let request = v1::GetJobTypeRequest { r#type: name.to_owned() };
    let answer = client.types.clone().get_job_type(request).await.expect("there");
    answer.into_inner().job_type.expect("set")
}

/// Fails a job of this type for good, by the calls of a script.
async fn fail_one(client: &Client, job_type: &str) {
    client.create(v1::JobSpec { retry_policy: Some(attempts(1)), ..spec(job_type) }).await;
    let (job, epoch) = client.acquire_one(job_type).await;
    client.fail(&job.id, epoch, "BOOM").await.expect("taken");
}

fn attempts(max_attempts: i32) -> v1::RetryPolicy {
    v1::RetryPolicy { max_attempts, ..v1::RetryPolicy::default() }
}

fn breaker(max_failures: i32) -> v1::Circuit {
    v1::Circuit { max_failures, probe_after: seconds(600.0), ..v1::Circuit::default() }
}

#[tokio::test]
async fn three_failures_in_an_hour_open_the_breaker_and_everybody_sees_it() {
    let server = Server::start().await;
    let client = server.client();
    let fragile =
        v1::JobType { r#type: "fragile".into(), circuit: Some(breaker(3)), ..Default::default() };
    put(&client, fragile).await;
    for _ in 0..3 {
        let circuit = job_type(&client, "fragile").await.circuit.expect("a breaker");
        assert_eq!(circuit.state(), CircuitState::Closed);
        fail_one(&client, "fragile").await;
    }
    let circuit = job_type(&client, "fragile").await.circuit.expect("a breaker");
    assert_eq!(circuit.state(), CircuitState::Open);
    let job = client.create(spec("fragile")).await;
    let status = job.status.clone().expect("set");
    assert_eq!((job.state(), status.skip_reason()), (State::Skipped, SkipReason::CircuitOpen));
    assert_eq!(status.skip_until, circuit.next_probe_time);
    let why = client.jobs.clone().explain_job(v1::ExplainJobRequest { job_id: job.id }).await;
    let why = why.expect("explained").into_inner();
    assert_eq!(why.reasons[0].code, "CIRCUIT_OPEN");
    assert_eq!(why.reasons[0].until, circuit.next_probe_time);
    let trigger = v1::TriggerJobTypeRequest { r#type: "fragile".into(), ..Default::default() };
    let refused = client.types.clone().trigger_job_type(trigger).await.expect_err("refused");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let refusal = Refusal::of(&refused);
    assert_eq!(refusal.reason, "CIRCUIT_OPEN");
    assert!(refusal.fact("next_probe_time").ends_with('Z'), "{refusal:?}");
    assert!(refusal.retry_after.is_some_and(|after| after > Duration::from_secs(60)));
    let metrics = server.http_get("/metrics").await;
    assert!(metrics.contains("jobplane_circuit_state{type=\"fragile\"} 2"), "{metrics}");
    assert_eq!(server.logged("circuit breaker opened"), 1);
    server.stop().await;
}

#[tokio::test]
async fn the_default_breaker_covers_types_that_nobody_declared() {
    let server = Server::start().await;
    let client = server.client();
    let defaults = v1::Defaults { circuit: Some(breaker(1)), ..v1::Defaults::default() };
    let request = v1::UpdateDefaultsRequest { defaults: Some(defaults), update_mask: None };
    let mut admin = client.admin.clone();
    admin.update_defaults(request).await.expect("changed");
    let held = admin.get_defaults(v1::GetDefaultsRequest {}).await.expect("there").into_inner();
    let circuit = held.defaults.expect("set").circuit.expect("one");
    assert_eq!(circuit.max_failures, 1);
    fail_one(&client, "seen").await;
    assert_eq!(client.create(spec("seen")).await.state(), State::Skipped);
    let shown = job_type(&client, "seen").await;
    assert_eq!(shown.circuit, None);
    assert_eq!(shown.default_circuit.expect("it has it").state(), CircuitState::Open);
    let wrong = v1::Defaults { max_pending: -1, ..v1::Defaults::default() };
    let paths = vec!["max_pending".to_owned(), "colour".to_owned()];
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = v1::UpdateDefaultsRequest { defaults: Some(wrong), update_mask };
    let refused = admin.update_defaults(request).await.expect_err("wrong");
    assert_eq!(refused.code(), Code::InvalidArgument);
    for field in ["update_mask.paths[1]", "defaults.max_pending"] {
        let told = tonic_types::StatusExt::get_details_bad_request(&refused).expect("there");
        assert!(told.field_violations.iter().any(|one| one.field == field), "{field}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let server = Server::start().await;
    let client = server.client();
    let bulk = v1::Queue { name: "bulk".into(), max_pending: 2, ..v1::Queue::default() };
    let request = v1::UpdateQueueRequest { queue: Some(bulk), update_mask: None };
    client.admin.clone().update_queue(request).await.expect("changed");
    let asked = || v1::CreateJobRequest {
        spec: Some(v1::JobSpec { queue: "bulk".into(), ..spec("sync") }),
        ..v1::CreateJobRequest::default()
    };
    let requests = (0..5).map(|_| asked()).collect();
    let request = v1::BatchCreateJobsRequest { requests };
    let answer = client.jobs.clone().batch_create_jobs(request).await.expect("an answer each");
    let made = answer.into_inner().results.into_iter().filter(|result| {
        matches!(result.outcome, Some(v1::batch_create_jobs_response::result::Outcome::Created(_)))
    });
    assert_eq!(made.count(), 2);
    let refused = client.jobs.clone().create_job(asked()).await.expect_err("full");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let refusal = Refusal::of(&refused);
    assert_eq!((refusal.reason.as_str(), refusal.fact("queue")), ("LIMIT_EXCEEDED", "bulk"));
    assert_eq!((refusal.fact("pending"), refusal.fact("limit")), ("2", "2"));
    assert!(refusal.retry_after.is_some());
    server.stop().await;
}

#[tokio::test]
async fn the_server_takes_no_more_than_it_was_told() {
    let server = Server::setup().with(|config| config.max_pending = 1).start().await;
    let client = server.client();
    client.create(spec("sync")).await;
    let request = v1::CreateJobRequest { spec: Some(spec("sync")), ..Default::default() };
    let refused = client.jobs.clone().create_job(request).await.expect_err("full");
    assert_eq!(Refusal::of(&refused).reason, "LIMIT_EXCEEDED");
    let (job, epoch) = client.acquire_one("sync").await;
    client.create(spec("sync")).await;
    // What goes back to its queue is never refused.
    let again = client.fail(&job.id, epoch, "E").await.expect("taken");
    assert_eq!(again.state(), State::Pending);
    server.stop().await;
}

async fn used(client: &Client, quota: &str) -> i64 {
    let quotas = client.stats().await.quotas;
    quotas.into_iter().find(|one| one.name == quota).expect("in the stats").used
}

fn uses(quota: &str, units: i64) -> v1::QuotaUse {
    v1::QuotaUse { name: quota.to_owned(), units }
}

#[tokio::test]
async fn workers_tell_what_they_really_used_by_stream_and_by_call() {
    let server = Server::start().await;
    let client = server.client();
    let api = v1::Quota {
        name: "api".into(),
        limit: 100,
        period: v1::QuotaPeriod::Day.into(),
        ..v1::Quota::default()
    };
    let request = v1::PutQuotaRequest { quota: Some(api) };
    client.admin.clone().put_quota(request).await.expect("set up");
    let worker = server.worker("w1").connect().await;
    client.create(spec("sync")).await;
    let held = worker.expect_assignment().await;
    for units in [30, 40, 40] {
        let seq = held.send(Report::QuotaUse(uses("api", units)));
        worker.settled(seq).await.expect("taken");
    }
    assert_eq!(used(&client, "api").await, 40, "the last word counts, once");
    let unknown = worker.settled(held.send(Report::QuotaUse(uses("nobody", 1)))).await;
    assert_eq!(unknown.expect_err("refused").reason, "QUOTA_NOT_FOUND");
    let negative = worker.settled(held.send(Report::QuotaUse(uses("api", -1)))).await;
    assert_eq!(negative.expect_err("refused").reason, "INVALID_FIELD");
    held.succeed().await.expect("the job went on");
    assert_eq!(used(&client, "api").await, 40);
    worker.capacity(0);

    client.create(spec("script")).await;
    let (job, lease_epoch) = client.acquire_one("script").await;
    let report = v1::ReportJobRequest {
        job_id: job.id.clone(),
        lease_epoch,
        quota_use: vec![uses("api", 5)],
        ..v1::ReportJobRequest::default()
    };
    client.report(report.clone()).await.expect("taken");
    let twice = v1::ReportJobRequest { quota_use: vec![uses("api", 1), uses("api", 2)], ..report };
    assert_eq!(client.report(twice).await.reason(), "INVALID_FIELD");
    assert_eq!(used(&client, "api").await, 45);
    let complete = v1::CompleteJobRequest {
        job_id: job.id.clone(),
        lease_epoch,
        quota_use: vec![uses("api", 20)],
        ..v1::CompleteJobRequest::default()
    };
    for _ in 0..2 {
        let mut workers = client.workers.clone();
        workers.complete_job(complete.clone()).await.expect("the same again is known");
    }
    assert_eq!(used(&client, "api").await, 60);
    let metrics = server.http_get("/metrics").await;
    assert!(metrics.contains("jobplane_quota_used_units{quota=\"api\"} 60"), "{metrics}");
    assert!(metrics.contains("jobplane_quota_limit_units{quota=\"api\"} 100"), "{metrics}");
    server.stop().await;
}

fn rule(codes: &[&str]) -> v1::RetryRule {
    let codes = codes.iter().map(ToString::to_string).collect();
    v1::RetryRule { codes, ..v1::RetryRule::default() }
}

/// How long a job waits for its next attempt.
fn wait_of(job: &v1::Job) -> Duration {
    let micros = |time: &Option<prost_types::Timestamp>| {
        time.map_or(0, |time| time.seconds * 1_000_000 + i64::from(time.nanos / 1_000))
    };
    let status = job.status();
    let wait = micros(&status.schedule_time) - micros(&status.update_time);
    Duration::from_micros(u64::try_from(wait).unwrap_or(0))
}

#[tokio::test]
async fn errors_are_retried_as_the_first_rule_that_fits_them_says() {
    let server = Server::start().await;
    let client = server.client();
    let delays = [60.0, 300.0, 900.0, 3_600.0].iter().filter_map(|delay| seconds(*delay)).collect();
    let sync = v1::JobType {
        r#type: "sync".into(),
        defaults: Some(v1::JobDefaults { retry_policy: Some(attempts(9)), ..Default::default() }),
        retry_rules: vec![
            v1::RetryRule { no_retry: true, ..rule(&["HTTP_404", "BAD_*"]) },
            v1::RetryRule { delays, ..rule(&["HTTP_4??"]) },
        ],
        ..v1::JobType::default()
    };
    put(&client, sync).await;
    let id = client.create(spec("sync")).await.id;
    for expected in [60, 300, 900, 3_600, 3_600] {
        let (_, epoch) = client.acquire_one("sync").await;
        let job = client.fail(&id, epoch, "HTTP_429").await.expect("taken");
        assert_eq!(wait_of(&job), Duration::from_secs(expected), "the list, its last one again");
        client.retry(&id, false).await.expect("now");
    }
    // Without a rule the policy says, and the worker's own word goes before both.
    let (_, epoch) = client.acquire_one("sync").await;
    let job = client.fail(&id, epoch, "OTHER").await.expect("taken");
    assert!(wait_of(&job) < Duration::from_secs(300), "{:?}", wait_of(&job));
    client.retry(&id, false).await.expect("now");
    let (_, lease_epoch) = client.acquire_one("sync").await;
    let failed = v1::FailJobRequest {
        job_id: id.clone(),
        lease_epoch,
        error: Some(v1::JobError { code: "HTTP_429".into(), ..v1::JobError::default() }),
        retry_delay: seconds(7.0),
        ..v1::FailJobRequest::default()
    };
    let job = client.fail_with(failed).await.expect("taken");
    assert_eq!(wait_of(&job), Duration::from_secs(7));
    client.retry(&id, false).await.expect("now");
    let (_, epoch) = client.acquire_one("sync").await;
    let job = client.fail(&id, epoch, "HTTP_404").await.expect("taken");
    assert_eq!((job.state(), job.status().attempt), (State::Failed, 8));
    server.stop().await;
}

#[tokio::test]
async fn a_retry_may_change_the_job_but_not_its_spec() {
    let server = Server::start().await;
    let client = server.client();
    let change = v1::retry_rule::Change {
        memory_factor: 1.5,
        memory_bytes_max: 400,
        queue: "bulk".into(),
        avoid_worker: true,
        priority: v1::Priority::Low.into(),
    };
    let delays = vec![prost_types::Duration::default()];
    let limits = v1::ResourceLimits { memory_bytes: 200, ..v1::ResourceLimits::default() };
    let sync = v1::JobType {
        r#type: "sync".into(),
        defaults: Some(v1::JobDefaults {
            retry_policy: Some(attempts(5)),
            limits: Some(limits),
            ..Default::default()
        }),
        retry_rules: vec![v1::RetryRule {
            delays,
            change: Some(change),
            ..rule(&["OUT_OF_MEMORY"])
        }],
        ..v1::JobType::default()
    };
    put(&client, sync).await;
    let id = client.create(spec("sync")).await.id;
    let first = server.worker("first").queue("default").queue("bulk").connect().await;
    first.expect_assignment().await.fail("OUT_OF_MEMORY").await.expect("taken");
    // It has room, and is left alone while there may be another one.
    let second = server.worker("second").queue("bulk").connect().await;
    let held = second.expect_assignment().await;
    let stands = |job: &v1::Job| {
        let effective = job.status().effective.clone().expect("set");
        let memory = effective.limits.as_ref().expect("set").memory_bytes;
        (memory, effective.priority(), effective.queue)
    };
    let changed = |memory| (memory, v1::Priority::Low, "bulk".to_owned());
    assert_eq!((held.job.id.as_str(), stands(&held.job)), (id.as_str(), changed(300)));
    second.capacity(0);
    held.fail("OUT_OF_MEMORY").await.expect("taken");
    let held = first.expect_assignment().await;
    assert_eq!(stands(&held.job), changed(400), "not beyond the bound");
    let asked = held.job.spec.clone().expect("set");
    assert_eq!((asked.queue.as_str(), asked.priority()), ("default", v1::Priority::Normal));
    assert_eq!(asked.limits.expect("set").memory_bytes, 200, "the spec stays");
    held.succeed().await.expect("taken");
    drop((first, second));
    server.stop().await;
}

/// A type that fires every second under this policy, for the worker's hands.
fn every_second(policy: v1::OverlapPolicy) -> v1::JobType {
    let schedule = v1::Schedule {
        times: Some(v1::schedule::Times::Interval(seconds(1.0).expect("a second"))),
        overlap_policy: policy.into(),
        ..v1::Schedule::default()
    };
    v1::JobType { r#type: "alone".into(), schedule: Some(schedule), ..v1::JobType::default() }
}

async fn of_state(client: &Client, state: State) -> Vec<v1::Job> {
    let filter = v1::JobFilter {
        types: vec!["alone".into()],
        states: vec![state.into()],
        ..v1::JobFilter::default()
    };
    let request = v1::ListJobsRequest { filter: Some(filter), ..v1::ListJobsRequest::default() };
    client.list(request).await.expect("a list").jobs
}

#[tokio::test]
async fn of_a_schedule_that_queues_one_at_most_one_waits_for_the_one_that_runs() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").slots(4).connect().await;
    put(&client, every_second(v1::OverlapPolicy::QueueOne)).await;
    let first = worker.expect_assignment().await;
    eventually(SOON, "one waits, and others were skipped", || async {
        of_state(&client, State::Pending).await.len() == 1
            && of_state(&client, State::Skipped).await.len() >= 2
    })
    .await;
    let skipped = of_state(&client, State::Skipped).await;
    assert!(skipped.iter().all(|job| job.status().skip_reason() == SkipReason::Overlap));
    let request = v1::ExplainJobRequest { job_id: skipped[0].id.clone() };
    let why = client.jobs.clone().explain_job(request).await.expect("explained").into_inner();
    assert!(why.reasons[0].ids.contains(&first.id), "what was in its way: {why:?}");
    let waiting = of_state(&client, State::Pending).await.pop().expect("one");
    let request = v1::ExplainJobRequest { job_id: waiting.id.clone() };
    let why = client.jobs.clone().explain_job(request).await.expect("explained").into_inner();
    assert_eq!(why.reasons[0].code, "OVERLAP", "{why:?}");
    assert_eq!(why.reasons[0].ids, std::slice::from_ref(&first.id), "what holds it");
    assert_eq!(of_state(&client, State::Running).await.len(), 1);
    first.succeed().await.expect("taken");
    let next = worker.expect_assignment().await;
    assert_eq!(next.id, waiting.id);
    worker.capacity(0);
    next.succeed().await.expect("taken");
    server.stop_with(worker).await;
}

#[tokio::test]
async fn of_a_schedule_that_cancels_the_next_run_starts_when_the_one_before_has_stopped() {
    let server = Server::start().await;
    let client = server.client();
    let worker = server.worker("w1").slots(4).connect().await;
    put(&client, every_second(v1::OverlapPolicy::CancelRunning)).await;
    let first = worker.expect_assignment().await;
    let wish = worker.expect_cancel().await;
    assert_eq!((wish.job_id.as_str(), wish.cause()), (first.id.as_str(), v1::CancelCause::Overlap));
    // Its followers do not run beside it: each gives way to the next one.
    eventually(SOON, "followers were skipped", || async {
        of_state(&client, State::Skipped).await.len() >= 2
    })
    .await;
    assert_eq!(of_state(&client, State::Running).await.len(), 1);
    assert_eq!(of_state(&client, State::Pending).await.len(), 1);
    first.cancelled().await.expect("taken");
    let next = worker.expect_assignment().await;
    let job = client.get(&first.id).await;
    assert_eq!(job.state(), State::Cancelled);
    worker.capacity(0);
    next.succeed().await.expect("taken");
    server.stop_with(worker).await;
}
