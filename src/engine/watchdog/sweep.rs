//! Looking through running and waiting jobs for those that are stuck.

use std::collections::HashMap;

use futures_util::future::join_all;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed, Fields};
use crate::domain::filter::TimeRange;
use crate::domain::limits::{LOOP_ROWS_MAX, SWEEP_AT_ONCE, SWEEP_IDS_MAX};
use crate::domain::typical::Typical;
use crate::domain::watchdog::{Finding, Forecast, Sweep, Watch};
use crate::domain::{Job, JobFilter, JobId, JobType, StateKind, Timestamp};
use crate::store::ListQuery;

use super::super::Engine;
use super::super::error::{Error, Result};
use super::super::pipeline::Work;
use super::super::readable::ReadablePage;

/// A wish for a sweep.
#[derive(Debug, Clone)]
pub struct SweepQuery {
    /// Which jobs.
    pub sweep: Sweep,
    /// Only say what it would do.
    pub validate_only: bool,
    /// Why, in the caller's words.
    pub reason: String,
}

/// What a sweep did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The jobs, the first [`SWEEP_IDS_MAX`].
    pub job_ids: Vec<JobId>,
    /// How many: the three below together.
    pub count: u64,
    /// Those that fail for good.
    pub failed: u64,
    /// Those that are tried again.
    pub retried: u64,
    /// Those that run on, and were told of.
    pub notified: u64,
    /// What showed itself after this moment was left alone.
    pub cutoff_time: Timestamp,
}

impl Swept {
    /// What the audit says of it.
    fn fields(&self) -> Fields {
        let Self { count, failed, retried, notified, cutoff_time, .. } = self;
        let counts =
            [("count", count), ("failed", failed), ("retried", retried), ("notified", notified)];
        let mut fields: Fields =
            counts.map(|(name, count)| (name.to_owned(), count.to_string())).into();
        fields.insert("cutoff_us".to_owned(), cutoff_time.as_micros().to_string());
        fields
    }

    fn count(&mut self, found: &Finding) {
        self.count += 1;
        match found.forecast {
            Forecast::Fails => self.failed += 1,
            Forecast::Retried => self.retried += 1,
            Forecast::RunsOn => self.notified += 1,
        }
        if self.job_ids.len() < SWEEP_IDS_MAX {
            self.job_ids.push(found.job_id);
        }
    }
}

impl Engine {
    /// Finds jobs that are stuck, and does with each what is to be done. What moved or ended between the
    /// look and the deed is left alone and not counted. What fails with one of them keeps nobody from the others:
    /// the audit says what was done, the caller hears of the first failure.
    pub async fn sweep(&self, caller: &Caller, query: SweepQuery) -> Result<Swept> {
        let SweepQuery { sweep, validate_only, reason } = query;
        let now = self.clock.now();
        let mut swept = Swept { cutoff_time: sweep.cutoff_time(now), ..Swept::default() };
        let mut states = vec![StateKind::Running];
        states.extend(sweep.include_pending.then_some(StateKind::Pending));
        let mut failed = None;
        for state in states {
            let mut before = None;
            while let Some((jobs, last)) = self
                .page(state, &sweep.types, swept.cutoff_time, before)
                .await
                .unwrap_or_else(|error| first(&mut failed, error))
            {
                before = Some(last);
                let found = jobs
                    .iter()
                    .filter(|job| is_work(job))
                    .filter_map(|job| sweep.look(job, now))
                    .collect();
                let done = if validate_only {
                    found
                } else {
                    self.act_on(found, caller.principal(), &reason, &mut failed).await
                };
                for found in &done {
                    swept.count(found);
                }
            }
        }
        if !validate_only {
            let deed = Deed::new(caller.principal(), AuditAction::SweepStuckJobs);
            let after = swept.fields();
            let deed = deed.because(reason.clone());
            let event = deed.done(AuditSubject::Jobs, &Fields::new(), &after, self.clock.now());
            if let Err(error) = self.note(Vec::new(), vec![event]).await {
                failed.get_or_insert(error);
            }
            let Swept { count, failed, retried, notified, .. } = swept;
            tracing::info!(
                caller = caller.principal(),
                reason,
                count,
                failed,
                retried,
                notified,
                "swept"
            );
        }
        failed.map_or(Ok(swept), Err)
    }

