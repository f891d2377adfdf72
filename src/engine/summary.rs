//! How each type of job does: its last runs, its last success, its failures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::auth::Caller;
use crate::domain::circuit::CircuitState;
use crate::domain::job_type::JobTypeSpec;
use crate::domain::limits::{RECENT_RUNS_MAX, SUMMARY_TYPES_MAX};
use crate::domain::stats::{Bucket, Count};
use crate::domain::{Category, Job, JobType, StateKind, Timestamp};

use super::Engine;
use super::error::{Error, Result};
use super::registry::{Definition, Rulebook};
use super::stats::{first_minute, first_minute_of_day};
use super::types::circuit;

/// A wish for summaries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SummaryQuery {
    /// Only these types; all if empty.
    pub types: Vec<JobType>,
    /// Only types of these categories; no type has one before it is declared.
    pub categories: Vec<Category>,
    /// So many recent jobs of each.
    pub recent_runs: usize,
}

/// How one type of job does.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The type.
    pub job_type: JobType,
    /// How it is declared; `None` if it was only seen on jobs.
    pub declared: Option<JobTypeSpec>,
    /// When its schedule fires next.
    pub next_fire_time: Option<Timestamp>,
    /// How its breaker stands, if it has one.
    pub circuit: Option<CircuitState>,
    /// Its newest job.
    pub last_job: Option<Job>,
    /// Its newest jobs, the newest first.
    pub recent_jobs: Vec<Job>,
    /// When one of its stored jobs last succeeded.
    pub last_success_time: Option<Timestamp>,
    /// How long an attempt usually runs.
    pub typical_run_duration: Option<Duration>,
    /// Jobs now stored, by state.
    pub counts: BTreeMap<StateKind, i64>,
    /// Jobs that failed for good in the last hour.
    pub failed_last_hour: u64,
    /// Jobs that failed for good in the last 24 hours.
    pub failed_last_day: u64,
}

impl Summary {
    /// What is known of a type without its jobs.
    fn of(
        job_type: &JobType,
        definition: Option<&Arc<Definition>>,
        book: &Rulebook,
        now: Timestamp,
    ) -> Self {
        let schedule = definition.and_then(|definition| definition.active_schedule());
        let circuit = circuit(job_type, book);
        Self {
            job_type: job_type.clone(),
            declared: definition.map(|definition| definition.declared.spec.clone()),
            next_fire_time: schedule.and_then(|schedule| schedule.next(now)),
            circuit,
            last_job: None,
            recent_jobs: Vec::new(),
            last_success_time: None,
            typical_run_duration: None,
            counts: BTreeMap::new(),
            failed_last_hour: 0,
            failed_last_day: 0,
        }
    }
}

/// Successful runs that a typical one is taken from.
const TYPICAL_OF: usize = RECENT_RUNS_MAX;
/// Types that are read at the same time.
const TYPES_AT_ONCE: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);

/// The middle one of these run times; of an even number the mean of the two in the middle.
pub(super) fn median(mut runs: Vec<Duration>) -> Option<Duration> {
    runs.sort_unstable();
    let upper = *runs.get(runs.len() / 2)?;
    if runs.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *runs.get(runs.len() / 2 - 1)?;
    Some(lower + upper.saturating_sub(lower) / 2)
}

/// When one of these jobs last ended; ids follow the order of creation, ends need not.
pub(super) fn last_end(jobs: &[Job]) -> Option<Timestamp> {
    jobs.iter().filter_map(|job| job.status.end_time).max()
}

/// How long these jobs usually run.
pub(super) fn typical_run(jobs: &[Job]) -> Option<Duration> {
    let run = |job: &Job| job.status.run_duration(job.status.end_time?);
    median(jobs.iter().filter_map(run).collect())
}

/// What counters and buckets say of each type that is meant; the rest is read for each.
pub(super) fn by_type(
    query: &SummaryQuery,
    counts: &[Count],
    buckets: &[Bucket],
    book: &Rulebook,
    now: Timestamp,
) -> BTreeMap<JobType, Summary> {
    let mut summaries = BTreeMap::new();
    let types: BTreeSet<&JobType> = query.types.iter().collect();
    let wanted = |job_type: &JobType| {
        (if types.is_empty() { !job_type.is_reserved() } else { types.contains(job_type) })
            && (query.categories.is_empty() || book.is_of(job_type, &query.categories))
    };
    for (job_type, definition) in book.types.iter().filter(|(job_type, _)| wanted(job_type)) {
        summaries.insert(job_type.clone(), Summary::of(job_type, Some(definition), book, now));
    }
    for count in counts {
        let job_type = &count.key.job_type;
        if wanted(job_type) {
            let summary = summaries
                .entry(job_type.clone())
                .or_insert_with(|| Summary::of(job_type, None, book, now));
            *summary.counts.entry(count.state).or_default() += count.stored;
        }
    }
    let (hour, day) = (first_minute(now, HOUR), first_minute_of_day(now));
    for bucket in buckets {
        if let Some(summary) = summaries.get_mut(&bucket.key.job_type) {
            let failed = |from| if bucket.minute >= from { bucket.tally.failed } else { 0 };
            summary.failed_last_hour += failed(hour);
            summary.failed_last_day += failed(day);
        }
    }
    summaries
}

impl Engine {
    /// How each type does that is declared or ever had a job, by name.
    pub async fn summaries(&self, _caller: &Caller, query: SummaryQuery) -> Result<Vec<Summary>> {
        let now = self.clock.now();
        let from = first_minute_of_day(now);
        let (counts, buckets) = self
            .db
            .read(
                move |store| async move { Ok((store.counts().await?, store.buckets(from).await?)) },
            )
            .await?;
        let summaries = by_type(&query, &counts, &buckets, &self.registry.book(), now);
        if summaries.len() > SUMMARY_TYPES_MAX {
            let limit = SUMMARY_TYPES_MAX as u64;
            return Err(Error::LimitExceeded { what: "the number of types in one summary", limit });
        }
        let recent_runs = query.recent_runs;
        futures_util::stream::iter(summaries.into_values())
            .map(|summary| self.completed(summary, recent_runs))
            .buffered(TYPES_AT_ONCE)
            .try_collect()
            .await
    }

    /// A summary with what is read of its jobs.
    async fn completed(&self, mut summary: Summary, recent_runs: usize) -> Result<Summary> {
        let succeeded = summary.counts.get(&StateKind::Succeeded).is_some_and(|stored| *stored > 0);
        let limit = recent_runs.max(1);
        let job_type = summary.job_type.clone();
        let (mut newest, successes) = self
            .db
            .read(move |store| async move {
                let newest = store.newest(&job_type, limit).await?;
                let successes = if succeeded {
                    store.recent(&job_type, Some(StateKind::Succeeded), TYPICAL_OF).await?
                } else {
                    Vec::new()
                };
                Ok((newest, successes))
            })
            .await?;
        summary.last_success_time = last_end(&successes);
        summary.typical_run_duration = typical_run(&successes);
        for job in &mut newest {
            self.live.overlay(job);
        }
        summary.last_job = newest.first().cloned();
        newest.truncate(recent_runs);
        summary.recent_jobs = newest;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests;
