//! WorkerService: how work reaches workers, on a stream or call by call.

mod outcome;
mod take;

use tonic::{Request, Response, Status, Streaming};

use crate::config::Streams;
use crate::engine::Engine;
use crate::proto::from_worker::FromWorker;
use crate::proto::v1;
use crate::proto::v1::worker_service_server::WorkerService;

use super::caller::caller;
use super::deadline;
use super::worker_stream::{self, ReportStream};

/// Answers WorkerService.
#[derive(Clone)]
pub struct WorkerApi {
    engine: Engine,
    streams: Streams,
}

impl WorkerApi {
    /// Answers with what `engine` says.
    #[must_use]
    pub const fn new(engine: Engine, streams: Streams) -> Self {
        Self { engine, streams }
    }
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    type ReportProgressStream = ReportStream;

    async fn report_progress(
        &self,
        request: Request<Streaming<FromWorker>>,
    ) -> Result<Response<Self::ReportProgressStream>, Status> {
        let caller = caller(&request);
        Ok(Response::new(worker_stream::serve(
            &self.engine,
            self.streams,
            caller,
            request.into_inner(),
        )))
    }

    async fn acquire_jobs(
        &self,
        request: Request<v1::AcquireJobsRequest>,
    ) -> Result<Response<v1::AcquireJobsResponse>, Status> {
        let (caller, timeout) = (caller(&request), deadline::timeout(request.metadata()));
        let request = request.into_inner();
        take::acquire(&self.engine, caller, request, timeout).await.map(Response::new)
    }

    async fn start_job(
        &self,
        request: Request<v1::StartJobRequest>,
    ) -> Result<Response<v1::StartJobResponse>, Status> {
        let caller = caller(&request);
        take::start(&self.engine, caller, request.into_inner()).await.map(Response::new)
    }

    async fn report_job(
        &self,
        request: Request<v1::ReportJobRequest>,
    ) -> Result<Response<v1::ReportJobResponse>, Status> {
        let caller = caller(&request);
        outcome::report(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn complete_job(
        &self,
        request: Request<v1::CompleteJobRequest>,
    ) -> Result<Response<v1::CompleteJobResponse>, Status> {
        let caller = caller(&request);
        outcome::complete(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn fail_job(
        &self,
        request: Request<v1::FailJobRequest>,
    ) -> Result<Response<v1::FailJobResponse>, Status> {
        let caller = caller(&request);
        outcome::fail(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn release_job(
        &self,
        request: Request<v1::ReleaseJobRequest>,
    ) -> Result<Response<v1::ReleaseJobResponse>, Status> {
        let caller = caller(&request);
        outcome::release(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }
}
