//! Messages on their way in: how long one may take, and how much of them a peer may leave unfinished.
//!
//! The transport keeps the part of a message that is there until the rest comes, for each call. A peer
//! with thousands of calls, each of which never sends its last byte, would otherwise fill the memory,
//! every message within its own bound. So what is there is charged to the peer ([`super::peers`]).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tower::{Layer, Service};

use crate::domain::limits::MESSAGE_WITHIN;
use crate::engine;

use super::peers::{Call, Charge};
use super::status::to_status;
use partial::Partial;

mod partial;

/// Calls whose caller goes on sending messages: between two of them it may take its time.
const STREAMS: &[&str] = &[
    "/jobplane.v1.WorkerService/ReportProgress",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Bounds the messages that arrive at a service. To be put inside the gRPC-Web layer, and that of peers.
#[derive(Debug, Clone, Copy, Default)]
pub struct IntakeLayer;

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intake { inner }
    }
}

/// See [`IntakeLayer`].
#[derive(Debug, Clone)]
pub struct Intake<S> {
    inner: S,
}

impl<S, B> Service<Request<Body>> for Intake<S>
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
        let streams = STREAMS.contains(&request.uri().path());
        // Without a peer, nobody is there to be charged.
        let call = request.extensions().get::<Arc<Call>>();
        let charge = call.map(|call| Charge::none(Arc::clone(call)));
        self.inner.call(request.map(|inner| {
            if inner.is_end_stream() {
                return inner;
            }
            Body::new(Arriving { inner, streams, charge, partial: Partial::default(), late: None })
        }))
    }
}

/// A request as it arrives.
struct Arriving {
    inner: Body,
    /// Whether more than one message may come.
    streams: bool,
    /// For the bytes of a message that is not whole yet.
    charge: Option<Charge>,
    partial: Partial,
    /// Runs while the peer owes the rest of something.
    late: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// Takes note of bytes that came.
    fn came(&mut self, bytes: &Bytes) -> Result<(), Status> {
        if self.partial.feed(bytes) {
            // A message is whole: the next one has its own time.
            self.late = None;
        }
        let bytes = self.partial.bytes();
        self.charge.as_mut().map_or(Ok(()), |charge| charge.set(bytes)).map_err(to_status)
    }

    /// Waits for the rest, not for ever.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<Status> {
        if self.streams && self.partial.bytes() == 0 {
            self.late = None;
            return Poll::Pending;
        }
        let late = self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep(MESSAGE_WITHIN)));
        late.as_mut().poll(context).map(|()| {
            let limit = MESSAGE_WITHIN.as_secs();
            let what = "the time of a message to arrive, in seconds,";
            to_status(engine::Error::LimitExceeded { what, limit })
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
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let came = frame.data_ref().map_or(Ok(()), |bytes| self.came(bytes));
                Poll::Ready(Some(came.map(|()| frame).map_err(Into::into)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|end| end.map_err(Into::into))),
            Poll::Pending => self.waits(context).map(|status| Some(Err(status.into()))),
        }
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
