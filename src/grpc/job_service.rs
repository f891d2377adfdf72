//! JobService: what clients do with jobs. Each group of calls has a file of its own.

mod bulk;
mod create;
mod explain;
mod list;
mod one;
mod stats;

use tonic::{Request, Response, Status};

use crate::config::Streams;
use crate::engine::Engine;
use crate::proto::v1;
use crate::proto::v1::job_service_server::JobService;

use super::caller::caller;
use super::watch_job::{self, WatchStream};
use super::watch_jobs::{self, WatchJobsStream};

/// Answers JobService.
#[derive(Clone)]
pub struct JobApi {
    engine: Engine,
    streams: Streams,
}

impl JobApi {
    /// Answers with what `engine` says.
    #[must_use]
    pub const fn new(engine: Engine, streams: Streams) -> Self {
        Self { engine, streams }
    }
}

#[tonic::async_trait]
impl JobService for JobApi {
    async fn create_job(
        &self,
        request: Request<v1::CreateJobRequest>,
    ) -> Result<Response<v1::CreateJobResponse>, Status> {
        let caller = caller(&request);
        create::create(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn batch_create_jobs(
        &self,
        request: Request<v1::BatchCreateJobsRequest>,
    ) -> Result<Response<v1::BatchCreateJobsResponse>, Status> {
        let caller = caller(&request);
        create::create_many(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        let caller = caller(&request);
        one::job(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let caller = caller(&request);
        list::jobs(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    type WatchJobStream = WatchStream;

    async fn watch_job(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        let caller = caller(&request);
        watch_job::watch(&self.engine, self.streams, &caller, request.into_inner())
            .await
            .map(Response::new)
    }

    type WatchJobsStream = WatchJobsStream;

    async fn watch_jobs(
        &self,
        request: Request<v1::WatchJobsRequest>,
    ) -> Result<Response<Self::WatchJobsStream>, Status> {
        let caller = caller(&request);
        watch_jobs::watch(&self.engine, self.streams, &caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<v1::CancelJobRequest>,
    ) -> Result<Response<v1::CancelJobResponse>, Status> {
        let caller = caller(&request);
        one::cancel(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn retry_job(
        &self,
        request: Request<v1::RetryJobRequest>,
    ) -> Result<Response<v1::RetryJobResponse>, Status> {
        let caller = caller(&request);
        one::retry(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete_job(
        &self,
        request: Request<v1::DeleteJobRequest>,
    ) -> Result<Response<v1::DeleteJobResponse>, Status> {
        let caller = caller(&request);
        one::delete(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn bulk_cancel_jobs(
        &self,
        request: Request<v1::BulkCancelJobsRequest>,
    ) -> Result<Response<v1::BulkCancelJobsResponse>, Status> {
        let caller = caller(&request);
        bulk::cancel(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn bulk_retry_jobs(
        &self,
        request: Request<v1::BulkRetryJobsRequest>,
    ) -> Result<Response<v1::BulkRetryJobsResponse>, Status> {
        let caller = caller(&request);
        bulk::retry(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn bulk_delete_jobs(
        &self,
        request: Request<v1::BulkDeleteJobsRequest>,
    ) -> Result<Response<v1::BulkDeleteJobsResponse>, Status> {
        let caller = caller(&request);
        bulk::delete(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn list_job_logs(
        &self,
        request: Request<v1::ListJobLogsRequest>,
    ) -> Result<Response<v1::ListJobLogsResponse>, Status> {
        let caller = caller(&request);
        list::logs(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn list_job_attempts(
        &self,
        request: Request<v1::ListJobAttemptsRequest>,
    ) -> Result<Response<v1::ListJobAttemptsResponse>, Status> {
        let caller = caller(&request);
        list::attempts(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn explain_job(
        &self,
        request: Request<v1::ExplainJobRequest>,
    ) -> Result<Response<v1::ExplainJobResponse>, Status> {
        let caller = caller(&request);
        explain::explain(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let caller = caller(&request);
        stats::stats(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }

    async fn get_summary(
        &self,
        request: Request<v1::GetSummaryRequest>,
    ) -> Result<Response<v1::GetSummaryResponse>, Status> {
        let caller = caller(&request);
        stats::summary(&self.engine, &caller, &request.into_inner()).await.map(Response::new)
    }
}
