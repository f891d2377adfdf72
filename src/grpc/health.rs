//! The standard health service: SERVING until the server stops, NOT_SERVING from then on.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use tonic::server::NamedService as _;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::job_service_server::JobServiceServer;
use crate::proto::v1::job_type_service_server::JobTypeServiceServer;
use crate::proto::v1::worker_service_server::WorkerServiceServer;
use crate::runtime::Shutdown;

use super::admin_service::AdminApi;
use super::job_service::JobApi;
use super::job_type_service::JobTypeApi;
use super::worker_service::WorkerApi;

/// Services that may be asked for; the empty name is the whole server.
const SERVICES: &[&str] = &[
    "",
    JobServiceServer::<JobApi>::NAME,
    WorkerServiceServer::<WorkerApi>::NAME,
    JobTypeServiceServer::<JobTypeApi>::NAME,
    AdminServiceServer::<AdminApi>::NAME,
];

/// Answers `grpc.health.v1.Health`.
pub(super) struct HealthApi {
    shutdown: Shutdown,
}

impl HealthApi {
    pub(super) const fn new(shutdown: Shutdown) -> Self {
        Self { shutdown }
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for HealthApi {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !SERVICES.contains(&&*service) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(status(is_serving(&self.shutdown))))
    }

    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Answers>, Status> {
        let shutdown = self.shutdown.clone();
        if !SERVICES.contains(&&*request.into_inner().service) {
            // As the protocol has it: the watch stays open, for a service that may appear.
            let unknown = futures_util::stream::iter([Ok(status(ServingStatus::ServiceUnknown))]);
            let end = futures_util::stream::once(async move { shutdown.signalled().await });
            return Ok(Response::new(Box::pin(unknown.chain(end.filter_map(|()| async { None })))));
        }
        let first = is_serving(&shutdown);
        let answers = futures_util::stream::iter([Ok(status(first))]);
        // The end follows the last answer: an open watch would hold the whole shutdown.
        let last = futures_util::stream::once(async move {
            shutdown.signalled().await;
            Ok(status(ServingStatus::NotServing))
        });
        let last = last.filter(move |_| {
            let is_news = first == ServingStatus::Serving;
            async move { is_news }
        });
        Ok(Response::new(Box::pin(answers.chain(last))))
    }
}

fn is_serving(shutdown: &Shutdown) -> ServingStatus {
    if shutdown.is_signalled() { ServingStatus::NotServing } else { ServingStatus::Serving }
}

const fn status(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[cfg(test)]
mod tests;
