//! Why a job is as it is: what is known around it, gathered for the domain to tell.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::auth::Caller;
use crate::domain::admission::{Capacity, Hold, Room, Shares, Why, why};
use crate::domain::explain::{Explanation, Facts, explain};
use crate::domain::filter::{JobFilter, TimeRange};
use crate::domain::job::Trigger;
use crate::domain::job_type::JobTypeSpec;
use crate::domain::limits::{EXPLAIN_IDS_MAX, LOOP_ROWS_MAX, RECENT_RUNS_MAX};
use crate::domain::schedule::OverlapPolicy;
use crate::domain::status::{SkipReason, State};
use crate::domain::{Job, JobId, StateKind};

use crate::store::ListQuery;

use super::Engine;
use super::dispatch::{Ruled, Ruling};
use super::error::{Error, Result};
use super::summary::typical_run;
use super::workers::{Worker, WorkerFilter, WorkerState};

/// How far apart the times may stand that one commit writes.
const AT_ONCE: Duration = Duration::from_secs(60);

impl Engine {
    /// Explains a job.
    pub async fn explain(&self, caller: &Caller, job_id: JobId) -> Result<Explanation> {
        let job = self.find(job_id).await?.ok_or(Error::JobNotFound(job_id))?;
        let workers = self.takers(caller, &job).await?;
        let (job_type, key) = (job.spec.job_type.clone(), job.spec.unique_key.clone());
        let (runs, holder) = self
            .db
            .read(move |store| async move {
                let runs = store.recent(&job_type, Some(StateKind::Succeeded), RECENT_RUNS_MAX);
                let runs = runs.await?;
                let holder = match key.as_str() {
                    "" => None,
                    key => store.unique_holder(&job_type, key).await?,
                };
                Ok((runs, holder))
            })
            .await?;
        let now = self.clock.now();
        let rooms: Vec<Room> = workers.iter().map(room).collect();
        let ruled = self.rules_of(&job).await?;
        let candidate = ruled.candidate(&job);
        let why = candidate
            .map_or_else(Why::default, |candidate| why(&candidate, &rooms, &ruled.rules, now));
        let book = self.registry.book();
        let spec = book.spec(&job.spec.job_type);
        let disabled = spec.map(|spec| spec.disabled_reason.as_str());
        let replaced = is_replaced(&job, spec);
        let facts = Facts {
            disabled_reason: disabled.filter(|reason| !reason.is_empty()).map(ToOwned::to_owned),
            replaced,
            successor: if replaced { self.successor(&job).await? } else { None },
            too_small_quota: ruled.too_small_quota(&job.spec.job_type),
            holders: self.holders(&job, &why).await?,
            overlapped: match job.status.state {
                State::Skipped { reason: SkipReason::Overlap } if !replaced => {
                    self.overlapped(&job).await?
                }
                _ => Vec::new(),
            },
            quotas: ruled.quotas_of(&job.spec.job_type),
            next_probe_time: ruled.next_probe_time(&job.spec.job_type, now),
            quota_reset_time: ruled.quota_reset_time(&job.spec.job_type, now),
            why,
            workers: workers.into_iter().map(|worker| worker.worker_id).collect(),
            unique_holder: holder.filter(|holder| *holder != job_id),
            // A bulk command takes as long as there are jobs to it.
            typical_run_duration: typical_run(&runs).filter(|_| !job.spec.job_type.is_reserved()),
        };
        Ok(explain(&job, &facts, now))
    }

    /// Those who take jobs of its type from its queue.
    async fn takers(&self, caller: &Caller, job: &Job) -> Result<Vec<Worker>> {
        let filter = WorkerFilter {
            queues: vec![job.status.effective.queue.clone()],
            states: vec![WorkerState::Online],
        };
        let mut workers = self.workers(caller, filter).await?;
        let job_type = &job.spec.job_type;
        workers.retain(|worker| worker.types.is_empty() || worker.types.contains(job_type));
        Ok(workers)
    }

    /// The rules that dispatch goes by, as far as they concern this job, as they stand now.
    async fn rules_of(&self, job: &Job) -> Result<Ruled> {
        let pair = (job.status.effective.queue.clone(), job.spec.job_type.clone());
        let pairs = std::iter::once(&pair);
        let bounds = (self.starter.max_running(), self.is_shared());
        let ruling = Ruling::new(self.registry.book(), bounds, pairs);
        let mut claims = ruling.claims();
        claims.values.extend(ruling.value(&job.spec));
        let of = claims.clone();
        let standing = self.db.read(move |store| async move { store.standing(&of).await }).await?;
        let ruled = ruling.stand(&claims, &standing, Shares::default());
        match ruled.unread(&pair.0, &pair.1) {
            Some(error) => Err(error.clone().into()),
            None => Ok(ruled),
        }
    }

