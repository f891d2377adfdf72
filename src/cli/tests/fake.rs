//! A server that answers as the test says.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::cli::client::Address;
use crate::proto::v1::job_service_server::{JobService, JobServiceServer};
use crate::proto::v1::*;
use crate::runtime::{Shutdown, Tasks};

/// The messages of one watch; it ends with OK if none is an error.
pub type Stream = Vec<Result<WatchJobResponse, Status>>;
/// The messages of one watch of many jobs; it stays open after them if none is an error.
pub type ManyStream = Vec<Result<WatchJobsResponse, Status>>;

#[derive(Default)]
struct Script {
    streams: VecDeque<Stream>,
    watches: Vec<WatchJobRequest>,
    many: VecDeque<ManyStream>,
    many_asked: Vec<WatchJobsRequest>,
    pages: VecDeque<ListJobsResponse>,
    lists: Vec<ListJobsRequest>,
    cancels: Vec<String>,
}

/// A server on a free port, for as long as it lives.
pub struct Fake {
    /// Where it listens.
    pub address: Address,
    script: Arc<Mutex<Script>>,
    stop: Shutdown,
}

impl Fake {
    /// Starts with these watches, answered one after the other.
    pub async fn start(streams: VecDeque<Stream>) -> Self {
        let script = Arc::new(Mutex::new(Script { streams, ..Script::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let server = tonic::transport::Server::builder()
            .add_service(JobServiceServer::new(Served(script.clone())));
        Tasks::new().spawn("fake", async move {
            let incoming = TcpListenerStream::new(listener);
            server.serve_with_incoming_shutdown(incoming, stopped.signalled()).await
        });
        Self { address, script, stop }
    }

    /// The pages of lists, in order.
    pub fn pages<const N: usize>(&self, pages: [ListJobsResponse; N]) {
        self.script.lock().pages.extend(pages);
    }

    /// The lists that were asked for.
    pub fn lists(&self) -> Vec<ListJobsRequest> {
        self.script.lock().lists.clone()
    }

    /// A job that can be cancelled.
    pub fn cancels(&self, job: &str) {
        self.script.lock().cancels.push(job.to_owned());
    }

    /// The watches of many jobs, answered one after the other.
    pub fn many<const N: usize>(&self, streams: [ManyStream; N]) {
        self.script.lock().many.extend(streams);
    }

    /// The watches of many jobs that were asked for.
    pub fn many_asked(&self) -> Vec<WatchJobsRequest> {
        self.script.lock().many_asked.clone()
    }

    /// The watches that were asked for.
    pub fn watches(&self) -> Vec<WatchJobRequest> {
        self.script.lock().watches.clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.signal();
    }
}

struct Served(Arc<Mutex<Script>>);

type Answer<T> = Result<Response<T>, Status>;

fn not_here<T>() -> Answer<T> {
    Err(Status::unimplemented("the fake does not do this"))
}

#[tonic::async_trait]
impl JobService for Served {
    type WatchJobStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchJobResponse, Status>> + Send>>;

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Answer<Self::WatchJobStream> {
        let mut script = self.0.lock();
        script.watches.push(request.into_inner());
        match script.streams.pop_front() {
            Some(stream) => Ok(Response::new(Box::pin(tokio_stream::iter(stream)))),
            None => Ok(Response::new(Box::pin(tokio_stream::pending()))),
        }
    }

    type WatchJobsStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchJobsResponse, Status>> + Send>>;

    async fn watch_jobs(
        &self,
        request: Request<WatchJobsRequest>,
    ) -> Answer<Self::WatchJobsStream> {
        let mut script = self.0.lock();
        script.many_asked.push(request.into_inner());
        let stream = script.many.pop_front().unwrap_or_default();
        match stream.first() {
            Some(Err(refused)) => Err(refused.clone()),
            _ => Ok(Response::new(Box::pin(
                tokio_stream::iter(stream).chain(tokio_stream::pending()),
            ))),
        }
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        let mut script = self.0.lock();
        script.lists.push(request.into_inner());
        Ok(Response::new(script.pages.pop_front().unwrap_or_default()))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Answer<CancelJobResponse> {
        let id = request.into_inner().job_id;
        if !self.0.lock().cancels.contains(&id) {
            return Err(Status::not_found(format!("there is no job {id}")));
        }
        let job = Job { id, ..Job::default() };
        Ok(Response::new(CancelJobResponse { job: Some(job) }))
    }

    async fn explain_job(&self, _: Request<ExplainJobRequest>) -> Answer<ExplainJobResponse> {
        not_here()
    }

    async fn get_stats(&self, _: Request<GetStatsRequest>) -> Answer<GetStatsResponse> {
        std::future::pending().await
    }

    async fn create_job(&self, _: Request<CreateJobRequest>) -> Answer<CreateJobResponse> {
        not_here()
    }

    async fn batch_create_jobs(
        &self,
        _: Request<BatchCreateJobsRequest>,
    ) -> Answer<BatchCreateJobsResponse> {
        not_here()
    }

    async fn get_job(&self, _: Request<GetJobRequest>) -> Answer<GetJobResponse> {
        not_here()
    }

    async fn retry_job(&self, _: Request<RetryJobRequest>) -> Answer<RetryJobResponse> {
        not_here()
    }

    async fn delete_job(&self, _: Request<DeleteJobRequest>) -> Answer<DeleteJobResponse> {
        not_here()
    }

    async fn bulk_cancel_jobs(
        &self,
        _: Request<BulkCancelJobsRequest>,
    ) -> Answer<BulkCancelJobsResponse> {
        not_here()
    }

    async fn bulk_retry_jobs(
        &self,
        _: Request<BulkRetryJobsRequest>,
    ) -> Answer<BulkRetryJobsResponse> {
        not_here()
    }

    async fn bulk_delete_jobs(
        &self,
        _: Request<BulkDeleteJobsRequest>,
    ) -> Answer<BulkDeleteJobsResponse> {
        not_here()
    }

    async fn list_job_logs(&self, _: Request<ListJobLogsRequest>) -> Answer<ListJobLogsResponse> {
        not_here()
    }

    async fn list_job_attempts(
        &self,
        _: Request<ListJobAttemptsRequest>,
    ) -> Answer<ListJobAttemptsResponse> {
        not_here()
    }

    async fn get_summary(&self, _: Request<GetSummaryRequest>) -> Answer<GetSummaryResponse> {
        not_here()
    }
}
