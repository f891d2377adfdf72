//! A watcher who reads nothing.

use std::net::SocketAddr;

use jobplane::proto::v1;
use jobplane::proto::v1::job_service_client::JobServiceClient;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use super::wait::{SOON, within};
use super::watcher::Seen;

/// What the transport may hold for a reader that stalls: so little that no second message fits in.
const WINDOW: u32 = 16;

/// A watch whose stream is open and not read.
pub struct StalledWatch(Streaming<v1::WatchJobResponse>);

impl StalledWatch {
    /// Opens the stream.
    pub async fn open(address: SocketAddr, job_id: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let endpoint = endpoint.initial_stream_window_size(WINDOW);
        let channel = endpoint.connect().await.expect("the server listens");
        let wish =
            v1::WatchJobRequest { job_id: job_id.to_owned(), ..v1::WatchJobRequest::default() };
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
