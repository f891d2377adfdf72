//! What stands in encoded columns is read as it was, and how long it is.

use super::*;
use crate::domain::machine::{Applied, Birth, Command, Now, apply, create};
use crate::domain::progress::{Progress, Rate, ResourceUsage};
use crate::domain::quota::QuotaDraw;
use crate::domain::retry::{Change, RetryPolicy, RetryRule};
use crate::domain::status::{CancelCause, CancelRequest, Effective, JobError, SkipReason, State};
use crate::domain::{
    OnStuck, Priority, QuotaName, ResourceLimits, SessionId, UniquePolicy, WorkerName,
};
use std::time::Duration;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
}

fn asked() -> JobSpec {
    let job_type = JobType::new("high_priority_tick_sync").unwrap();
    JobSpec::new(job_type, QueueName::default())
}

fn born(spec: JobSpec, category: Option<&str>) -> Job {
    let birth = Birth {
        created_by: "anonymous".to_owned(),
        trigger: Trigger::Api,
        category: category.map(|name| Category::new(name).unwrap()),
        skipped: None,
    };
    let status = create(&spec, birth, at(0));
    Job { id: JobId(Uuid::now_v7()), spec: Arc::new(spec), status }
}

fn after(job: &Job, command: Command, now: Timestamp) -> Job {
    match apply(&job.spec, &job.status, command, Now::at(now)) {
        Ok(Applied::Changed(transition)) => Job { status: transition.status, ..job.clone() },
        other => panic!("a command came to {other:?}"),
    }
}

fn started(job: &Job) -> Job {
    let (session, worker_id) = (SessionId(Uuid::now_v7()), WorkerName::new("worker-1").unwrap());
    after(job, Command::Start { session, worker_id }, at(1))
}

/// The job as its rows give it back.
fn read(job: &Job) -> Job {
    let row = JobRow {
        id: job.id.0.as_bytes().to_vec(),
        spec: encode_spec(job).unwrap(),
        payload: job.spec.payload.as_ref().map(|payload| payload.to_vec()),
        status: encode_status(&job.status).unwrap(),
        result: job.status.result.as_ref().map(|result| result.to_vec()),
        flushed: None,
    };
    row.job().unwrap()
}

/// A job with something in every field that a column encodes.
fn full() -> Job {
    let mut spec = asked();
    spec.priority = Priority::Urgent;
    spec.payload = Some(Bytes::from_static(b"payload"));
    spec.labels = [("region".to_owned(), "eu".to_owned())].into();
    (spec.owner, spec.subject, spec.external_id) = ("o".into(), "s".into(), "x".into());
    spec.schedule_time = Some(at(0));
    spec.retry_policy =
        RetryPolicy { delays: vec![Duration::from_millis(1)], ..RetryPolicy::default() };
    spec.retry_rules = vec![RetryRule {
        codes: vec!["OOM".to_owned()],
        retry: true,
        delays: Vec::new(),
        change: Change { memory_factor: 2.0, avoid_worker: true, ..Change::default() },
    }];
    spec.timeout = Some(Duration::from_secs(60));
    spec.stuck_after = Some(Duration::from_secs(30));
    spec.on_stuck = OnStuck::Notify;
    spec.expire_time = Some(at(900));
    spec.estimated_duration = Some(Duration::from_secs(5));
    spec.limits = ResourceLimits { memory_bytes: 1 << 30, cpu_percent: 50.0 };
    (spec.unique_key, spec.unique_policy) = ("k".into(), UniquePolicy::ReturnExisting);
    spec.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    spec.retention = Some(Duration::from_secs(86_400));
    let mut job = started(&born(spec, Some("sync")));
    let status = &mut job.status;
    (status.trigger, status.releases, status.leases_lost) = (Trigger::Schedule, 1, 1);
    status.effective = Effective {
        queue: QueueName::new("slow").unwrap(),
        priority: Priority::Low,
        limits: ResourceLimits { memory_bytes: 2 << 30, cpu_percent: 0.0 },
        avoid_worker: Some(WorkerName::new("worker-2").unwrap()),
    };
    status.progress = Progress {
        total: Some(10),
        completed: 4,
        succeeded: 3,
        failed: 1,
        unit: "rows".to_owned(),
        percent: Some(40.0),
        step_number: 2,
        step_count: 3,
        current_step: "load".to_owned(),
        message: "going on".to_owned(),
        estimated_remaining: Some(Duration::from_secs(9)),
        counters: vec![("bytes".to_owned(), 1.5)],
        sequence: 7,
        base: 1,
        rate: Some(Rate { weighted: 1.0, weight: 0.5, sampled_completed: 4, sampled_at: at(2) }),
        report_time: Some(at(3)),
        activity_time: Some(at(2)),
    };
    status.resource_usage =
        Some(ResourceUsage { cpu_percent: 1.0, memory_bytes: 2, peak_memory_bytes: 3 });
    status.cancel_request = Some(CancelRequest {
        cause: CancelCause::Caller,
        time: at(4),
        reason: "enough".to_owned(),
        requested_by: "ann".to_owned(),
        grace: Duration::from_secs(30),
    });
    status.error = Some(JobError {
        details: Some(Bytes::from_static(b"\x0a\x00\xff")),
        stack_trace: "at main".to_owned(),
        non_retryable: true,
        ..JobError::server("TIMEOUT", "too long".to_owned())
    });
    status.result = Some(Bytes::from_static(b"result"));
    status.quota_draws = [(QuotaName::new("maps").unwrap(), QuotaDraw::default())].into();
    job
}

