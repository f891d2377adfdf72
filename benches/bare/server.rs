//! A tonic server of bare services.

use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use jobplane::domain::limits::{
    CONNECTION_STREAMS_MAX, CONNECTION_WINDOW_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    STREAM_WINDOW_BYTES,
};

use jobplane::grpc::gather::Gather;

use super::services::Bare;

/// Serves until it is killed; says on stderr where, as jobplane does.
pub fn run() -> Result<()> {
    // As `jobplane serve` builds it: as many threads as processors it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        eprintln!("{}", serde_json::json!({"message": "listening", "address": address}));
        let incoming = TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .with_keepalive(Some(Duration::from_secs(60)))
            .map(|accepted| accepted.map(Gather::new));
        // A task, as in jobplane: what `block_on` runs itself is not on a worker thread.
        let serving = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(CONNECTION_STREAMS_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_routes(Routes::new(Bare::default()))
            .serve_with_incoming(incoming);
        tokio::spawn(serving).await??;
        Ok(())
    })
}
