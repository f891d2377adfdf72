use std::time::Duration;

use prost::Message as _;

use crate::proto::v1::start_job_response::Outcome;
use crate::proto::v1::worker_service_server::WorkerService as _;

use super::*;

fn asks(max_jobs: i32) -> v1::AcquireJobsRequest {
    v1::AcquireJobsRequest { worker_id: "w".to_owned(), max_jobs, ..Default::default() }
}

fn starts(request_id: &str) -> v1::StartJobRequest {
    v1::StartJobRequest {
        worker_id: "w".to_owned(),
        spec: Some(spec("t")),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

impl Server {
    async fn acquire(&self, request: v1::AcquireJobsRequest) -> Vec<(String, i64)> {
        let answer = said(self.workers.acquire_jobs(Request::new(request)).await);
        answer.expect("an answer").assignments.iter().map(named).collect()
    }

    async fn start_job(&self, request: v1::StartJobRequest) -> Result<(String, i64), Status> {
        let started = said(self.workers.start_job(Request::new(request)).await)?;
        let Some(Outcome::Assignment(assignment)) = &started.outcome else {
            panic!("an assignment, not {started:?}");
        };
        Ok(named(assignment))
    }

    async fn complete(&self, job_id: &str, lease_epoch: i64) -> Result<v1::Job, Status> {
        let job_id = job_id.to_owned();
        let request = v1::CompleteJobRequest { job_id, lease_epoch, ..Default::default() };
        let completed = said(self.workers.complete_job(Request::new(request)).await)?;
        Ok(completed.job.expect("a job"))
    }
}

fn named(assignment: &v1::Assignment) -> (String, i64) {
    let bytes = assignment.job.clone().expect("a job");
    let job = v1::Job::decode(bytes).expect("a job");
    assert_eq!(state(Some(&job)), v1::JobState::Running);
    (job.id, assignment.lease_epoch)
}

#[tokio::test]
async fn a_call_takes_jobs_and_brings_them_to_their_end() {
    let server = Server::start();
    let id = server.waiting("t").await.id;
    let taken = server.acquire(asks(10)).await;
    assert_eq!(taken, [(id.clone(), 1)]);
    let request = v1::ReportJobRequest {
        job_id: id.clone(),
        lease_epoch: 1,
        progress: Some(v1::Progress { total: Some(4), completed: 1, ..Default::default() }),
        logs: vec![v1::LogEntry { message: "one done".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let told = said(server.workers.report_job(Request::new(request)).await).expect("applied");
    assert_eq!(told.cancel_request, None);
    assert_eq!(told.lease_ttl.map(|ttl| ttl.seconds), Some(60));
    let request = v1::GetJobRequest { job_id: id.clone(), view: 0 };
    let seen = said(server.jobs.get_job(Request::new(request)).await).expect("a job");
    let progress = seen.job.and_then(|job| job.status?.progress).expect("progress");
    assert_eq!((progress.completed, progress.live, progress.percent), (1, true, Some(25.0)));
    let done = server.complete(&id, 1).await.expect("completed");
    assert_eq!(state(Some(&done)), v1::JobState::Succeeded);
    // Said again it is known; another outcome comes too late.
    server.complete(&id, 1).await.expect("known");
    let request = v1::FailJobRequest { job_id: id.clone(), lease_epoch: 1, ..Default::default() };
    let late = reason(server.workers.fail_job(Request::new(request)).await);
    assert_eq!(late, (Code::Aborted, "STALE_LEASE".to_owned()));
    let request = v1::ListJobLogsRequest { job_id: id, ..Default::default() };
    let logs = said(server.jobs.list_job_logs(Request::new(request)).await).expect("lines");
    assert_eq!(logs.entries.len(), 1);
}

#[tokio::test]
async fn a_call_that_does_not_wait_still_gets_what_is_there() {
    let server = Server::start();
    let id = server.waiting("t").await.id;
    let now = v1::AcquireJobsRequest { wait: Some(prost_types::Duration::default()), ..asks(1) };
    assert_eq!(server.acquire(now).await, [(id, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_jobs_comes_before_the_deadline() {
    let server = Server::start();
    let mut request = Request::new(asks(1));
    request.metadata_mut().insert("grpc-timeout", "10S".parse().expect("a value"));
    let asked = Clock::monotonic();
    let answer = said(server.workers.acquire_jobs(request).await).expect("nothing");
    let waited = Clock::monotonic().duration_since(asked);
    assert!(answer.assignments.is_empty());
    assert!((Duration::from_secs(9)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_new_job_reaches_a_call_that_waits() {
    let server = Server::start();
    let (taken, id) = tokio::join!(server.acquire(asks(1)), async {
        tokio::task::yield_now().await;
        server.waiting("t").await.id
    });
    assert_eq!(taken, [(id, 1)]);
}

#[tokio::test]
async fn a_call_that_waits_is_told_when_the_server_stops() {
    let server = Server::start();
    let (answer, ()) = tokio::join!(server.workers.acquire_jobs(Request::new(asks(1))), async {
        tokio::task::yield_now().await;
        server.shutdown.signal();
    });
    assert_eq!(reason(answer), (Code::Unavailable, "SERVER_DRAINING".to_owned()));
}

#[tokio::test]
async fn a_job_is_given_back_and_fails_for_good() {
    let server = Server::start();
    let id = server.waiting("t").await.id;
    server.acquire(asks(1)).await;
    let request =
        v1::ReleaseJobRequest { job_id: id.clone(), lease_epoch: 1, ..Default::default() };
    let given = said(server.workers.release_job(Request::new(request)).await).expect("released");
    assert_eq!(state(given.job.as_ref()), v1::JobState::Pending);
    assert_eq!(server.acquire(asks(1)).await, [(id.clone(), 2)]);
    let error = Some(v1::JobError { non_retryable: true, ..Default::default() });
    let request =
        v1::FailJobRequest { job_id: id.clone(), lease_epoch: 2, error, ..Default::default() };
    let failed = said(server.workers.fail_job(Request::new(request)).await).expect("failed");
    assert_eq!(state(failed.job.as_ref()), v1::JobState::Failed);
    let request = v1::ListJobAttemptsRequest { job_id: id };
    let attempts = said(server.jobs.list_job_attempts(Request::new(request)).await).expect("two");
    let epochs: Vec<i64> = attempts.attempts.iter().map(|attempt| attempt.lease_epoch).collect();
    assert_eq!(epochs, [1, 2]);
}

#[tokio::test]
async fn a_start_that_is_repeated_gives_the_same_assignment() {
    let server = Server::start();
    let first = server.start_job(starts("r1")).await.expect("started");
    assert_eq!(server.start_job(starts("r1")).await.expect("started before"), first);
    let other =
        v1::StartJobRequest { instance_id: uuid::Uuid::from_u128(2).to_string(), ..starts("r1") };
    let refused = reason(server.start_job(other).await);
    assert_eq!(refused, (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn a_start_that_is_repeated_after_its_lease_is_no_second_run() {
    let server = Server::start();
    let mut request = starts("r1");
    request.spec = Some(v1::JobSpec {
        retry_policy: Some(v1::RetryPolicy { max_attempts: 3, ..Default::default() }),
        ..spec("t")
    });
    let (id, epoch) = server.start_job(request.clone()).await.expect("started");
    let given =
        v1::ReleaseJobRequest { job_id: id.clone(), lease_epoch: epoch, ..Default::default() };
    server.workers.release_job(Request::new(given)).await.expect("released");
    let stale = (Code::Aborted, "STALE_LEASE".to_owned());
    assert_eq!(reason(server.start_job(request.clone()).await), stale);
    // Somebody else runs it now: the first caller does not get their lease.
    assert_eq!(server.acquire(asks(1)).await, [(id.clone(), 2)]);
    assert_eq!(reason(server.start_job(request.clone()).await), stale);
    server.complete(&id, 2).await.expect("completed");
    assert_eq!(reason(server.start_job(request).await), stale);
}

#[tokio::test]
async fn a_start_never_gives_the_job_that_holds_its_key() {
    let server = Server::start();
    let keyed = || v1::StartJobRequest {
        spec: Some(v1::JobSpec {
            unique_key: "k".to_owned(),
            unique_policy: v1::UniquePolicy::ReturnExisting.into(),
            ..spec("t")
        }),
        ..starts("")
    };
    server.start_job(keyed()).await.expect("started");
    let refused = reason(server.start_job(keyed()).await);
    assert_eq!(refused, (Code::AlreadyExists, "DUPLICATE_JOB".to_owned()));
}

#[tokio::test]
async fn every_wrong_field_of_a_call_is_named() {
    let server = Server::start();
    let request = v1::AcquireJobsRequest {
        max_jobs: 101,
        wait: Some(prost_types::Duration { seconds: 61, nanos: 0 }),
        lease_ttl: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let wrong = fields(server.workers.acquire_jobs(Request::new(request)).await);
    assert_eq!(wrong, ["worker_id", "max_jobs", "wait", "lease_ttl"]);
    let request = v1::ReportJobRequest {
        seq: -1,
        progress: Some(v1::Progress { total: Some(1), completed: 2, ..Default::default() }),
        ..Default::default()
    };
    let wrong = fields(server.workers.report_job(Request::new(request)).await);
    assert_eq!(wrong, ["job_id", "lease_epoch", "seq", "progress.completed"]);
}
