//! What is measured of calls.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodCode {
    method: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Debug)]
pub(super) struct Rpcs {
    total: Family<MethodCode, Counter>,
    duration: Family<Method, Histogram>,
}

/// From 0.25 ms to some 17 minutes, each four times the one before: streams live long.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 4.0, 12))
}

impl Rpcs {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let rpcs =
            Self { total: Family::default(), duration: Family::new_with_constructor(buckets) };
        registry.register("rpcs", "Calls that ended", rpcs.total.clone());
        registry.register(
            "rpc_duration_seconds",
            "How long a call took, streams from their start to their end",
            rpcs.duration.clone(),
        );
        rpcs
    }

    pub(super) fn ended(&self, method: &'static str, code: &'static str, duration: Duration) {
        self.total.get_or_create(&MethodCode { method, code }).inc();
        self.duration.get_or_create(&Method { method }).observe(duration.as_secs_f64());
    }
}
