//! The listener's server: gRPC, gRPC-Web and plain HTTP on one port.

use axum::Router;
use http::HeaderValue;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::{Streams, Transport};
use crate::domain::limits::{
    CLOSE_WITHIN, LOCAL_RESETS_MAX, MESSAGE_BYTES_MAX, PENDING_RESETS_MAX, REPORT_MESSAGE_BYTES_MAX,
};
use crate::engine::Engine;
use crate::proto::DESCRIPTOR_SET;
use crate::proto::v1::admin_service_server::AdminServiceServer;
use crate::proto::v1::job_service_server::JobServiceServer;
use crate::proto::v1::job_type_service_server::JobTypeServiceServer;
use crate::proto::v1::worker_service_server::WorkerServiceServer;
use crate::runtime::Shutdown;
use crate::telemetry::Metrics;

use super::admin_service::AdminApi;
use super::arrival::ArrivalLayer;
use super::health::HealthApi;
use super::job_service::JobApi;
use super::job_type_service::JobTypeApi;
use super::listener::Listener;
use super::observe::ObserveLayer;
use super::oversize::OversizeLayer;
use super::peers::PeersLayer;
use super::worker_service::WorkerApi;

/// Why the server ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptors do not fit together.
    #[error("reflection cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A configured origin cannot be sent as a header.
    #[error("{origin:?} is not an origin")]
    Origin {
        /// As it was given.
        origin: String,
    },
    /// The transport failed.
    #[error("the transport failed")]
    Transport(#[from] tonic::transport::Error),
}

/// What the server is made of.
pub struct Parts {
    /// Where connections come from.
    pub listener: Listener,
    /// What calls are answered by.
    pub engine: Engine,
    /// The pages.
    pub web: Router,
    /// Where calls and connections are counted.
    pub metrics: Metrics,
    /// How connections and streams are kept.
    pub transport: Transport,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
}

/// Serves until `shutdown` is signalled and the connections are done, or `cut` is, which ends them.
///
/// # Errors
/// If it cannot start, or the listener fails.
pub async fn serve(parts: Parts, shutdown: Shutdown, cut: Shutdown) -> Result<(), Error> {
    let Parts { listener, engine, web, metrics, transport, cors_origins } = parts;
    let tasks = engine.tasks().clone();
    let routes = Routes::from(grpc(&engine, transport.streams, &cors_origins)?.merge(web));
    let observed = ObserveLayer::new(metrics.clone());
    let incoming = listener.start(&transport.connections, metrics, &tasks, &shutdown, &cut);
    let serving = transport_of(&transport)
        .layer(observed.clone())
        .layer(PeersLayer::new(transport.peers))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, shutdown.signalled());
    tokio::select! {
        served = serving => Ok(served?),
        () = abandoned(&observed, &shutdown, &cut) => Ok(()),
    }
}

/// A transport with these settings, and no service yet.
#[must_use]
pub fn transport_of(settings: &Transport) -> Server {
    Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .max_concurrent_streams(settings.streams_max)
        .http2_max_header_list_size(settings.header_list_bytes_max)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_RESETS_MAX))
        .http2_keepalive_interval(Some(settings.keepalive_interval))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
}

/// Cuts the connections that are still there when no call is: their peers stopped in the middle of
/// something. Ends after `cut`, whoever signals it, and some time for the connections to notice.
async fn abandoned(observed: &ObserveLayer, shutdown: &Shutdown, cut: &Shutdown) {
    shutdown.signalled().await;
    tokio::select! {
        () = observed.calls_ended() => {}
        () = cut.signalled() => {}
    }
    tokio::select! {
        () = tokio::time::sleep(CLOSE_WITHIN) => cut.signal(),
        () = cut.signalled() => {}
    }
    tokio::time::sleep(CLOSE_WITHIN).await;
}

fn grpc(engine: &Engine, streams: Streams, cors_origins: &[String]) -> Result<Router, Error> {
    let health = HealthServer::new(HealthApi::new(engine.shutdown_signal()));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let worker = |limit| {
        WorkerServiceServer::new(WorkerApi::new(engine.clone(), streams))
            .max_decoding_message_size(limit)
    };
    let jobs = JobServiceServer::new(JobApi::new(engine.clone(), streams))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = Routes::new(jobs)
        .add_service(worker(MESSAGE_BYTES_MAX))
        .add_service(
            JobTypeServiceServer::new(JobTypeApi::new(engine.clone()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            AdminServiceServer::new(AdminApi::new(engine.clone()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    // The stream has a bound of its own for a message.
    let with_stream = routes.into_axum_router().route_service(
        "/jobplane.v1.WorkerService/ReportProgress",
        worker(REPORT_MESSAGE_BYTES_MAX),
    );
    let arrival = ArrivalLayer::new(engine.shutdown_signal());
    let layered = with_stream.layer(OversizeLayer).layer(arrival).layer(GrpcWebLayer::new());
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
