//! What is measured of connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Connections {
    open: Gauge,
    accepted: Counter,
    refused: Family<Reason, Counter>,
    failed: Family<Reason, Counter>,
}

impl Connections {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let connections = Self {
            open: Gauge::default(),
            accepted: Counter::default(),
            refused: Family::default(),
            failed: Family::default(),
        };
        let Self { open, accepted, refused, failed } = &connections;
        registry.register("connections", "Connections open at this process", open.clone());
        registry.register("connections_accepted", "Connections let in", accepted.clone());
        registry.register(
            "connections_refused",
            "Connections turned away: limit, peer_limit, or accept if the system gave none",
            refused.clone(),
        );
        registry.register(
            "connections_failed",
            "Connections that ended before their first request: handshake, handshake_timeout, \
             head, head_timeout",
            failed.clone(),
        );
        connections
    }

    pub(super) fn open(&self, connections: i64) {
        self.open.set(connections);
    }

    pub(super) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failed.get_or_create(&Reason { reason }).inc();
    }
}
