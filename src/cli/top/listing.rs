//! The rows of each pane: what matches the filter, in the order that is wanted.

use std::cmp::Ordering;
use std::sync::Arc;

use super::model::Sight;
use crate::cli::live;
use crate::proto::v1::{Job, Queue, Worker};

/// A part of the screen that has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// Where jobs wait.
    Queues,
    /// Who runs jobs.
    Workers,
    /// What runs.
    #[default]
    Jobs,
    /// What failed.
    Failures,
}

impl Pane {
    /// All, in the order of the screen.
    pub const ALL: [Self; 4] = [Self::Queues, Self::Workers, Self::Jobs, Self::Failures];

    /// The pane so many further on, around the end.
    #[must_use]
    pub fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// The order of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The longest running first: rows keep their places.
    #[default]
    Start,
    /// The furthest first.
    Progress,
    /// The fastest first.
    Rate,
    /// The soonest done first.
    Remaining,
    /// By type.
    Type,
}

impl Sort {
    /// The next one, around the end.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Start => Self::Progress,
            Self::Progress => Self::Rate,
            Self::Rate => Self::Remaining,
            Self::Remaining => Self::Type,
            Self::Type => Self::Start,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Progress => "progress",
            Self::Rate => "rate",
            Self::Remaining => "ETA",
            Self::Type => "type",
        }
    }

    fn compare(self, left: &Job, right: &Job) -> Ordering {
        match self {
            Self::Start => started(left).cmp(&started(right)),
            Self::Progress => percent(right).total_cmp(&percent(left)),
            Self::Rate => rate(right).total_cmp(&rate(left)),
            Self::Remaining => remaining(left).cmp(&remaining(right)),
            Self::Type => job_type(left).cmp(job_type(right)),
        }
    }
}

/// The jobs, filtered and sorted; equal ones by their id, so that rows keep their places.
#[must_use]
pub fn jobs<'a>(sight: &'a Sight, filter: &str, sort: Sort) -> Vec<&'a Arc<Job>> {
    let mut jobs: Vec<_> = sight.jobs.iter().filter(|job| job_matches(job, filter)).collect();
    jobs.sort_by(|left, right| sort.compare(left, right).then_with(|| left.id.cmp(&right.id)));
    jobs
}

/// The failures, filtered; the last one first.
#[must_use]
pub fn failures<'a>(sight: &'a Sight, filter: &str) -> Vec<&'a Arc<Job>> {
    sight.failures.iter().filter(|job| job_matches(job, filter)).collect()
}

/// The queues, filtered; by name.
#[must_use]
pub fn queues<'a>(sight: &'a Sight, filter: &str) -> Vec<&'a Queue> {
    let queues = sight.figures.iter().flat_map(|figures| &figures.queues);
    queues.filter(|queue| matches([queue.name.as_str()], filter)).collect()
}

/// The workers, filtered; by name.
#[must_use]
pub fn workers<'a>(sight: &'a Sight, filter: &str) -> Vec<&'a Worker> {
    let workers = sight.figures.iter().flat_map(|figures| &figures.workers);
    let texts = |worker: &'a Worker| {
        let queues = worker.queues.iter().map(String::as_str);
        [worker.worker_id.as_str()].into_iter().chain(queues)
    };
    workers.filter(|worker| matches(texts(worker), filter)).collect()
}

/// What names a row, so that the cursor stays on it while rows move.
#[must_use]
pub fn keys(pane: Pane, sight: &Sight, filter: &str, sort: Sort) -> Vec<String> {
    let ids = |jobs: Vec<&Arc<Job>>| jobs.into_iter().map(|job| job.id.clone()).collect();
    match pane {
        Pane::Queues => queues(sight, filter).into_iter().map(|queue| queue.name.clone()).collect(),
        Pane::Workers => workers(sight, filter).into_iter().map(worker_key).collect(),
        Pane::Jobs => ids(jobs(sight, filter, sort)),
        Pane::Failures => ids(failures(sight, filter)),
    }
}

fn worker_key(worker: &Worker) -> String {
    format!("{}/{}", worker.worker_id, worker.instance_id)
}

fn job_matches(job: &Job, filter: &str) -> bool {
    let status = job.status.as_ref();
    let spec = job.spec.as_ref();
    let queue = status.and_then(|status| status.effective.as_ref()).map(|of| of.queue.as_str());
    let texts = [
        Some(job.id.as_str()),
        spec.map(|spec| spec.r#type.as_str()),
        spec.map(|spec| spec.subject.as_str()),
        spec.map(|spec| spec.owner.as_str()),
        status.map(|status| status.worker_id.as_str()),
        status.and_then(|status| status.error.as_ref()).map(|error| error.code.as_str()),
        queue,
    ];
    matches(texts.into_iter().flatten(), filter)
}

/// Whether one of the texts holds the filter, in either case.
fn matches<'a>(texts: impl IntoIterator<Item = &'a str>, filter: &str) -> bool {
    let wanted = filter.to_lowercase();
    wanted.is_empty() || texts.into_iter().any(|text| text.to_lowercase().contains(&wanted))
}

/// Jobs that do not run yet come last.
fn started(job: &Job) -> (bool, i64, i32) {
    let start =
        job.status.as_ref().filter(|_| live::state(job) != crate::proto::v1::JobState::Pending);
    let start = start.and_then(|status| status.start_time.as_ref());
    start.map_or((true, 0, 0), |start| (false, start.seconds, start.nanos))
}

fn percent(job: &Job) -> f64 {
    let progress = job.status.as_ref().and_then(|status| status.progress.as_ref());
    progress.and_then(|progress| progress.percent).unwrap_or(-1.0)
}

fn rate(job: &Job) -> f64 {
    let progress = job.status.as_ref().and_then(|status| status.progress.as_ref());
    progress.map_or(-1.0, |progress| progress.rate_per_second)
}

/// Those of which nobody knows come last.
fn remaining(job: &Job) -> (bool, i64, i32) {
    let progress = job.status.as_ref().and_then(|status| status.progress.as_ref());
    let left = progress.and_then(|progress| progress.remaining.as_ref());
    left.map_or((true, 0, 0), |left| (false, left.seconds, left.nanos))
}

fn job_type(job: &Job) -> &str {
    job.spec.as_ref().map_or("", |spec| spec.r#type.as_str())
}
