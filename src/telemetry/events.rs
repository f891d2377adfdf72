//! What is measured of events.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: &'static str,
}

#[derive(Debug)]
pub(super) struct Events(Family<Name, Counter>);

impl Events {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let events = Self(Family::default());
        registry.register("events", "Events written by this process", events.0.clone());
        events
    }

    pub(super) fn told(&self, name: &'static str) {
        self.0.get_or_create(&Name { name }).inc();
    }
}
