//! How many connections there are, in all and of a peer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Connections;
use crate::telemetry::Metrics;

/// Lets connections in while there is room.
#[derive(Clone)]
pub(super) struct Gate(Arc<Inner>);

struct Inner {
    max: usize,
    peer_max: usize,
    metrics: Metrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: usize,
    peers: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when it is dropped.
pub(super) struct Place {
    gate: Gate,
    peer: IpAddr,
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// For anybody.
    All,
    /// For this peer.
    Peer,
}

impl Full {
    /// Its name in figures and in the log.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "limit",
            Self::Peer => "peer_limit",
        }
    }
}

impl Gate {
    pub(super) fn new(bounds: &Connections, metrics: Metrics) -> Self {
        let (max, peer_max) = (bounds.max, bounds.peer_max);
        Self(Arc::new(Inner { max, peer_max, metrics, state: Mutex::default() }))
    }

    /// A place for a connection of `peer`.
    pub(super) fn enter(&self, peer: IpAddr) -> Result<Place, Full> {
        let peer = neighbourhood(peer);
        let open = {
            let mut state = self.0.state.lock();
            if state.open >= self.0.max {
                return Err(Full::All);
            }
            let its = state.peers.entry(peer).or_default();
            if *its >= self.0.peer_max {
                return Err(Full::Peer);
            }
            *its += 1;
            state.open += 1;
            state.open
        };
        self.0.metrics.connections_open(open);
        Ok(Place { gate: self.clone(), peer })
    }

    fn leave(&self, peer: IpAddr) {
        let open = {
            let mut state = self.0.state.lock();
            if let Some(its) = state.peers.get_mut(&peer) {
                *its -= 1;
                if *its == 0 {
                    state.peers.remove(&peer);
                }
            }
            state.open -= 1;
            state.open
        };
        self.0.metrics.connections_open(open);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(self.peer);
    }
}

/// What counts as one peer: an address, and of IPv6 the network that one host is given.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests;
