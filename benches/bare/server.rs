//! A tonic server of bare services: with the listener, the transport and the runtime of jobplane, and nothing else of
//! it.

use anyhow::Result;
use tonic::service::Routes;

use jobplane::config::Transport;
use jobplane::grpc::listener::Listener;
use jobplane::grpc::server::transport_of;
use jobplane::runtime::{Shutdown, Tasks};
use jobplane::telemetry::Metrics;

use super::services::Bare;

/// Serves until it is killed; says on stderr where, as jobplane does.
pub fn run() -> Result<()> {
    // As `jobplane serve` builds it: as many threads as processors it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let settings = Transport::default();
        let (tasks, never) = (Tasks::new(), Shutdown::new());
        let listener = Listener::bind(([127, 0, 0, 1], 0).into())?;
        let address = listener.address()?.to_string();
        let incoming =
            listener.start(&settings.connections, Metrics::new(), &tasks, &never, &never);
        eprintln!("{}", serde_json::json!({"message": "listening", "address": address}));
        let serving = transport_of(&settings)
            .add_routes(Routes::new(Bare::default()))
            .serve_with_incoming(incoming);
        // A task, as in jobplane: what `block_on` runs itself is not on a worker thread.
        tokio::spawn(serving).await??;
        Ok(())
    })
}
