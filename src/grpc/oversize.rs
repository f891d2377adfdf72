//! Messages that are too large.
//!
//! The transport refuses them before any handler sees them, with OUT_OF_RANGE and no details. What
//! the caller is told instead is the service's own LIMIT_EXCEEDED.

use std::task::{Context, Poll};

use futures_util::future::{Either, MapOk, TryFutureExt as _};
use http::{Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::domain::limits::MESSAGE_BYTES_MAX;
use crate::engine;

use super::status::to_status;

/// What the transport's refusal begins with.
const TOO_LARGE: &str = "Error, decoded message length too large";
/// The RPC with a bound of its own.
const REPORT_PROGRESS: &str = "/jobplane.v1.WorkerService/ReportProgress";

/// The status for a stream whose message could not be read: LIMIT_EXCEEDED if it was too large,
/// else as it came.
#[must_use]
pub fn on_stream(status: Status) -> Status {
    match exceeded(&status) {
        Some(limit) => refusal(limit),
        None => status,
    }
}

/// The bound that a message exceeded, if that is what the status tells of: each call has its own.
fn exceeded(status: &Status) -> Option<u64> {
    let told = status.message().strip_prefix(TOO_LARGE)?;
    let limit = told.rsplit("limit is: ").next()?.split(' ').next()?;
    (status.code() == Code::OutOfRange).then(|| limit.parse().unwrap_or(MESSAGE_BYTES_MAX as u64))
}

fn refusal(limit: u64) -> Status {
    to_status(engine::Error::LimitExceeded { what: "the bytes of a message", limit })
}

/// Puts LIMIT_EXCEEDED in place of the transport's refusal of unary calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct OversizeLayer;

impl<S> Layer<S> for OversizeLayer {
    type Service = Oversize<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Oversize { inner }
    }
}

/// See [`OversizeLayer`].
#[derive(Debug, Clone)]
pub struct Oversize<S> {
    inner: S,
}

type Rename<B> = fn(Response<B>) -> Response<B>;

impl<S, A, B> Service<Request<A>> for Oversize<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<S::Future, MapOk<S::Future, Rename<B>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // A stream's handler sees the refusal itself and has `on_stream` for it.
        let stream = request.uri().path() == REPORT_PROGRESS;
        let answer = self.inner.call(request);
        if stream { Either::Left(answer) } else { Either::Right(answer.map_ok(renamed::<B>)) }
    }
}

fn renamed<B: Default>(response: Response<B>) -> Response<B> {
    // Only an answer that ends with its headers carries a status in them.
    let status = Status::from_header_map(response.headers());
    match status.as_ref().and_then(exceeded) {
        Some(limit) => refusal(limit).into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests;