    /// Some of the runs of its type that were not over when it was refused.
    async fn overlapped(&self, job: &Job) -> Result<Vec<JobId>> {
        let types = vec![job.spec.job_type.clone()];
        let mut filter = JobFilter { types, ..JobFilter::default() };
        let book = self.registry.book();
        if let Some(spec) = book.spec(&job.spec.job_type).filter(|spec| spec.max_concurrent == 0)
            && let Some(key) = &spec.concurrency_key
            && let Some(value) = spec.concurrency_value(&job.spec.labels)
        {
            filter.labels.insert(key.label.clone(), value.to_owned());
        }
        let before = Some(job.id);
        let query = ListQuery { filter, before, limit: RECENT_RUNS_MAX, full: false };
        let runs = self.db.read(|store| async move { store.list(&query).await }).await?;
        let then = job.status.create_time;
        let was_alive = |run: &Job| run.status.end_time.is_none_or(|end| end >= then);
        let is_run = |run: &Job| run.status.kind() != StateKind::Skipped && was_alive(run);
        Ok(runs.iter().filter(|run| is_run(run)).map(|run| run.id).take(EXPLAIN_IDS_MAX).collect())
    }

    /// The run that a run made way for: the first of its schedule that was not itself replaced at once.
    async fn successor(&self, job: &Job) -> Result<Option<JobId>> {
        let Some(end) = job.status.end_time else { return Ok(None) };
        let filter = JobFilter {
            types: vec![job.spec.job_type.clone()],
            triggers: vec![Trigger::Schedule],
            // It was made by the commit that ended this one, by a clock that may have been a little behind.
            create_time: TimeRange {
                after: Some(end.minus(AT_ONCE)),
                before: Some(end.plus(AT_ONCE)),
            },
            ..JobFilter::default()
        };
        let query = ListQuery { filter, before: None, limit: LOOP_ROWS_MAX, full: false };
        let runs = self.db.read(|store| async move { store.list(&query).await }).await?;
        let is_later =
            |run: &&Job| run.id != job.id && run.spec.schedule_time > job.spec.schedule_time;
        let was_made = |run: &&Job| run.status.end_time != Some(run.status.create_time);
        let later = runs.iter().filter(is_later).filter(was_made);
        Ok(later.min_by_key(|run| run.spec.schedule_time).map(|run| run.id))
    }

    /// Some of those that run under each of the caps that hold a job, by the code of the hold.
    async fn holders(&self, job: &Job, why: &Why) -> Result<BTreeMap<&'static str, Vec<JobId>>> {
        let mut holders = BTreeMap::new();
        for hold in why.holds.iter().filter(|hold| hold.is_of_others()) {
            let filter = JobFilter { states: vec![StateKind::Running], ..self.under(hold, job) };
            let query = ListQuery { filter, before: None, limit: EXPLAIN_IDS_MAX, full: false };
            let jobs = self.db.read(|store| async move { store.list(&query).await }).await?;
            holders.insert(hold.code(), jobs.into_iter().map(|job| job.id).collect());
        }
        Ok(holders)
    }

    /// The jobs that count under what holds a job.
    fn under(&self, hold: &Hold, job: &Job) -> JobFilter {
        let mut filter = JobFilter::default();
        match hold {
            Hold::QueueFull { queue, .. } => filter.queues.push(queue.clone()),
            Hold::TypeFull { .. } | Hold::Overlap { .. } | Hold::KeyFull { .. } => {
                filter.types.push(job.spec.job_type.clone());
            }
            _ => {}
        }
        if let (Hold::KeyFull { value, .. }, Some(spec)) =
            (hold, self.registry.book().spec(&job.spec.job_type))
            && let Some(key) = &spec.concurrency_key
        {
            filter.labels.insert(key.label.clone(), value.clone());
        }
        filter
    }
}

/// Whether a run made way for a newer one: while it waited, or as the older of two that were due at once.
fn is_replaced(job: &Job, spec: Option<&JobTypeSpec>) -> bool {
    if !matches!(job.status.state, State::Skipped { reason: SkipReason::Overlap }) {
        return false;
    }
    let schedule = spec.and_then(|spec| spec.schedule.as_ref());
    let makes_way = schedule.is_some_and(|it| it.overlap_policy == OverlapPolicy::CancelRunning);
    let had_waited = job.status.end_time.is_some_and(|end| end > job.status.create_time);
    had_waited || makes_way && job.status.trigger == Trigger::Schedule
}

fn room(worker: &Worker) -> Room {
    let free = worker.slots.saturating_sub(worker.held);
    Room {
        capacity: Capacity {
            queues: worker.queues.clone(),
            types: worker.types.clone(),
            free: usize::try_from(free).unwrap_or(usize::MAX),
        },
        worker_id: worker.worker_id.clone(),
        memory_free: worker.memory_free,
    }
}
