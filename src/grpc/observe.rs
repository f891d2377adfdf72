//! Counts and times every call, by method and code.
//!
//! A call is over when its trailers pass, or its headers if they carry its status. A call that is
//! dropped before counts as CANCELLED. To be put inside the gRPC-Web layer, which packs trailers
//! into the body.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use prost::Message as _;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::Code;
use tower::{Layer, Service};

use crate::proto::DESCRIPTOR_SET;
use crate::runtime::Clock;
use crate::telemetry::Metrics;

use super::reasons::code_name;

/// Methods that are not in the API's own descriptors.
const STANDARD_METHODS: &[&str] = &[
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];
/// What a call of an unknown method counts as.
const OTHER: &str = "other";
const STATUS_HEADER: &str = "grpc-status";

/// Wraps a gRPC service so that its calls are counted in `metrics`.
#[derive(Debug, Clone)]
pub struct ObserveLayer {
    metrics: Metrics,
    methods: Arc<HashMap<String, &'static str>>,
    under_way: TaskTracker,
}

impl ObserveLayer {
    /// Counts the methods of the API, of health and of reflection; made once for a process.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        let set = prost_types::FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap_or_default();
        let own = set.file.iter().flat_map(|file| {
            file.service.iter().flat_map(|service| {
                let service_name = format!("{}.{}", file.package(), service.name());
                let methods = service.method.iter();
                methods.map(move |method| format!("{service_name}/{}", method.name()))
            })
        });
        // Labels live as long as the process, and there are some dozens of them.
        let own = own.map(|name| &*Box::leak(name.into_boxed_str()));
        let methods =
            own.chain(STANDARD_METHODS.iter().copied()).map(|name| (format!("/{name}"), name));
        Self { metrics, methods: Arc::new(methods.collect()), under_way: TaskTracker::new() }
    }

    fn call(&self, path: &str) -> Call {
        let method = self.methods.get(path).copied().unwrap_or(OTHER);
        Call {
            metrics: self.metrics.clone(),
            method,
            start: Clock::monotonic(),
            over: false,
            _under_way: self.under_way.token(),
        }
    }

    /// Waits until no call is under way. Safe to drop.
    pub async fn calls_ended(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe { inner, layer: self.clone() }
    }
}

/// See [`ObserveLayer`].
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    layer: ObserveLayer,
}

impl<S, A, B> Service<Request<A>> for Observe<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body,
{
    type Response = Response<ObservedBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut call = self.layer.call(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            match answer.await {
                Ok(response) => {
                    call.see(response.headers());
                    Ok(response.map(|inner| ObservedBody { inner, call }))
                }
                Err(error) => {
                    call.end(Code::Internal);
                    Err(error)
                }
            }
        })
    }
}

/// A call under way.
#[derive(Debug)]
struct Call {
    metrics: Metrics,
    method: &'static str,
    start: Instant,
    over: bool,
    _under_way: TaskTrackerToken,
}

impl Call {
    /// Ends the call if its status is among `headers`.
    fn see(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(STATUS_HEADER) {
            self.end(Code::from_bytes(status.as_bytes()));
        }
    }

    fn end(&mut self, code: Code) {
        if !self.over {
            self.over = true;
            let duration = Clock::monotonic().duration_since(self.start);
            self.metrics.rpc(self.method, code_name(code), duration);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The answer of an observed call: hands everything through and looks at the trailers.
#[derive(Debug)]
pub struct ObservedBody<B> {
    inner: B,
    call: Call,
}

impl<B: Body + Unpin> Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.see(trailers);
                }
            }
            // It ends without a status.
            Some(Err(_)) | None => self.call.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
