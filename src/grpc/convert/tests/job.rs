#![expect(clippy::float_cmp, reason = "exact by construction")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::domain::machine::{Birth, create};
use crate::domain::{
    CancelCause, CancelRequest, ErrorOrigin, Execution, Job, JobError, JobId, JobSpec, JobType,
    Outcome, Progress, QueueName, SessionId, SkipReason, State, Trigger, WorkerName,
};
use crate::grpc::convert::enums::Named as _;
use crate::grpc::convert::{View, attempt, cancel, error, job, status, time};
use crate::proto::v1;

use super::{NOW, checked, span};

const START: Duration = Duration::from_secs(10);

fn pending() -> Job {
    let job_type = JobType::new("tick_sync").expect("a name");
    let mut spec = JobSpec::new(job_type, QueueName::default());
    spec.payload = Some(Bytes::from_static(b""));
    let birth = Birth {
        created_by: "anonymous".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let status = create(&spec, birth, NOW);
    Job { id: JobId(Uuid::nil()), spec: Arc::new(spec), status }
}

fn failure(code: &str, origin: ErrorOrigin) -> JobError {
    JobError {
        origin,
        code: code.to_owned(),
        message: "it broke".to_owned(),
        details: Some(Bytes::new()),
        stack_trace: "at line 1".to_owned(),
        non_retryable: true,
    }
}

/// A job that ran for 5 s, 10 s after it was made, and ended like this.
fn ended(state: State, outcome: Outcome, code: &str) -> Job {
    let mut job = pending();
    let start_time = NOW.plus(START);
    let end_time = start_time.plus(Duration::from_secs(5));
    job.status.state = state;
    job.status.attempt = 1;
    job.status.lease_epoch = 1;
    job.status.end_time = Some(end_time);
    job.status.result = Some(Bytes::new());
    job.status.error = Some(failure(code, ErrorOrigin::Server));
    job.status.progress =
        Progress { completed: 50, report_time: Some(end_time), ..Progress::default() };
    job.status.execution = Some(Execution {
        number: 1,
        worker_id: WorkerName::new("w1").expect("a name"),
        ready_time: NOW,
        start_time,
        end: Some((end_time, outcome)),
        report: None,
        concurrency_key: None,
    });
    job
}

#[test]
fn a_new_job_shows_what_is_known() {
    let job = pending();
    let shown = job::to_proto(&job, View::Full, NOW.plus(Duration::from_secs(3)));
    assert_eq!(shown.id, Uuid::nil().to_string());
    let status = shown.status.expect("always");
    assert_eq!(status.state(), v1::JobState::Pending);
    assert_eq!((status.revision, status.attempt, status.max_attempts), (1, 0, 3));
    assert_eq!(status.wait_duration, Some(span(3, 0)));
    assert_eq!((status.run_duration, status.start_time, status.end_time), (None, None, None));
    assert_eq!((status.progress, status.worker_id.as_str()), (None, ""));
    assert_eq!(status.effective.expect("always").queue, "default");
    assert_eq!(status.skip_reason, v1::SkipReason::Unspecified as i32);
    assert_eq!(job::unmade_to_proto(&job, View::Full, NOW).id, "");
}

#[test]
fn the_basic_view_leaves_out_what_is_large() {
    let job = ended(State::Failed, Outcome::Failed, "X");
    let full = job::to_proto(&job, View::Full, NOW);
    let (spec, status) = (full.spec.expect("always"), full.status.expect("always"));
    assert!(spec.payload.is_some() && status.result.is_some());
    let error = status.error.expect("failed");
    assert!(error.details.is_some() && !error.stack_trace.is_empty());
    let basic = job::to_proto(&job, View::Basic, NOW);
    let (spec, status) = (basic.spec.expect("always"), basic.status.expect("always"));
    assert!(spec.payload.is_none() && status.result.is_none());
    let error = status.error.expect("failed");
    assert!(error.details.is_none() && error.stack_trace.is_empty());
    assert_eq!((error.code.as_str(), error.message.as_str()), ("X", "it broke"));
}

#[test]
fn the_figures_of_an_ended_job_stand_still() {
    let job = ended(State::Succeeded, Outcome::Succeeded, "");
    let early = status::to_proto(&job, View::Full, NOW.plus(Duration::from_secs(100)));
    let late = status::to_proto(&job, View::Full, NOW.plus(Duration::from_secs(100_000)));
    assert_eq!(early, late);
    assert_eq!((early.run_duration, early.wait_duration), (Some(span(5, 0)), Some(span(10, 0))));
    let progress = early.progress.expect("reported");
    assert_eq!((progress.average_rate_per_second, progress.elapsed), (10.0, Some(span(5, 0))));
}

#[test]
fn a_running_job_counts_to_now() {
    let mut job = ended(State::Succeeded, Outcome::Succeeded, "");
    let session = SessionId(Uuid::nil());
    job.status.state = State::Running { session, timeout_time: None };
    if let Some(execution) = &mut job.status.execution {
        execution.end = None;
    }
    let shown = status::to_proto(&job, View::Full, NOW.plus(START + Duration::from_secs(20)));
    assert_eq!(shown.run_duration, Some(span(20, 0)));
    assert_eq!(shown.progress.expect("reported").average_rate_per_second, 2.5);
}

#[test]
fn a_skipped_job_says_why() {
    let job = Job {
        status: crate::domain::JobStatus {
            state: State::Skipped { reason: SkipReason::QuotaExhausted },
            ..pending().status
        },
        ..pending()
    };
    let shown = status::to_proto(&job, View::Basic, NOW);
    assert_eq!(shown.skip_reason(), v1::SkipReason::QuotaExhausted);
    assert_eq!(shown.state(), v1::JobState::Skipped);
}

#[test]
fn a_worker_hears_what_is_left_of_the_grace() {
    let request = CancelRequest {
        cause: CancelCause::Caller,
        time: NOW,
        reason: "enough".to_owned(),
        requested_by: "anonymous".to_owned(),
        grace: Duration::from_secs(30),
    };
    let stored = cancel::to_proto(&request);
    assert_eq!((stored.grace, stored.time), (Some(span(30, 0)), Some(time::to_proto(NOW))));
    let later = NOW.plus(Duration::from_secs(12));
    let told = cancel::to_worker(&request, later);
    assert_eq!((told.grace, told.time), (Some(span(18, 0)), None));
    let streamed = cancel::to_stream(JobId(Uuid::nil()), 3, &request, NOW.plus(START * 9));
    assert_eq!((streamed.lease_epoch, streamed.grace), (3, Some(span(0, 0))));
    assert_eq!(streamed.cause(), v1::CancelCause::Caller);
}

#[test]
fn an_attempt_tells_which_rule_stopped_it() {
    let shown = |outcome, code| {
        let status = ended(State::Failed, outcome, code).status;
        attempt::to_proto(&status.last_attempt().expect("it ran"), NOW).outcome()
    };
    assert_eq!(shown(Outcome::Failed, "X"), v1::AttemptOutcome::Failed);
    assert_eq!(shown(Outcome::Failed, "STUCK"), v1::AttemptOutcome::Stuck);
    assert_eq!(shown(Outcome::Failed, "RESOURCE_LIMIT"), v1::AttemptOutcome::ResourceLimit);
    assert_eq!(shown(Outcome::TimedOut, "TIMEOUT"), v1::AttemptOutcome::TimedOut);
    assert_eq!(shown(Outcome::LeaseLost, "LEASE_LOST"), v1::AttemptOutcome::LeaseLost);
    assert_eq!(shown(Outcome::Released, ""), v1::AttemptOutcome::Released);
}

#[test]
fn an_error_of_a_worker_keeps_its_bounds() {
    let read = |error| checked(|v| error::from_proto(error, "error", v));
    assert_eq!(read(None).expect("valid").origin, ErrorOrigin::Worker);
    let given = v1::JobError {
        // What a worker says of the origin is not taken.
        origin: v1::ErrorOrigin::Server.into(),
        ..error::to_proto(&failure("DISK_FULL", ErrorOrigin::Worker), View::Full)
    };
    assert_eq!(read(Some(given)), Ok(failure("DISK_FULL", ErrorOrigin::Worker)));
    let wrong = v1::JobError {
        code: "c".repeat(129),
        details: Some(Bytes::from_static(b"\x01")),
        ..Default::default()
    };
    let expected = vec!["error.code".to_owned(), "error.details".to_owned()];
    assert_eq!(read(Some(wrong)), Err(expected));
    let long = |bytes| v1::JobError { stack_trace: "x".repeat(bytes), ..Default::default() };
    assert!(read(Some(long(64 * 1024 - 4))).is_ok());
    assert_eq!(read(Some(long(64 * 1024 - 3))), Err(vec!["error".to_owned()]));
}

#[test]
fn the_view_that_is_asked_for_is_given() {
    let view = |number| checked(|v| job::view(number, View::Basic, "view", v));
    assert_eq!(view(0), Ok(View::Basic));
    assert_eq!(view(2), Ok(View::Full));
    assert_eq!(view(3), Err(vec!["view".to_owned()]));
    assert_eq!(CancelCause::Stuck.to_wire(), v1::CancelCause::Stuck as i32);
}
