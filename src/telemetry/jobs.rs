//! What is measured of jobs and queues.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::domain::limits::{METRIC_QUEUES_MAX, METRIC_TYPES_MAX};
use crate::domain::stats::Count;
use crate::domain::{JobType, QueueName, StateKind, Timestamp};

use super::labels::{Label, Labels};

/// A gauge of real numbers.
type Real = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeState {
    r#type: Label,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeResult {
    r#type: Label,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TypeFinding {
    r#type: Label,
    finding: &'static str,
}

/// What a watchdog found of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is stuck.
    Stuck,
    /// It takes unusually long.
    Slow,
    /// It used more than it may for too long.
    OverLimit,
}

impl Found {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::Slow => "slow",
            Self::OverLimit => "over_limit",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Type {
    r#type: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queue {
    queue: Label,
}

/// A job that came to its end.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// Its type.
    pub job_type: &'a JobType,
    /// How it ended.
    pub state: StateKind,
    /// When it ended.
    pub time: Timestamp,
    /// How long its last attempt ran, if it started at all.
    pub run: Option<Duration>,
    /// Items that went well.
    pub items_succeeded: i64,
    /// Items that went wrong.
    pub items_failed: i64,
}

/// Jobs that wait in a queue.
#[derive(Debug, Clone)]
pub struct QueueDepth {
    /// The queue.
    pub queue: QueueName,
    /// PENDING jobs in it.
    pub pending: i64,
    /// How long the oldest ready one has waited; zero if none waits.
    pub oldest_age: Duration,
}

#[derive(Debug)]
pub(super) struct Jobs {
    types: Labels,
    queues: Labels,
    stored: Family<TypeState, Gauge>,
    finished: Family<TypeState, Counter>,
    items: Family<TypeResult, Counter>,
    found: Family<TypeFinding, Counter>,
    run: Family<Type, Histogram>,
    last_success: Family<Type, Real>,
    depth: Family<Queue, Gauge>,
    oldest_age: Family<Queue, Real>,
}

/// From 10 ms to some 12 hours, each four times the one before.
fn run_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 4.0, 12))
}

impl Jobs {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let jobs = Self {
            types: Labels::new(METRIC_TYPES_MAX),
            queues: Labels::new(METRIC_QUEUES_MAX),
            stored: Family::default(),
            finished: Family::default(),
            items: Family::default(),
            found: Family::default(),
            run: Family::new_with_constructor(run_buckets),
            last_success: Family::default(),
            depth: Family::default(),
            oldest_age: Family::default(),
        };
        registry.register("jobs", "Jobs now stored", jobs.stored.clone());
        registry.register("jobs_finished", "Jobs that came to their end", jobs.finished.clone());
        registry.register("items_processed", "Items of jobs that ended", jobs.items.clone());
        registry.register(
            "watchdog_findings",
            "Running jobs that a watchdog found",
            jobs.found.clone(),
        );
        registry.register(
            "job_run_duration_seconds",
            "How long the last attempt of an ended job ran",
            jobs.run.clone(),
        );
        registry.register(
            "job_last_success_timestamp_seconds",
            "When a job last succeeded, as seen by this process",
            jobs.last_success.clone(),
        );
        registry.register("queue_depth_jobs", "Jobs that wait", jobs.depth.clone());
        registry.register(
            "queue_oldest_age_seconds",
            "How long the oldest ready job has waited",
            jobs.oldest_age.clone(),
        );
        jobs
    }

    pub(super) fn found(&self, job_type: &JobType, found: Found) {
        let r#type = self.types.of(job_type.as_str());
        self.found.get_or_create(&TypeFinding { r#type, finding: found.as_str() }).inc();
    }

    pub(super) fn finished(&self, job: &Finished<'_>) {
        let r#type = self.types.of(job.job_type.as_str());
        let state = job.state.as_str();
        self.finished.get_or_create(&TypeState { r#type: r#type.clone(), state }).inc();
        for (items, result) in [(job.items_succeeded, "succeeded"), (job.items_failed, "failed")] {
            if let Ok(items @ 1..) = u64::try_from(items) {
                let label = TypeResult { r#type: r#type.clone(), result };
                self.items.get_or_create(&label).inc_by(items);
            }
        }
        if let Some(run) = job.run {
            self.run.get_or_create(&Type { r#type: r#type.clone() }).observe(run.as_secs_f64());
        }
        if job.state == StateKind::Succeeded {
            self.succeeded(r#type, job.time);
        }
    }

    pub(super) fn last_success(&self, job_type: &JobType, time: Timestamp) {
        self.succeeded(self.types.of(job_type.as_str()), time);
    }

    fn succeeded(&self, r#type: Label, time: Timestamp) {
        let seconds = time.since(Timestamp::from_micros(0)).as_secs_f64();
        let gauge = self.last_success.get_or_create_owned(&Type { r#type });
        gauge.set(gauge.get().max(seconds));
    }

    pub(super) fn stored(&self, counts: &[Count]) {
        let mut sums: HashMap<TypeState, i64> = HashMap::new();
        for count in counts.iter().filter(|count| count.stored != 0) {
            let r#type = self.types.of(count.key.job_type.as_str());
            let state = count.state.as_str();
            *sums.entry(TypeState { r#type, state }).or_default() += count.stored;
        }
        self.stored.clear();
        for (labels, sum) in sums {
            self.stored.get_or_create(&labels).set(sum);
        }
    }

    pub(super) fn queues(&self, depths: &[QueueDepth]) {
        self.depth.clear();
        self.oldest_age.clear();
        for depth in depths {
            let labels = Queue { queue: self.queues.of(depth.queue.as_str()) };
            self.depth.get_or_create(&labels).inc_by(depth.pending);
            let age = self.oldest_age.get_or_create_owned(&labels);
            age.set(age.get().max(depth.oldest_age.as_secs_f64()));
        }
    }
}
