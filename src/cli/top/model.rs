//! What is known about the server: the jobs as they are watched, the rest as it was last asked for.

use std::collections::HashSet;
use std::sync::Arc;

use crate::cli::client::Seen;
use crate::cli::live::{self, Jobs};
use crate::domain::Timestamp;
use crate::domain::limits::TOP_FAILURES_MAX;
use crate::proto::v1::{GetServerInfoResponse, GetStatsResponse, Job, JobState, Queue, Worker};

/// What is asked for again and again.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What the server is.
    pub info: GetServerInfoResponse,
    /// Counts and rates.
    pub stats: GetStatsResponse,
    /// Where jobs wait.
    pub queues: Vec<Queue>,
    /// Who runs jobs.
    pub workers: Vec<Worker>,
    /// The newest jobs that failed for good.
    pub failed: Vec<Job>,
    /// True if there are no others that failed.
    pub failed_all: bool,
}

/// Everything there is to draw, at one moment. Cheap to clone, so that a pause can keep one.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// The moment.
    pub now: Timestamp,
    /// What was last asked for; `None` before the first answer.
    pub figures: Option<Arc<Figures>>,
    /// The jobs that are watched.
    pub jobs: Vec<Arc<Job>>,
    /// True once they are all here.
    pub complete: bool,
    /// Jobs that failed for good, the last one first.
    pub failures: Vec<Arc<Job>>,
    /// Why the server is not heard, if it is not.
    pub lost: Option<String>,
}

/// What is known about the server.
#[derive(Default)]
pub struct Model {
    jobs: Jobs,
    figures: Option<Arc<Figures>>,
    failures: Vec<Arc<Job>>,
    /// What an answer said that did not come.
    silent: Option<String>,
}

impl Model {
    /// Takes what the watch saw.
    pub fn seen(&mut self, seen: Seen, now: Timestamp) {
        if let Seen::Upsert(jobs) = &seen {
            // What runs again has not failed.
            let back: HashSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
            self.failures.retain(|job| !back.contains(job.id.as_str()));
        }
        if let Seen::Removed { job: Some(job), .. } = &seen
            && live::state(job) == JobState::Failed
        {
            self.failed(Arc::new(job.as_ref().clone()));
        }
        self.jobs.take(seen, now);
    }

    /// Takes fresh figures.
    pub fn polled(&mut self, figures: Figures) {
        self.silent = None;
        let running = |job: &Job| self.jobs.get(&job.id).is_some_and(|job| !over(job));
        let failed: Vec<_> = figures.failed.iter().filter(|job| !running(job)).cloned().collect();
        if figures.failed_all {
            self.failures.clear();
        }
        for job in failed {
            self.failed(Arc::new(job));
        }
        self.figures = Some(Arc::new(figures));
    }

    /// Notes that the server gave no answer.
    pub fn poll_failed(&mut self, cause: String) {
        self.silent = Some(cause);
    }

    fn failed(&mut self, job: Arc<Job>) {
        self.failures.retain(|other| other.id != job.id);
        self.failures.push(job);
        self.failures.sort_by_key(|job| std::cmp::Reverse(ended(job)));
        self.failures.truncate(TOP_FAILURES_MAX);
    }

    /// Everything there is to draw now.
    #[must_use]
    pub fn sight(&self, now: Timestamp) -> Sight {
        Sight {
            now,
            figures: self.figures.clone(),
            jobs: self.jobs.all().cloned().collect(),
            complete: self.jobs.complete(),
            failures: self.failures.clone(),
            lost: self.jobs.lost().map(str::to_owned).or_else(|| self.silent.clone()),
        }
    }
}

fn over(job: &Job) -> bool {
    live::is_over(live::state(job))
}

fn ended(job: &Job) -> Option<(i64, i32)> {
    let end = job.status.as_ref()?.end_time.as_ref()?;
    Some((end.seconds, end.nanos))
}
