//! What is going on, as the server tells it, and what of it is worth a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::{Part, Planned};
use crate::cli::client::Seen;
use crate::cli::format;
use crate::cli::live::{self, Change, Jobs, What};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobState, JobStatus};

#[cfg(test)]
mod tests;

/// Half-way: a little less, because it is a little more by the time the worker hears of it.
const HALF: f64 = 45.0;

/// Something worth a line.
#[derive(Debug, Clone)]
pub struct News {
    /// The job, as it was then.
    pub job: Arc<Job>,
    /// What happened to it.
    pub kind: Kind,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was submitted.
    Submitted,
    /// A worker has it.
    Started,
    /// An attempt failed, and another will follow.
    AttemptFailed,
    /// It is over.
    Over,
}

/// The jobs of the demo as they are.
#[derive(Default)]
pub struct Show {
    jobs: Jobs,
    parts: BTreeMap<String, Part>,
    /// Which jobs had a failed attempt, with what it said.
    failed_once: BTreeMap<String, String>,
}

impl Show {
    /// A job was submitted.
    pub fn cast(&mut self, job_id: String, planned: &Planned) {
        self.parts.insert(job_id, planned.part);
    }

    /// Takes what the watch saw; answers what is worth a line.
    pub fn take(&mut self, seen: Seen, now: Timestamp) -> Vec<News> {
        let changes = self.jobs.take(seen, now);
        let mut news: Vec<_> = changes.into_iter().filter_map(|of| self.news(of)).collect();
        // What came together is told by age.
        news.sort_by(|left, right| left.job.id.cmp(&right.job.id));
        news
    }

    fn news(&mut self, change: Change) -> Option<News> {
        let job = change.job;
        let status = job.status.as_ref()?;
        let kind = match (change.what, status.state()) {
            (What::New, JobState::Pending) => Kind::Submitted,
            (What::New | What::Moved, JobState::Running) => Kind::Started,
            (What::New | What::Moved, state) if live::is_over(state) => Kind::Over,
            (What::Moved, JobState::Pending) if status.error.is_some() => Kind::AttemptFailed,
            _ => return None,
        };
        if kind == Kind::AttemptFailed {
            let error = status.error.as_ref().map(|error| error.code.clone());
            self.failed_once.insert(job.id.clone(), error.unwrap_or_default());
        }
        Some(News { job, kind })
    }

    /// The job that is to be cancelled, once it is half done.
    #[must_use]
    pub fn half_way(&self) -> Option<String> {
        let job = self.of_part(Part::Cancelled).find(|job| {
            let status = job.status.as_ref().filter(|of| of.state() == JobState::Running);
            let asked = status.is_some_and(|status| status.cancel_request.is_some());
            let percent = status.and_then(|status| status.progress.as_ref()?.percent);
            !asked && percent.is_some_and(|percent| percent >= HALF)
        })?;
        Some(job.id.clone())
    }

    /// The jobs that play this part.
    pub fn of_part(&self, part: Part) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.all().filter(move |job| self.parts.get(&job.id) == Some(&part))
    }

    /// Whether so many jobs were seen and all of them are over.
    #[must_use]
    pub fn over(&self, planned: usize) -> bool {
        let jobs = self.jobs.all();
        self.jobs.complete() && self.jobs.all().count() >= planned && { jobs }
            .all(|job| live::is_over(live::state(job)))
    }

    /// The jobs that are not over: those that run, the others behind them.
    #[must_use]
    pub fn alive(&self) -> Vec<&Arc<Job>> {
        let mut jobs = self.jobs.in_state(JobState::Running);
        jobs.extend(self.jobs.in_state(JobState::Pending));
        jobs
    }

    /// How many jobs are in this state.
    #[must_use]
    pub fn count(&self, state: JobState) -> usize {
        self.jobs.count(state)
    }

    /// Items per second of all that runs.
    #[must_use]
    pub fn items_per_second(&self) -> f64 {
        self.jobs.items_per_second()
    }

    /// All jobs, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.all()
    }

    /// What the first failed attempt of a job said.
    #[must_use]
    pub fn failed_once(&self, job_id: &str) -> Option<&str> {
        self.failed_once.get(job_id).map(String::as_str)
    }
}

/// What a job is called: its type, and what it works on.
#[must_use]
pub fn name(job: &Job) -> String {
    let spec = job.spec.clone().unwrap_or_default();
    format::plain(&format!("{} {}", spec.r#type, spec.subject))
}

/// The status of a job.
#[must_use]
pub fn status(job: &Job) -> JobStatus {
    job.status.clone().unwrap_or_default()
}
