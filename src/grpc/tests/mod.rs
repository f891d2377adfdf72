//! Whole calls against the reference store, without a transport.

mod clients;
mod operators;
mod workers;

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::config::Streams;
use crate::engine::{Access, Engine, Stops};
use crate::grpc::admin_service::AdminApi;
use crate::grpc::job_service::JobApi;
use crate::grpc::worker_service::WorkerApi;
use crate::proto::v1;
use crate::proto::v1::job_service_server::JobService as _;
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use crate::store::memory::MemoryStore;
use crate::telemetry::Metrics;

/// The service over a store of its own; its tasks end with the test's runtime.
struct Server {
    engine: Engine,
    jobs: JobApi,
    workers: WorkerApi,
    admin: AdminApi,
    board: LoopBoard,
    shutdown: Shutdown,
}

impl Server {
    fn start() -> Self {
        let (tasks, board, shutdown) = (Tasks::new(), LoopBoard::default(), Shutdown::new());
        let engine = Engine::start_up(
            Arc::new(MemoryStore::new()),
            Clock::new(),
            Access {
                timeout: crate::config::Config::default().store_timeout,
                lanes: 1,
                max_running: 0,
                telling: crate::config::Telling::default(),
                house: crate::config::House::default(),
                facets: None,
                max_pending: 0,
            },
            Metrics::new(),
            board.clone(),
            Stops {
                tasks: &tasks,
                writer: &tasks,
                shutdown: shutdown.clone(),
                closed: Shutdown::new(),
            },
        );
        Self {
            jobs: JobApi::new(engine.clone(), Streams::default()),
            workers: WorkerApi::new(engine.clone(), Streams::default()),
            admin: AdminApi::new(engine.clone()),
            engine,
            board,
            shutdown,
        }
    }

    async fn create(&self, request: v1::CreateJobRequest) -> Result<v1::CreateJobResponse, Status> {
        said(self.jobs.create_job(Request::new(request)).await)
    }

    /// A job of this type that waits.
    async fn waiting(&self, job_type: &str) -> v1::Job {
        let created = self.create(wish(job_type)).await.expect("created");
        created.job.expect("a job")
    }
}

fn said<T>(answer: Result<Response<T>, Status>) -> Result<T, Status> {
    answer.map(Response::into_inner)
}

/// A request that says nothing.
fn unset<T: Default>() -> Request<T> {
    Request::new(T::default())
}

fn spec(job_type: &str) -> v1::JobSpec {
    v1::JobSpec { r#type: job_type.to_owned(), ..v1::JobSpec::default() }
}

fn wish(job_type: &str) -> v1::CreateJobRequest {
    v1::CreateJobRequest { spec: Some(spec(job_type)), ..v1::CreateJobRequest::default() }
}

fn state(job: Option<&v1::Job>) -> v1::JobState {
    let status = job.and_then(|job| job.status.as_ref()).expect("a status");
    status.state()
}

/// The code and reason of a refusal.
fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason)
}

/// The fields that a refusal names.
fn fields<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.expect_err("a refusal");
    let request = status.get_details_bad_request().expect("wrong fields");
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}
