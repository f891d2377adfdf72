//! One `ReportProgress` stream: opened, written, read.

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::{Address, Client, REQUEST_TIMEOUT, Refusal};
use crate::cli::exit::Failure;
use crate::domain::limits::WORKER_MESSAGES_MAX;
use crate::proto::from_worker::FromWorker;
use crate::proto::v1::worker_service_client::WorkerServiceClient;
use crate::proto::v1::{ReportProgressRequest, ReportProgressResponse};
use tokio_stream::StreamExt as _;

/// What the server's messages may have: a job with its payload, and room.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Why there is no stream (any more).
pub enum Break {
    /// Another may do better.
    Passing(Refusal),
    /// No connection came about.
    Unreachable(Failure),
    /// The server will not have this worker.
    Fatal(Failure),
}

impl Break {
    /// What the connection, or the server, said: one line.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Passing(refusal) => refusal.said(),
            Self::Unreachable(failure) | Self::Fatal(failure) => {
                failure.lines().into_iter().next().unwrap_or_default()
            }
        }
    }

    /// When the server would like to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Passing(refusal) => refusal.retry_after,
            Self::Unreachable(_) | Self::Fatal(_) => None,
        }
    }
}

/// One stream of a worker.
pub struct ReportStream {
    inbound: Streaming<ReportProgressResponse>,
    address: String,
}

/// The way to the server. Dropped = the worker's side is closed.
pub type ReportSender = mpsc::Sender<ReportProgressRequest>;

impl ReportStream {
    /// Connects, opens a stream and says `hello`.
    pub async fn open(
        address: &Address,
        hello: ReportProgressRequest,
    ) -> Result<(ReportSender, Self), Break> {
        let client = Client::connect(address, None).await.map_err(Break::Unreachable)?;
        let (sender, receiver) = mpsc::channel(WORKER_MESSAGES_MAX);
        // The channel is empty: it has room for the first message.
        drop(sender.try_send(hello));
        let address = address.to_string();
        let mut worker = WorkerServiceClient::new(client.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let opened = worker.report_progress(ReceiverStream::new(receiver).map(FromWorker::from));
        let silent = || Status::unavailable("no answer");
        let opened = timeout(REQUEST_TIMEOUT, opened).await.unwrap_or_else(|_| Err(silent()));
        match opened {
            Ok(answer) => Ok((sender, Self { inbound: answer.into_inner(), address })),
            Err(status) => Err(broken(&status, &address)),
        }
    }

    /// The next message; `None` when the server ended the stream well. Safe to drop.
    pub async fn next(&mut self) -> Result<Option<ReportProgressResponse>, Break> {
        self.inbound.message().await.map_err(|status| broken(&status, &self.address))
    }

    /// What a rejected report was refused with.
    #[must_use]
    pub fn refusal(&self, error: Option<tonic_types::pb::Status>) -> Refusal {
        Refusal::of_message(&error.unwrap_or_default(), "report", &self.address)
    }
}

/// What a status means for a worker. It works on without a server for as long as it takes, but not when the server
/// says that the worker itself is wrong.
fn broken(status: &Status, address: &str) -> Break {
    let refusal = Refusal::of(status, "attach as a worker", address);
    match status.code() {
        Code::InvalidArgument
        | Code::Unimplemented
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::FailedPrecondition => Break::Fatal(Failure::Refused(Box::new(refusal))),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Break::Passing(refusal),
    }
}
