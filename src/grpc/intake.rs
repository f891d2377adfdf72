//! Messages on their way in: how long one may take, and how much of all of them there may be.
//!
//! The transport keeps the part of a message that is there until the rest comes, for each call. A peer
//! with thousands of calls, each of which never sends its last byte, would otherwise fill the memory,
//! every message within its own bound.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tower::{Layer, Service};

use crate::domain::limits::{ARRIVING_BYTES_MAX, MESSAGE_WITHIN};
use crate::engine;

use super::status::to_status;
use partial::Partial;

mod partial;

/// Calls whose caller goes on sending messages: between two of them it may take its time.
const STREAMS: &[&str] = &[
    "/jobplane.v1.WorkerService/ReportProgress",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Bounds the messages that arrive at a service. To be put inside the gRPC-Web layer.
#[derive(Debug, Clone, Default)]
pub struct IntakeLayer {
    room: Arc<Room>,
}

impl<S> Layer<S> for IntakeLayer {
    type Service = Intake<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Intake { inner, room: Arc::clone(&self.room) }
    }
}

/// See [`IntakeLayer`].
#[derive(Debug, Clone)]
pub struct Intake<S> {
    inner: S,
    room: Arc<Room>,
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
        let room = Arc::clone(&self.room);
        self.inner.call(request.map(|inner| {
            if inner.is_end_stream() {
                return inner;
            }
            Body::new(Arriving {
                inner,
                streams,
                room,
                partial: Partial::default(),
                taken: 0,
                late: None,
            })
        }))
    }
}

/// The bytes of messages that are not whole yet, over all calls.
#[derive(Debug, Default)]
struct Room(AtomicUsize);

/// A request as it arrives.
struct Arriving {
    inner: Body,
    /// Whether more than one message may come.
    streams: bool,
    room: Arc<Room>,
    partial: Partial,
    /// Bytes it takes of the room.
    taken: usize,
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
        let wanted = self.partial.bytes();
        if wanted < self.taken {
            self.room.0.fetch_sub(self.taken - wanted, Ordering::Relaxed);
            self.taken = wanted;
        } else if wanted > self.taken {
            let more = wanted - self.taken;
            let all = self.room.0.fetch_add(more, Ordering::Relaxed) + more;
            self.taken = wanted;
            if all > ARRIVING_BYTES_MAX {
                let limit = ARRIVING_BYTES_MAX as u64;
                let what = "bytes of messages that are not whole yet";
                return Err(to_status(engine::Error::RateLimited { what, limit }));
            }
        }
        Ok(())
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

impl Drop for Arriving {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