    /// Finds running jobs that are stuck by what the configuration says, and those that are slow and that
    /// nobody reported of here. Answers how many.
    pub async fn sweep_stuck(&self) -> Result<u64> {
        let (now, typicals) = (self.clock.now(), self.watchdogs.typicals.known());
        let watch = Watch::new(&self.watchdogs.house.sweep);
        let (mut count, mut before, mut failed) = (0, None, None);
        // What cannot be read was told of, and can be judged as little the next time.
        while let Some((jobs, last)) = self
            .page(StateKind::Running, &[], now, before)
            .await
            .unwrap_or_else(|error| first(&mut failed, error))
        {
            before = Some(last);
            let found = jobs
                .iter()
                .filter(|job| is_work(job))
                .filter_map(|job| watch.sweep(job, now))
                .collect();
            count += self.act_on(found, "", "", &mut failed).await.len() as u64;
            count += self.note_slow_among(&typicals, &jobs, now, &mut failed).await;
        }
        failed.map_or(Ok(count), Err)
    }

    async fn note_slow_among(
        &self,
        typicals: &HashMap<JobType, Typical>,
        jobs: &[Job],
        now: Timestamp,
        failed: &mut Option<Error>,
    ) -> u64 {
        let mut count = 0;
        for some in jobs.chunks(SWEEP_AT_ONCE) {
            for noted in join_all(some.iter().map(|job| self.note_slow(typicals, job, now))).await {
                count += u64::from(noted.unwrap_or_else(|error| first(failed, error)));
            }
        }
        count
    }

    /// Jobs in a state that were there at `cutoff`, with their newest progress, and where the next page begins; none
    /// after the last. Jobs that cannot be read are left out; the log names them.
    async fn page(
        &self,
        state: StateKind,
        types: &[JobType],
        cutoff: Timestamp,
        before: Option<JobId>,
    ) -> Result<Option<(Vec<Job>, JobId)>> {
        // Up to the moment itself: ranges end before their bound.
        let until = Timestamp::from_micros(cutoff.as_micros().saturating_add(1));
        let filter = JobFilter {
            states: vec![state],
            types: types.to_vec(),
            create_time: TimeRange { after: None, before: Some(until) },
            ..JobFilter::default()
        };
        let query = ListQuery { filter, before, limit: LOOP_ROWS_MAX, full: false };
        let ReadablePage { found, last } = self.list_readable(&self.loop_db, query).await?;
        let mut jobs = found.jobs;
        for job in &mut jobs {
            self.live.overlay(job);
        }
        Ok(last.map(|last| (jobs, last)))
    }

    /// Does what is to be done with jobs that were found; answers those that it was done with. The first failure
    /// is kept.
    async fn act_on(
        &self,
        found: Vec<Finding>,
        actor: &str,
        why: &str,
        failed: &mut Option<Error>,
    ) -> Vec<Finding> {
        let mut done = Vec::with_capacity(found.len());
        for some in found.chunks(SWEEP_AT_ONCE) {
            let deeds = some.iter().map(|found| {
                let (job_id, command) = (found.job_id, found.command(actor, why));
                // What the server finds by itself is told, and nobody's deed.
                let by_hand = Deed::new(actor, AuditAction::SweepStuckJobs).because(why.to_owned());
                let deed = (!actor.is_empty()).then(|| Box::new(by_hand));
                self.pipeline.ask(move |reply| Work::Try { job_id, command, deed, reply })
            });
            for (found, deed) in some.iter().zip(join_all(deeds).await) {
                if deed.unwrap_or_else(|error| first(failed, error)) {
                    done.push(found.clone());
                }
            }
        }
        done
    }
}

/// Keeps the first failure; what failed counts as nothing.
fn first<T: Default>(failed: &mut Option<Error>, error: Error) -> T {
    failed.get_or_insert(error);
    T::default()
}

/// Whether it is no command that the server itself runs: that ends by itself, or is cancelled.
fn is_work(job: &Job) -> bool {
    !job.spec.job_type.is_reserved()
}
