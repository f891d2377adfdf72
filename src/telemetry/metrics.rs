//! Every instrument, behind one handle.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::domain::circuit::CircuitState;
use crate::domain::stats::Count;
use crate::domain::{JobType, Timestamp};

use super::commits::Commits;
use super::connections::Connections;
use super::events::Events;
use super::jobs::{Finished, Found, Jobs, QueueDepth};
use super::logs;
use super::rpcs::Rpcs;
use super::rules::{QuotaLevel, Rules};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "jobplane";

/// The instruments of a process. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    registry: Registry,
    jobs: Jobs,
    commits: Commits,
    rpcs: Rpcs,
    connections: Connections,
    events: Events,
    rules: Rules,
    workers: Gauge,
    watchers: Gauge,
    views: Gauge,
    sessions: Gauge,
}

impl Metrics {
    /// Instruments that have counted nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", build);
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let workers = gauge("workers", "Workers attached to this process by a stream");
        let watchers = gauge("watchers", "Watches open at this process");
        let views = gauge("views", "Different filters that watches of many jobs have here");
        let sessions = gauge("sessions", "Sessions held by this process, unary ones included");
        registry.register_collector(Box::new(LogLines));
        let jobs = Jobs::register(&mut registry);
        let commits = Commits::register(&mut registry);
        let rpcs = Rpcs::register(&mut registry);
        let connections = Connections::register(&mut registry);
        let events = Events::register(&mut registry);
        let rules = Rules::register(&mut registry);
        Self(Arc::new(Instruments {
            registry,
            jobs,
            commits,
            rpcs,
            connections,
            events,
            rules,
            workers,
            watchers,
            views,
            sessions,
        }))
    }

    /// Counts a job that came to its end.
    pub fn job_finished(&self, job: &Finished<'_>) {
        self.0.jobs.finished(job);
    }

    /// Counts an event that was written, by its name.
    pub fn event(&self, name: &'static str) {
        self.0.events.told(name);
    }

    /// Counts a running job that a watchdog found.
    pub fn job_found(&self, job_type: &JobType, found: Found) {
        self.0.jobs.found(job_type, found);
    }

    /// Notes when a job of a type last succeeded, for instance as the store remembers it.
    pub fn last_success(&self, job_type: &JobType, time: Timestamp) {
        self.0.jobs.last_success(job_type, time);
    }

    /// Takes over the counters of the store: jobs by type and state.
    pub fn jobs_stored(&self, counts: &[Count]) {
        self.0.jobs.stored(counts);
    }

    /// Takes over how many jobs wait in each queue and for how long.
    pub fn queue_depths(&self, depths: &[QueueDepth]) {
        self.0.jobs.queues(depths);
    }

    /// Takes over how breakers stand.
    pub fn circuits<'a>(&self, circuits: impl Iterator<Item = (&'a JobType, &'a CircuitState)>) {
        self.0.rules.circuits(circuits);
    }

    /// Takes over how much of each quota is used.
    pub fn quotas(&self, levels: &[QuotaLevel]) {
        self.0.rules.quotas(levels);
    }

    /// Takes over the number of attached workers.
    pub fn workers(&self, workers: usize) {
        self.0.workers.set(level(workers));
    }

    /// Takes over the number of open watches.
    pub fn watchers(&self, watchers: usize) {
        self.0.watchers.set(level(watchers));
    }

    /// Takes over the number of different filters that are watched.
    pub fn views(&self, views: usize) {
        self.0.views.set(level(views));
    }

    /// Takes over the number of sessions held.
    pub fn sessions(&self, sessions: usize) {
        self.0.sessions.set(level(sessions));
    }

    /// Counts a commit of so many commands.
    pub fn commit(&self, commands: usize, duration: Duration) {
        self.0.commits.commit(commands, duration);
    }

    /// Counts an error of the store by its kind.
    pub fn store_error(&self, kind: &'static str) {
        self.0.commits.store_error(kind);
    }

    /// Counts a call that ended: its method (`jobplane.v1.JobService/GetJob`, or `other`) and code.
    pub fn rpc(&self, method: &'static str, code: &'static str, duration: Duration) {
        self.0.rpcs.ended(method, code, duration);
    }

    /// Takes over the number of open connections.
    pub fn connections_open(&self, open: usize) {
        self.0.connections.open(level(open));
    }

    /// Counts a connection that was let in.
    pub fn connection_accepted(&self) {
        self.0.connections.accepted();
    }

    /// Counts a connection that was turned away, and why.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0.connections.refused(reason);
    }

    /// Counts a connection that ended before its first request, and why.
    pub fn connection_failed(&self, reason: &'static str) {
        self.0.connections.failed(reason);
    }

    /// All figures as text, in the OpenMetrics format ([`CONTENT_TYPE`]).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut page, &self.0.registry);
        page
    }
}

/// Shows what the log of the process counts.
#[derive(Debug)]
struct LogLines;

impl Collector for LogLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let dropped = ConstCounter::new(logs::dropped_lines());
        let help = "Lines of the log that were dropped because nobody read stderr";
        let metric =
            encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?;
        dropped.encode(metric)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn level(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
