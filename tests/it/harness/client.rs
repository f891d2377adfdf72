//! Calls of clients, and values they send.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use jobplane::proto::v1;
use jobplane::proto::v1::admin_service_client::AdminServiceClient;
use jobplane::proto::v1::job_service_client::JobServiceClient;
use jobplane::proto::v1::job_type_service_client::JobTypeServiceClient;
use jobplane::proto::v1::worker_service_client::WorkerServiceClient;
use prost::Message as _;
use prost_types::value::Kind;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::wait::{SOON, eventually};

/// A connection to a server.
pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("the server listens")
}

/// A spec of this type.
pub fn spec(job_type: &str) -> v1::JobSpec {
    v1::JobSpec { r#type: job_type.to_owned(), ..v1::JobSpec::default() }
}

/// A length of time.
pub fn seconds(seconds: f64) -> Option<prost_types::Duration> {
    Duration::from_secs_f64(seconds).try_into().ok()
}

/// A progress in percent.
pub fn percent(percent: f64) -> v1::Progress {
    v1::Progress { percent: Some(percent), ..v1::Progress::default() }
}

/// A progress in items.
pub fn done(completed: i64, total: i64) -> v1::Progress {
    v1::Progress { completed, total: Some(total), ..v1::Progress::default() }
}

/// Lines of a log, of level INFO.
pub fn lines<T: ToString>(messages: impl IntoIterator<Item = T>) -> Vec<v1::LogEntry> {
    let line = |message: T| v1::LogEntry { message: message.to_string(), ..Default::default() };
    messages.into_iter().map(line).collect()
}

/// An encoded `Struct` with one text in it.
pub fn object(name: &str, text: &str) -> Bytes {
    let value = prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = [(name.to_owned(), value)].into();
    prost_types::Struct { fields }.encode_to_vec().into()
}

/// What tests ask of a job.
pub trait JobFacts {
    /// Its status.
    fn status(&self) -> &v1::JobStatus;

    /// Its state.
    fn state(&self) -> v1::JobState {
        self.status().state()
    }

    /// How far it is, in percent.
    fn percent(&self) -> Option<f64> {
        self.status().progress.as_ref()?.percent
    }

    /// The code of its error, empty if it has none.
    fn error_code(&self) -> &str {
        self.status().error.as_ref().map_or("", |error| error.code.as_str())
    }
}

impl JobFacts for v1::Job {
    fn status(&self) -> &v1::JobStatus {
        self.status.as_ref().expect("a job has a status")
    }
}

impl JobFacts for v1::JobStatus {
    fn status(&self) -> &v1::JobStatus {
        self
    }
}

/// All services over one connection.
#[derive(Clone)]
pub struct Client {
    /// JobService.
    pub jobs: JobServiceClient<Channel>,
    /// WorkerService.
    pub workers: WorkerServiceClient<Channel>,
    /// AdminService.
    pub admin: AdminServiceClient<Channel>,
    /// JobTypeService.
    pub types: JobTypeServiceClient<Channel>,
}

type Answer<T> = Result<T, Status>;

fn whole(job: Option<v1::Job>) -> v1::Job {
    job.expect("the answer holds a job")
}

impl Client {
    /// Calls over `channel`.
    pub fn new(channel: Channel) -> Self {
        Self {
            jobs: JobServiceClient::new(channel.clone()),
            workers: WorkerServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel.clone()),
            types: JobTypeServiceClient::new(channel),
        }
    }

    /// Creates a job.
    pub async fn create(&self, spec: v1::JobSpec) -> v1::Job {
        let request = v1::CreateJobRequest { spec: Some(spec), ..Default::default() };
        whole(self.try_create(request).await.expect("created").job)
    }

    /// Asks for a job.
    pub async fn try_create(&self, request: v1::CreateJobRequest) -> Answer<v1::CreateJobResponse> {
        Ok(self.jobs.clone().create_job(request).await?.into_inner())
    }

    /// Creates a job under a request id.
    pub async fn request(&self, id: &str, spec: v1::JobSpec) -> Answer<v1::CreateJobResponse> {
        let request_id = id.to_owned();
        let request = v1::CreateJobRequest {
            spec: Some(spec),
            request_id,
            ..v1::CreateJobRequest::default()
        };
        self.try_create(request).await
    }

    /// Reads a job.
    pub async fn get(&self, job_id: &str) -> v1::Job {
        self.try_get(job_id).await.expect("the job is there")
    }

    /// Reads a job, if it is there.
    pub async fn try_get(&self, job_id: &str) -> Answer<v1::Job> {
        let request = v1::GetJobRequest { job_id: job_id.to_owned(), ..Default::default() };
        Ok(whole(self.jobs.clone().get_job(request).await?.into_inner().job))
    }

    /// Waits until a job is as `wanted`.
    pub async fn until(&self, job_id: &str, wanted: impl Fn(&v1::Job) -> bool) -> v1::Job {
        eventually(SOON, "the job is as wanted", || async { wanted(&self.get(job_id).await) })
            .await;
        self.get(job_id).await
    }

    /// Cancels a job.
    pub async fn cancel(&self, job_id: &str, grace: Option<f64>) -> Answer<v1::Job> {
        let request = v1::CancelJobRequest {
            job_id: job_id.to_owned(),
            reason: "enough".to_owned(),
            grace: grace.and_then(seconds),
        };
        Ok(whole(self.jobs.clone().cancel_job(request).await?.into_inner().job))
    }

    /// Runs a job again.
    pub async fn retry(&self, job_id: &str, force: bool) -> Answer<v1::Job> {
        let request =
            v1::RetryJobRequest { job_id: job_id.to_owned(), force, ..Default::default() };
        Ok(whole(self.jobs.clone().retry_job(request).await?.into_inner().job))
    }

    /// Deletes a job.
    pub async fn delete(&self, job_id: &str) -> Answer<()> {
        let request = v1::DeleteJobRequest { job_id: job_id.to_owned() };
        self.jobs.clone().delete_job(request).await.map(drop)
    }

    /// The attempts of a job.
    pub async fn attempts(&self, job_id: &str) -> Vec<v1::Attempt> {
        let request = v1::ListJobAttemptsRequest { job_id: job_id.to_owned() };
        let answer = self.jobs.clone().list_job_attempts(request).await;
        answer.expect("the job is there").into_inner().attempts
    }

    /// A page of a job's log.
    pub async fn logs(&self, request: v1::ListJobLogsRequest) -> v1::ListJobLogsResponse {
        self.jobs.clone().list_job_logs(request).await.expect("logs").into_inner()
    }

    /// A page of jobs.
    pub async fn list(&self, request: v1::ListJobsRequest) -> Answer<v1::ListJobsResponse> {
        Ok(self.jobs.clone().list_jobs(request).await?.into_inner())
    }

    /// Takes jobs by a single call.
    pub async fn acquire(&self, request: v1::AcquireJobsRequest) -> Answer<Vec<v1::Assignment>> {
        Ok(self.workers.clone().acquire_jobs(request).await?.into_inner().assignments)
    }

    /// Takes one job of a type by a single call, as worker `w1`.
    pub async fn acquire_one(&self, job_type: &str) -> (v1::Job, i64) {
        let request = v1::AcquireJobsRequest {
            worker_id: "w1".to_owned(),
            types: vec![job_type.to_owned()],
            ..v1::AcquireJobsRequest::default()
        };
        let assignment = self.acquire(request).await.expect("an answer").pop().expect("a job");
        let job = assignment.job.expect("an assignment holds a job");
        (v1::Job::decode(job).expect("a job"), assignment.lease_epoch)
    }

    /// Says that a job is done.
    pub async fn complete(&self, job_id: &str, lease_epoch: i64) -> Answer<v1::Job> {
        let job_id = job_id.to_owned();
        let request = v1::CompleteJobRequest { job_id, lease_epoch, ..Default::default() };
        Ok(whole(self.workers.clone().complete_job(request).await?.into_inner().job))
    }

    /// Says that an attempt failed.
    pub async fn fail(&self, job_id: &str, lease_epoch: i64, code: &str) -> Answer<v1::Job> {
        let error = Some(v1::JobError { code: code.to_owned(), ..v1::JobError::default() });
        let job_id = job_id.to_owned();
        let request = v1::FailJobRequest { job_id, lease_epoch, error, ..Default::default() };
        self.fail_with(request).await
    }

    /// Says that an attempt failed.
    pub async fn fail_with(&self, request: v1::FailJobRequest) -> Answer<v1::Job> {
        Ok(whole(self.workers.clone().fail_job(request).await?.into_inner().job))
    }

    /// Reports about a job.
    pub async fn report(&self, request: v1::ReportJobRequest) -> Answer<v1::ReportJobResponse> {
        Ok(self.workers.clone().report_job(request).await?.into_inner())
    }

    /// The statistics of everything.
    pub async fn stats(&self) -> v1::GetStatsResponse {
        let request = v1::GetStatsRequest::default();
        self.jobs.clone().get_stats(request).await.expect("stats").into_inner()
    }

    /// Sweeps by hand.
    pub async fn sweep(
        &self,
        request: v1::SweepStuckJobsRequest,
    ) -> Answer<v1::SweepStuckJobsResponse> {
        Ok(self.admin.clone().sweep_stuck_jobs(request).await?.into_inner())
    }

    /// Has a worker leave, within so many seconds.
    pub async fn drain(&self, worker: &str, grace: f64) -> Answer<v1::DrainWorkerResponse> {
        let request = v1::DrainWorkerRequest {
            worker_id: worker.to_owned(),
            grace: seconds(grace),
            reason: "an update".to_owned(),
            ..v1::DrainWorkerRequest::default()
        };
        Ok(self.admin.clone().drain_worker(request).await?.into_inner())
    }

    /// The workers that are there.
    pub async fn workers(&self) -> Vec<v1::Worker> {
        let request = v1::ListWorkersRequest::default();
        self.admin.clone().list_workers(request).await.expect("workers").into_inner().workers
    }
}
