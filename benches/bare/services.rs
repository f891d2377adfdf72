//! The bare services: as little as tonic lets a service do.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use prost::Message as _;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::body::Body;
use tonic::server::{
    ClientStreamingService, Grpc, NamedService, ServerStreamingService, StreamingService,
    UnaryService,
};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_response::{Ack, Kind};

use crate::harness::wire::Raw;

type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;
type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Decodes reports and drops them; says in the end how many there were.
pub const SINK: &str = "/bare/Sink";
/// Answers each report with an acknowledgement.
pub const ECHO: &str = "/bare/Echo";
/// Gives back the message.
pub const ROUND_TRIP: &str = "/bare/RoundTrip";
/// Shows each message to everybody who watches.
pub const PUBLISH: &str = "/bare/Publish";
/// The newest published message, as the bytes it came in.
pub const WATCH: &str = "/bare/Watch";
/// The newest published message, encoded for each watcher.
pub const WATCH_NAIVE: &str = "/bare/WatchNaive";

/// An update that is encoded whenever it is sent. On the wire it is a `WatchJobResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Naive {
    /// As in `WatchJobResponse`.
    #[prost(message, optional, tag = "2")]
    pub update: Option<v1::watch_job_response::Update>,
}

/// All of them.
#[derive(Clone)]
pub struct Bare {
    encoded: Arc<watch::Sender<Bytes>>,
    decoded: Arc<watch::Sender<Arc<Naive>>>,
}

impl Default for Bare {
    fn default() -> Self {
        Self {
            encoded: Arc::new(watch::Sender::new(Bytes::new())),
            decoded: Arc::new(watch::Sender::new(Arc::default())),
        }
    }
}

impl NamedService for Bare {
    const NAME: &'static str = "bare";
}

impl tower::Service<http::Request<Body>> for Bare {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let bare = self.clone();
        match request.uri().path() {
            SINK => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::default()).client_streaming(Sink, request).await)
            }),
            ECHO => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::default()).streaming(Echo, request).await)
            }),
            ROUND_TRIP => Box::pin(async move {
                Ok(Grpc::new(Raw::<Bytes>::default()).unary(RoundTrip, request).await)
            }),
            PUBLISH => Box::pin(async move {
                let publish = Publish(bare);
                Ok(Grpc::new(Raw::<Bytes>::default()).client_streaming(publish, request).await)
            }),
            WATCH => Box::pin(async move {
                let watch = Watch(bare);
                Ok(Grpc::new(Raw::<Bytes>::default()).server_streaming(watch, request).await)
            }),
            WATCH_NAIVE => Box::pin(async move {
                let watch = WatchNaive(bare);
                let codec = ProstCodec::<Naive, ()>::default();
                Ok(Grpc::new(codec).server_streaming(watch, request).await)
            }),
            _ => Box::pin(async { Ok(Status::unimplemented("no such bare service").into_http()) }),
        }
    }
}

struct Sink;

impl ClientStreamingService<v1::ReportProgressRequest> for Sink {
    type Response = v1::ReportProgressResponse;
    type Future = Answer<Self::Response>;

    fn call(&mut self, request: Request<Streaming<v1::ReportProgressRequest>>) -> Self::Future {
        Box::pin(async move {
            let mut reports = request.into_inner();
            let mut sequence = 0;
            while let Some(report) = reports.message().await? {
                std::hint::black_box(report);
                sequence += 1;
            }
            Ok(Response::new(v1::ReportProgressResponse { sequence, kind: None }))
        })
    }
}

struct Echo;

impl StreamingService<v1::ReportProgressRequest> for Echo {
    type Response = v1::ReportProgressResponse;
    type ResponseStream = Out<Self::Response>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, request: Request<Streaming<v1::ReportProgressRequest>>) -> Self::Future {
        let mut sequence = 0;
        let answers = request.into_inner().map(move |report| {
            std::hint::black_box(report?);
            sequence += 1;
            let kind = Some(Kind::Ack(Ack { through_seq: sequence }));
            Ok(v1::ReportProgressResponse { sequence, kind })
        });
        let answers: Out<_> = Box::pin(answers);
        Box::pin(async move { Ok(Response::new(answers)) })
    }
}

struct RoundTrip;

impl UnaryService<Bytes> for RoundTrip {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

struct Publish(Bare);

impl ClientStreamingService<Bytes> for Publish {
    type Response = Bytes;
    type Future = Answer<Bytes>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let bare = self.0.clone();
        Box::pin(async move {
            let mut messages = request.into_inner();
            while let Some(message) = messages.message().await? {
                if bare.decoded.receiver_count() > 0 {
                    let naive = Naive::decode(message.clone())
                        .map_err(|error| Status::invalid_argument(error.to_string()))?;
                    bare.decoded.send_replace(Arc::new(naive));
                }
                bare.encoded.send_replace(message);
            }
            Ok(Response::new(Bytes::new()))
        })
    }
}

struct Watch(Bare);

impl ServerStreamingService<Bytes> for Watch {
    type Response = Bytes;
    type ResponseStream = Out<Bytes>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        // The newest one at once: so a watcher knows that it watches.
        let messages: Out<_> = Box::pin(WatchStream::new(self.0.encoded.subscribe()).map(Ok));
        Box::pin(async move { Ok(Response::new(messages)) })
    }
}

struct WatchNaive(Bare);

impl ServerStreamingService<()> for WatchNaive {
    type Response = Naive;
    type ResponseStream = Out<Naive>;
    type Future = Answer<Self::ResponseStream>;

    fn call(&mut self, _: Request<()>) -> Self::Future {
        // A service that returns messages owns each one it returns.
        let messages = WatchStream::new(self.0.decoded.subscribe());
        let messages: Out<_> = Box::pin(messages.map(|message| Ok(Naive::clone(&message))));
        Box::pin(async move { Ok(Response::new(messages)) })
    }
}
