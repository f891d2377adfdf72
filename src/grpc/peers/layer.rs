//! Counts every call to its peer.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tonic::Status;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};

use crate::config::PeerLimits;

use super::super::status::to_status;
use super::answer::Answer;
use super::intake::Intake;
use super::{Kind, Peers};

/// How calls of the API begin; others read nothing and are answered at once.
const API: &str = "/jobplane.v1.";
/// What orchestrators ask.
const PROBES: &[&str] = &["/grpc.health.v1.Health/Check", "/healthz", "/readyz"];
/// How calls of the reflection begin, of either version.
const REFLECTION: &str = "/grpc.reflection.";
/// The call that waits by design: it would stand in the door of those that are soon answered.
const LONG_POLL: &str = "/jobplane.v1.WorkerService/AcquireJobs";

/// Puts the bounds of peers around a service; made once for a process.
#[derive(Clone)]
pub struct PeersLayer {
    peers: Peers,
}

impl PeersLayer {
    /// Bounds every peer by `limits`.
    #[must_use]
    pub fn new(limits: PeerLimits) -> Self {
        Self { peers: Peers::new(limits) }
    }
}

impl<S> Layer<S> for PeersLayer {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Bounded { inner, peers: self.peers.clone() }
    }
}

/// See [`PeersLayer`].
#[derive(Clone)]
pub struct Bounded<S> {
    inner: S,
    peers: Peers,
}

/// Who calls; whoever has no address of his own is one peer with all the others.
fn address<B>(request: &Request<B>) -> IpAddr {
    let info = request.extensions().get::<TcpConnectInfo>();
    let address = info.and_then(TcpConnectInfo::remote_addr);
    address.map_or(Ipv4Addr::UNSPECIFIED.into(), |address| address.ip())
}

/// The content type of gRPC's family, without what stands before its variants.
fn grpc_variant<B>(request: &Request<B>) -> Option<&[u8]> {
    let kind = request.headers().get(http::header::CONTENT_TYPE)?;
    kind.as_bytes().strip_prefix(b"application/grpc")
}

fn kind(path: &str) -> Kind {
    if PROBES.contains(&path) {
        Kind::Probe
    } else if path.starts_with(REFLECTION) {
        Kind::Reflection
    } else {
        Kind::Usual
    }
}

fn refusal<B: Default>(status: Status, is_grpc: bool) -> Response<B> {
    if is_grpc {
        return status.into_http();
    }
    let mut page = Response::new(B::default());
    *page.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    page
}

impl<S, A, B> Service<Request<A>> for Bounded<S>
where
    S: Service<Request<Intake<A>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    A: Body<Data = Bytes, Error = Status> + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Default,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let variant = grpc_variant(&request);
        let is_grpc = variant.is_some();
        let framed = variant.is_some_and(|variant| !variant.starts_with(b"-web-text"));
        let path = request.uri().path();
        let passes = !path.starts_with(API) || path == LONG_POLL;
        let call = match self.peers.enter(address(&request), kind(path)) {
            Ok(call) => call,
            Err(error) => {
                let status = to_status(error);
                return Box::pin(async move { Ok(refusal(status, is_grpc)) });
            }
        };
        let mut request = request.map(|body| Intake::of(body, framed, &call));
        // The one that was asked whether it is ready is the one that is called.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            let door = Arc::clone(&call.peer.door);
            let passed = if passes {
                None
            } else {
                tokio::select! {
                    biased;
                    // It is never closed, so there is a permit.
                    passed = door.acquire_owned() => passed.ok(),
                    refused = request.body_mut().wait() => return Ok(refusal(refused, is_grpc)),
                }
            };
            let response = inner.call(request).await?;
            drop(passed);
            Ok(response.map(|body| Answer::of(body, &call)))
        })
    }
}
