//! How many connections there are, in all and of a peer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Connections;
use crate::domain::limits::{PEER_PROBE_CONNECTIONS_MAX, PROBES_MAX};
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
    all: Count,
    peers: HashMap<IpAddr, Count>,
}

/// Connections that there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    usual: usize,
    /// Beyond the bound, kept for probes.
    kept: usize,
}

impl Count {
    const fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Usual => &mut self.usual,
            Kind::Kept => &mut self.kept,
        }
    }

    const fn sum(self) -> usize {
        self.usual + self.kept
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Usual,
    Kept,
}

/// A connection's place; given back when it is dropped.
pub(super) struct Place {
    gate: Gate,
    peer: IpAddr,
    kind: Kind,
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
            if state.all.usual >= self.0.max {
                return Err(Full::All);
            }
            if state.its(peer).usual >= self.0.peer_max {
                return Err(Full::Peer);
            }
            state.add(peer, Kind::Usual)
        };
        Ok(self.place(peer, Kind::Usual, open))
    }

    /// A place beyond the bounds, for a probe of `peer`, if there is one left.
    pub(super) fn enter_probe(&self, peer: IpAddr) -> Option<Place> {
        let peer = neighbourhood(peer);
        let open = {
            let mut state = self.0.state.lock();
            let is_full = state.all.kept >= PROBES_MAX;
            if is_full || state.its(peer).kept >= PEER_PROBE_CONNECTIONS_MAX {
                return None;
            }
            state.add(peer, Kind::Kept)
        };
        Some(self.place(peer, Kind::Kept, open))
    }

    fn place(&self, peer: IpAddr, kind: Kind, open: usize) -> Place {
        self.0.metrics.connections_open(open);
        Place { gate: self.clone(), peer, kind }
    }

    fn leave(&self, peer: IpAddr, kind: Kind) {
        let open = {
            let mut state = self.0.state.lock();
            if let Some(its) = state.peers.get_mut(&peer) {
                *its.of(kind) -= 1;
                if its.sum() == 0 {
                    state.peers.remove(&peer);
                }
            }
            *state.all.of(kind) -= 1;
            state.all.sum()
        };
        self.0.metrics.connections_open(open);
    }
}

impl State {
    fn its(&self, peer: IpAddr) -> Count {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// Answers how many there are then.
    fn add(&mut self, peer: IpAddr, kind: Kind) -> usize {
        *self.peers.entry(peer).or_default().of(kind) += 1;
        *self.all.of(kind) += 1;
        self.all.sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.leave(self.peer, self.kind);
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
