//! What is measured of the write path.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug)]
pub(super) struct Commits {
    total: Counter,
    batch: Histogram,
    duration: Histogram,
    errors: Family<Kind, Counter>,
}

impl Commits {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let commits = Self {
            total: Counter::default(),
            // 1, 2, 4 and so on to 1,024 commands.
            batch: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            // From 0.1 ms to some 13 s.
            duration: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            errors: Family::default(),
        };
        registry.register("commits", "Batches committed", commits.total.clone());
        registry.register("commit_batch_commands", "Commands in a commit", commits.batch.clone());
        registry.register(
            "commit_duration_seconds",
            "How long a commit took",
            commits.duration.clone(),
        );
        registry.register(
            "store_errors",
            "Answers of the store that were errors",
            commits.errors.clone(),
        );
        commits
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch has at most a thousand commands")]
    pub(super) fn commit(&self, commands: usize, duration: Duration) {
        self.total.inc();
        self.batch.observe(commands as f64);
        self.duration.observe(duration.as_secs_f64());
    }

    pub(super) fn store_error(&self, kind: &'static str) {
        self.errors.get_or_create(&Kind { kind }).inc();
    }
}
