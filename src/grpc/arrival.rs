//! How long a request may arrive.
//!
//! A call that carries one message waits for it and for the end of the request without a bound of its
//! own: a peer that drips, or stops, would keep it for ever. Streams have bounds of theirs.
//!
//! When the server stops, what has not arrived soon is not waited for, and streams of questions end: else each
//! of them would hold up the stop until its deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tower::{Layer, Service};

use crate::domain::limits::{CLOSE_WITHIN, REQUEST_WITHIN};
use crate::engine;
use crate::runtime::Shutdown;

use super::status::to_status;

/// The stream that is told by itself when the server stops.
const REPORTS: &str = "/jobplane.v1.WorkerService/ReportProgress";
/// Streams of questions, whose caller may take its time between two of them.
const QUESTIONS: &[&str] = &[
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Bounds the time of requests to arrive. To be put inside the gRPC-Web layer.
#[derive(Clone)]
pub struct ArrivalLayer {
    shutdown: Shutdown,
}

impl ArrivalLayer {
    /// Waits less once `shutdown` is signalled.
    #[must_use]
    pub const fn new(shutdown: Shutdown) -> Self {
        Self { shutdown }
    }
}

impl<S> Layer<S> for ArrivalLayer {
    type Service = Arrival<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Arrival { inner, shutdown: self.shutdown.clone() }
    }
}

/// See [`ArrivalLayer`].
#[derive(Clone)]
pub struct Arrival<S> {
    inner: S,
    shutdown: Shutdown,
}

impl<S, B> Service<Request<Body>> for Arrival<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        if path == REPORTS {
            return self.inner.call(request);
        }
        let is_stream = QUESTIONS.contains(&path);
        let shutdown = self.shutdown.clone();
        self.inner.call(
            request.map(|inner| Body::new(Arriving { inner, is_stream, shutdown, ends: None })),
        )
    }
}

/// Why a body is not waited for any longer.
#[derive(Debug, Clone, Copy)]
enum End {
    Late,
    Stopping,
}

type Ends = Pin<Box<dyn Future<Output = End> + Send>>;

/// A request as it arrives.
struct Arriving {
    inner: Body,
    /// One that may be silent for long.
    is_stream: bool,
    shutdown: Shutdown,
    /// Runs from the first wait for the peer.
    ends: Option<Ends>,
}

impl Arriving {
    fn ends(&self) -> Ends {
        // A child of its own, so that calls do not meet at one lock.
        let shutdown = self.shutdown.child();
        if self.is_stream {
            return Box::pin(async move {
                shutdown.signalled().await;
                End::Stopping
            });
        }
        Box::pin(async move {
            let stopping = async {
                shutdown.signalled().await;
                tokio::time::sleep(CLOSE_WITHIN).await;
            };
            tokio::select! {
                () = tokio::time::sleep(REQUEST_WITHIN) => End::Late,
                () = stopping => End::Stopping,
            }
        })
    }
}

impl http_body::Body for Arriving {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let mut ends = self.ends.take().unwrap_or_else(|| self.ends());
        let end = ends.as_mut().poll(context);
        self.ends = Some(ends);
        let error = match ready!(end) {
            End::Late => engine::Error::LimitExceeded {
                what: "the time of a request to arrive, in seconds,",
                limit: REQUEST_WITHIN.as_secs(),
            },
            End::Stopping => engine::Error::Draining,
        };
        Poll::Ready(Some(Err(to_status(error).into())))
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