#[test]
fn a_job_is_the_same_after_a_way_through_its_columns() {
    let pending = born(asked(), Some("sync"));
    let running = started(&pending);
    let succeed = Command::Succeed { lease_epoch: 1, result: None, progress: None, usage: None };
    let succeeded = after(&running, succeed, at(2));
    let mut skipped = pending.clone();
    skipped.status.state = State::Skipped { reason: SkipReason::Overlap };
    for job in [pending, running, succeeded, skipped, full()] {
        assert_eq!(read(&job), job);
    }
}

#[test]
fn executions_are_the_same_after_a_way_through_their_column() {
    let mut job = full();
    job.status.execution.as_mut().unwrap().end = Some((at(5), crate::domain::Outcome::TimedOut));
    let attempt = job.status.last_attempt().unwrap();
    let stored = encode(&attempt).unwrap();
    assert_eq!(decode::<crate::domain::Attempt>("attempt", &stored).unwrap(), attempt);
}

/// Each byte of a status is logged three times for each job.
#[test]
fn a_typical_job_takes_few_bytes() {
    let pending = born(asked(), None);
    let running = started(&pending);
    let succeed = Command::Succeed { lease_epoch: 1, result: None, progress: None, usage: None };
    let succeeded = after(&running, succeed, at(2));
    let sizes =
        [&pending, &running, &succeeded].map(|job| encode_status(&job.status).unwrap().len());
    let spec = encode_spec(&pending).unwrap().len();
    assert_eq!((spec, sizes), (53, [46, 100, 107]));
}

/// What is left out is read as the default, so a default that changes would change jobs that are there.
#[test]
fn what_is_left_out_means_what_it_always_meant() {
    let spec: JobSpec = decode("jobs.spec", b"\x81\xa1t\xa4sync").unwrap();
    assert_eq!(spec, JobSpec::new(JobType::new("sync").unwrap(), QueueName::default()));
    let policy = RetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(5),
        backoff_multiplier: 2.0,
        max_backoff: Duration::from_secs(3_600),
        jitter: 0.1,
        delays: Vec::new(),
    };
    assert_eq!((spec.retry_policy, spec.priority), (policy, Priority::Normal));
    assert_eq!((spec.on_stuck, spec.unique_policy), (OnStuck::Fail, UniquePolicy::Reject));
}
