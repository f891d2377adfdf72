//! The listener: it accepts connections and hands those that are ready for HTTP to the server.
//!
//! Owns: the sockets and their options, how many connections there may be in all and for a peer
//! ([`Gate`]), the [`Handshake`] that a connection passes first (TLS plugs in here), the time in which
//! it must say which protocol it speaks, the end of those that do not end by themselves ([`Link`]), and
//! what is written with one call ([`Gather`]).
//! Does not own: HTTP; the transport's server speaks it over the [`Link`]s.
//! Entry: [`Listener::bind`], then [`Listener::start`].
//! Invariant: a connection that says nothing, or takes nothing, ends within its bound, and no
//! connection outlives the signal to cut.

mod accept;
mod gate;
mod gather;
mod handshake;
mod head;
mod link;
mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use crate::config::Connections;
use crate::domain::limits::{CONNECTIONS_READY_MAX, HANDSHAKES_MAX};
use crate::runtime::{Rarely, Shutdown, Tasks};
use crate::telemetry::Metrics;

use accept::Acceptor;
use gate::Gate;
pub use gather::Gather;
pub use handshake::{Handshake, Wire};
pub use link::Link;

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    handshake: Option<Arc<dyn Handshake>>,
}

impl Listener {
    /// Listens; nothing is accepted yet.
    ///
    /// # Errors
    /// If the address cannot be taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { socket: socket::listen(address)?, handshake: None })
    }

    /// Has every connection pass a handshake first.
    #[must_use]
    pub fn with_handshake(self, handshake: Arc<dyn Handshake>) -> Self {
        Self { handshake: Some(handshake), ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until `shutdown` is signalled; those accepted end with `cut` at the latest.
    pub fn start(
        self,
        bounds: &Connections,
        metrics: Metrics,
        tasks: &Tasks,
        shutdown: &Shutdown,
        cut: &Shutdown,
    ) -> impl tokio_stream::Stream<Item = io::Result<Gather<Link>>> + use<> {
        let (ready, taken) = mpsc::channel(CONNECTIONS_READY_MAX);
        let acceptor = Acceptor {
            socket: self.socket,
            handshake: self.handshake,
            turns: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            gate: Gate::new(bounds, metrics.clone()),
            bounds: bounds.clone(),
            metrics,
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
            cut: cut.clone(),
            ready,
            told: Arc::new(Rarely::new()),
        };
        tasks.spawn_vital("listener", shutdown, acceptor.run());
        ReceiverStream::new(taken).map(|link| Ok(Gather::new(link)))
    }
}

#[cfg(test)]
mod tests;
