//! The loop that accepts connections, and what each passes before it is handed on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::config::Connections;
use crate::domain::limits::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, PROBE_HEAD_WITHIN};
use crate::runtime::{Rarely, Shutdown, Tasks};
use crate::telemetry::Metrics;

use super::gate::{Full, Gate, Place};
use super::handshake::Handshake;
use super::link::{Link, Way};
use super::{head, socket};

/// Accepts connections and hands those that are ready to the server.
pub(super) struct Acceptor {
    pub(super) socket: TcpListener,
    pub(super) handshake: Option<Arc<dyn Handshake>>,
    /// Handshakes that may run at once.
    pub(super) turns: Arc<Semaphore>,
    pub(super) gate: Gate,
    pub(super) bounds: Connections,
    pub(super) metrics: Metrics,
    pub(super) tasks: Tasks,
    pub(super) shutdown: Shutdown,
    pub(super) cut: Shutdown,
    pub(super) ready: mpsc::Sender<Link>,
    pub(super) told: Arc<Rarely>,
}

/// Why a connection ended before its first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// The handshake took too long.
    HandshakeTimeout,
    /// The handshake failed.
    Handshake,
    /// Its first words did not come in time.
    HeadTimeout,
    /// It left, or spoke no protocol.
    Head,
    /// There was only room for a probe, and it is none.
    Full(Full),
}

impl Failed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Handshake => "handshake",
            Self::HeadTimeout => "head_timeout",
            Self::Head => "head",
            Self::Full(full) => full.as_str(),
        }
    }
}

impl Acceptor {
    /// Accepts until the server stops; then nobody listens any more.
    pub(super) async fn run(self) {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = self.shutdown.signalled() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE_MIN;
                    self.admit(stream, peer);
                }
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    self.metrics.connection_refused("accept");
                    if let Some(times) = self.told.tell() {
                        tracing::warn!(%error, times, "the system gives no further connection");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.shutdown.signalled() => return,
                    }
                    pause = longer(pause);
                }
            }
        }
    }

    /// Lets a connection in if there is room; else it is closed, at once or as soon as it is seen to be no
    /// probe: a server that is full is not ill.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let (place, full) = match self.gate.enter(peer.ip()) {
            Ok(place) => (place, None),
            Err(full) => match self.gate.enter_probe(peer.ip()) {
                Some(place) => (place, Some(full)),
                None => return turn_away(peer, full, &self.metrics, &self.told),
            },
        };
        let opening = Opening {
            peer,
            place,
            full,
            handshake: self.handshake.clone(),
            turns: Arc::clone(&self.turns),
            bounds: self.bounds.clone(),
            cut: self.cut.clone(),
        };
        if full.is_none() {
            self.metrics.connection_accepted();
        }
        let (metrics, ready, told) =
            (self.metrics.clone(), self.ready.clone(), Arc::clone(&self.told));
        let shutdown = self.shutdown.clone();
        self.tasks.spawn("opening", async move {
            tokio::select! {
                opened = opening.open(stream) => match opened {
                    Ok(link) => {
                        if full.is_some() {
                            metrics.connection_accepted();
                        }
                        // Nobody takes it if the server stops meanwhile.
                        drop(ready.send(link).await);
                    }
                    Err(Failed::Full(full)) => turn_away(peer, full, &metrics, &told),
                    Err(failed) => {
                        metrics.connection_failed(failed.as_str());
                        tracing::debug!(peer = %peer, reason = failed.as_str(), "a connection failed");
                    }
                },
                // It asked for nothing yet.
                () = shutdown.signalled() => {}
            }
        });
    }
}

/// A connection that has not said yet what it wants.
struct Opening {
    peer: SocketAddr,
    place: Place,
    /// Set if there is only room for a probe.
    full: Option<Full>,
    handshake: Option<Arc<dyn Handshake>>,
    turns: Arc<Semaphore>,
    bounds: Connections,
    cut: Shutdown,
}

impl Opening {
    async fn open(self, stream: TcpStream) -> Result<Link, Failed> {
        // An option that cannot be set is the sign of a peer that is gone, which the read will tell.
        let _ = socket::tune(&stream);
        let local = stream.local_addr().ok();
        let mut way = self.shake(stream).await?;
        let head = match self.full {
            None => {
                let head = timeout(self.bounds.head_within, head::read(&mut way)).await;
                head.map_err(|_| Failed::HeadTimeout)?.map_err(|_| Failed::Head)?
            }
            Some(full) => timeout(PROBE_HEAD_WITHIN, head::read(&mut way))
                .await
                .ok()
                .and_then(Result::ok)
                .filter(|head| head::is_probe(head))
                .ok_or(Failed::Full(full))?,
        };
        Ok(Link::new(way, head, (local, self.peer), &self.cut, self.place))
    }

    async fn shake(&self, stream: TcpStream) -> Result<Way, Failed> {
        let Some(handshake) = &self.handshake else { return Ok(Way::Plain(stream)) };
        let shaken = timeout(self.bounds.handshake_within, async {
            let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
            handshake.shake(stream).await
        });
        let shaken = shaken.await.map_err(|_| Failed::HandshakeTimeout)?;
        shaken.map(Way::Shaken).map_err(|_| Failed::Handshake)
    }
}

fn turn_away(peer: SocketAddr, full: Full, metrics: &Metrics, told: &Rarely) {
    let reason = full.as_str();
    metrics.connection_refused(reason);
    if let Some(times) = told.tell() {
        tracing::warn!(peer = %peer, reason, times, "connections are turned away");
    }
}

/// Whether accepting failed for the one connection, whose peer is gone, and the next may do better.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(ACCEPT_PAUSE_MAX)
}
