//! The listener's server: gRPC, gRPC-Web and plain HTTP on one port.

use std::time::Duration;

use axum::Router;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::domain::limits::{
    CONNECTION_STREAMS_MAX, CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    MESSAGE_BYTES_MAX, REPORT_MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES,
};
use crate::engine::Engine;
use crate::proto::DESCRIPTOR_SET;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::job_service_server::JobServiceServer;
use crate::proto::v1::worker_service_server::WorkerServiceServer;
use crate::runtime::Shutdown;
use crate::telemetry::Metrics;

use super::admin_service::AdminApi;
use super::gather::Gather;
use super::job_service::JobApi;
use super::observe::ObserveLayer;
use super::oversize::OversizeLayer;
use super::worker_service::WorkerApi;

/// Why the server ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors do not fit together.
    #[error("reflection cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A configured origin is none.
    #[error("{origin:?} is not an origin")]
    Origin {
        /// As it was given.
        origin: String,
    },
    /// The transport failed.
    #[error("the transport failed")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves until `shutdown` is signalled and the connections are done.
///
/// # Errors
/// If it cannot start, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    web: Router,
    metrics: Metrics,
    cors_origins: &[String],
    shutdown: Shutdown,
) -> Result<(), Error> {
    let routes = Routes::from(grpc(engine, cors_origins).await?.merge(web));
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(Duration::from_secs(60)))
        .map(|accepted| accepted.map(Gather::new));
    Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(ObserveLayer::new(metrics))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move { shutdown.signalled().await })
        .await?;
    Ok(())
}

async fn grpc(engine: Engine, cors_origins: &[String]) -> Result<Router, Error> {
    let (mut health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<JobServiceServer<JobApi>>().await;
    health.set_serving::<WorkerServiceServer<WorkerApi>>().await;
    health.set_serving::<AdminServiceServer<AdminApi>>().await;
    engine.tasks().spawn("health", {
        let shutdown = engine.shutdown_signal();
        async move {
            shutdown.signalled().await;
            health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
            health.set_not_serving::<JobServiceServer<JobApi>>().await;
            health.set_not_serving::<WorkerServiceServer<WorkerApi>>().await;
            health.set_not_serving::<AdminServiceServer<AdminApi>>().await;
            // Watches see that, and then end: an open one would hold the whole shutdown.
            let services = [
                "",
                JobServiceServer::<JobApi>::NAME,
                WorkerServiceServer::<WorkerApi>::NAME,
                AdminServiceServer::<AdminApi>::NAME,
            ];
            for service in services {
                health.clear_service_status(service).await;
            }
        }
    });
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let worker = |limit| {
        WorkerServiceServer::new(WorkerApi::new(engine.clone())).max_decoding_message_size(limit)
    };
    let jobs = JobServiceServer::new(JobApi::new(engine.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = Routes::new(jobs)
        .add_service(worker(MESSAGE_BYTES_MAX))
        .add_service(AdminServiceServer::new(AdminApi::new(engine.clone())))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    // The stream has a bound of its own for a message.
    let with_stream = routes.into_axum_router().route_service(
        "/jobplane.v1.WorkerService/ReportProgress",
        worker(REPORT_MESSAGE_BYTES_MAX),
    );
    let layered = with_stream.layer(OversizeLayer).layer(GrpcWebLayer::new());
    // Outside the layers: gRPC-Web would answer a plain HTTP/1.1 request for no page with 400.
    Ok(layered.layer(cors(cors_origins)?).fallback(unknown))
}

/// No such RPC, or no such page.
async fn unknown(request: http::Request<axum::body::Body>) -> http::Response<tonic::body::Body> {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return tonic::Status::unimplemented("there is no such RPC").into_http();
    }
    let mut page = http::Response::new(tonic::body::Body::empty());
    *page.status_mut() = http::StatusCode::NOT_FOUND;
    page
}

/// Browsers may call from the configured origins; from none by default.
fn cors(origins: &[String]) -> Result<CorsLayer, Error> {
    let exposed = ["grpc-status", "grpc-message", "grpc-status-details-bin"];
    let mut allowed = Vec::with_capacity(origins.len());
    for origin in origins {
        let value = HeaderValue::from_str(origin);
        allowed.push(value.map_err(|_| Error::Origin { origin: origin.clone() })?);
    }
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_methods([http::Method::POST])
        .allow_headers([
            http::header::CONTENT_TYPE,
            http::header::AUTHORIZATION,
            http::HeaderName::from_static("x-grpc-web"),
            http::HeaderName::from_static("x-user-agent"),
            http::HeaderName::from_static("grpc-timeout"),
        ])
        .expose_headers(exposed.map(http::HeaderName::from_static)))
}
