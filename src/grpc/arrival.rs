//! How long a request may arrive.
//!
//! A call that carries one message waits for it and for the end of the request without a bound of its
//! own: a peer that drips, or stops, would keep it for ever. Streams have bounds of theirs.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tower::{Layer, Service};

use crate::domain::limits::REQUEST_WITHIN;
use crate::engine;

use super::status::to_status;

/// Calls whose caller goes on sending messages, and may take its time between two of them.
const STREAMS: &[&str] = &[
    "/jobplane.v1.WorkerService/ReportProgress",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Bounds the time of requests to arrive. To be put inside the gRPC-Web layer.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArrivalLayer;

impl<S> Layer<S> for ArrivalLayer {
    type Service = Arrival<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Arrival { inner }
    }
}

/// See [`ArrivalLayer`].
#[derive(Debug, Clone)]
pub struct Arrival<S> {
    inner: S,
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
        let is_bounded = !STREAMS.contains(&request.uri().path());
        self.inner.call(if is_bounded {
            request.map(|inner| Body::new(Arriving { inner, late: None }))
        } else {
            request
        })
    }
}

/// A request as it arrives.
struct Arriving {
    inner: Body,
    /// Runs from the first wait for the peer.
    late: Option<Pin<Box<Sleep>>>,
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
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(REQUEST_WITHIN)));
        late.as_mut().poll(context).map(|()| {
            let limit = REQUEST_WITHIN.as_secs();
            let what = "the time of a request to arrive, in seconds,";
            Some(Err(to_status(engine::Error::LimitExceeded { what, limit }).into()))
        })
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
