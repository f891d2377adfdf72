//! A watcher and a worker who read nothing.

use std::net::SocketAddr;

use jobplane::proto::from_worker::FromWorker;
use jobplane::proto::v1;
use jobplane::proto::v1::job_service_client::JobServiceClient;
use jobplane::proto::v1::report_progress_request::{Capacity, Hello, Kind};
use jobplane::proto::v1::worker_service_client::WorkerServiceClient;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::wait::{SOON, within};
use super::watcher::Seen;

/// What the transport may hold for a reader that stalls: so little that no second message fits in.
const WINDOW: u32 = 16;

async fn narrow(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint.initial_stream_window_size(WINDOW);
    endpoint.connect().await.expect("the server listens")
}

/// A watch whose stream is open and not read.
pub struct StalledWatch(Streaming<v1::WatchJobResponse>);

impl StalledWatch {
    /// Opens the stream.
    pub async fn open(address: SocketAddr, wish: v1::WatchJobRequest) -> Self {
        let channel = narrow(address).await;
        let answer = JobServiceClient::new(channel).watch_job(wish).await;
        Self(answer.expect("a watch").into_inner())
    }

    /// Reads everything there is, to the end.
    pub async fn read_all(mut self) -> Result<Vec<Seen>, Status> {
        let mut seen = Vec::new();
        while let Some(message) = within(SOON, "a message", self.0.message()).await? {
            seen.push(Seen::of(message));
        }
        Ok(seen)
    }
}

/// A worker that attached with two slots and does not read what it is told. Dropped, its connection
/// is lost.
pub struct StalledWorker {
    _stream: Streaming<v1::ReportProgressResponse>,
    _requests: mpsc::Sender<v1::ReportProgressRequest>,
}

impl StalledWorker {
    /// Opens the stream and says Hello.
    pub async fn connect(address: SocketAddr, name: &str) -> Self {
        let (requests, receiver) = mpsc::channel(2);
        let hello = Hello {
            worker_id: name.to_owned(),
            instance_id: uuid::Uuid::new_v4().to_string(),
            ..Hello::default()
        };
        for kind in [Kind::Hello(hello), Kind::Capacity(Capacity { slots: 2 })] {
            let message = v1::ReportProgressRequest { received_through: 0, kind: Some(kind) };
            requests.try_send(message).expect("room");
        }
        let mut client = WorkerServiceClient::new(narrow(address).await);
        let answer =
            client.report_progress(ReceiverStream::new(receiver).map(FromWorker::from)).await;
        Self { _stream: answer.expect("a stream").into_inner(), _requests: requests }
    }
}
