//! A server that says what the test wants it to say.

use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use super::SOON;
use crate::cli::worker::{Events, Handle, Settings, start};
use crate::proto::from_worker::FromWorker;
use crate::proto::v1::report_progress_request::update::Report;
use crate::proto::v1::report_progress_request::{Hello, Kind as Said};
use crate::proto::v1::report_progress_response::{Ack, Kind, Welcome};
use crate::proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use crate::proto::v1::*;
use crate::runtime::{Clock, Shutdown, Tasks};

type Answer = Result<ReportProgressResponse, Status>;

/// The server's side of one stream.
pub struct Line {
    said: Streaming<FromWorker>,
    answers: mpsc::Sender<Answer>,
    sequence: i64,
}

impl Line {
    /// Waits for the first message the worker says that is as `wanted`.
    pub async fn hear<T>(&mut self, wanted: impl Fn(ReportProgressRequest) -> Option<T>) -> T {
        let heard = async {
            loop {
                let message = self.said.next().await.expect("the stream goes on").expect("it is");
                if let Some(found) = wanted(*message.into_whole()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(SOON, heard).await.expect("the worker says it")
    }

    pub async fn hello(&mut self) -> Hello {
        let hello = self.hear(|message| match message.kind {
            Some(Said::Hello(hello)) => Some(hello),
            _ => None,
        });
        hello.await
    }

    /// The next update, with its number.
    pub async fn update(&mut self) -> (i64, Report) {
        let update = self.hear(|message| match message.kind {
            Some(Said::Update(update)) => Some((update.seq, update.report?)),
            _ => None,
        });
        update.await
    }

    pub async fn say(&mut self, kind: Kind) {
        self.sequence += 1;
        let message = ReportProgressResponse { sequence: self.sequence, kind: Some(kind) };
        self.answers.send(Ok(message)).await.expect("the worker listens");
    }

    pub async fn ack(&mut self, through_seq: i64) {
        self.say(Kind::Ack(Ack { through_seq })).await;
    }

    pub async fn end(self, status: Option<Status>) {
        if let Some(status) = status {
            self.answers.send(Err(status)).await.expect("the worker listens");
        }
    }
}

/// A server on a free port that hands its streams to the test.
pub struct Fake {
    address: String,
    lines: mpsc::Receiver<Line>,
    stop: Shutdown,
}

impl Fake {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (opened, lines) = mpsc::channel(8);
        let stop = Shutdown::new();
        let stopped = stop.clone();
        let server = tonic::transport::Server::builder()
            .add_service(WorkerServiceServer::new(Served(opened)));
        Tasks::new().spawn("fake", async move {
            let incoming = TcpListenerStream::new(listener);
            server.serve_with_incoming_shutdown(incoming, stopped.signalled()).await
        });
        Self { address, lines, stop }
    }

    /// The next stream, before Hello was answered.
    pub async fn line(&mut self) -> Line {
        tokio::time::timeout(SOON, self.lines.recv()).await.expect("a stream").expect("a stream")
    }

    /// The next stream, welcomed; with what Hello said.
    pub async fn attached(&mut self) -> (Line, Hello) {
        let mut line = self.line().await;
        let hello = line.hello().await;
        line.say(Kind::Welcome(Welcome::default())).await;
        (line, hello)
    }

    pub fn session(&self, change: impl FnOnce(&mut Settings)) -> (Handle, Events, Tasks) {
        let mut settings = Settings::new(self.address.parse().unwrap());
        change(&mut settings);
        let tasks = Tasks::new();
        let (handle, events) = start(settings, &tasks, &Clock::new());
        (handle, events, tasks)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.signal();
    }
}

struct Served(mpsc::Sender<Line>);

type Unary<T> = Result<Response<T>, Status>;

fn not_played<T>() -> Unary<T> {
    Err(Status::unimplemented("not played"))
}

#[tonic::async_trait]
impl WorkerService for Served {
    type ReportProgressStream = Pin<Box<dyn tokio_stream::Stream<Item = Answer> + Send>>;

    async fn report_progress(
        &self,
        request: Request<Streaming<FromWorker>>,
    ) -> Unary<Self::ReportProgressStream> {
        let (answers, answered) = mpsc::channel(64);
        let line = Line { said: request.into_inner(), answers, sequence: 0 };
        self.0.send(line).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(answered))))
    }

    async fn acquire_jobs(&self, _: Request<AcquireJobsRequest>) -> Unary<AcquireJobsResponse> {
        not_played()
    }

    async fn start_job(&self, _: Request<StartJobRequest>) -> Unary<StartJobResponse> {
        not_played()
    }

    async fn report_job(&self, _: Request<ReportJobRequest>) -> Unary<ReportJobResponse> {
        not_played()
    }

    async fn complete_job(&self, _: Request<CompleteJobRequest>) -> Unary<CompleteJobResponse> {
        not_played()
    }

    async fn fail_job(&self, _: Request<FailJobRequest>) -> Unary<FailJobResponse> {
        not_played()
    }

    async fn release_job(&self, _: Request<ReleaseJobRequest>) -> Unary<ReleaseJobResponse> {
        not_played()
    }
}
