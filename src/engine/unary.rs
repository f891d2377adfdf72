//! The twins of the worker stream for scripts: one call at a time, each assignment in a session of its
//! own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Caller;
use crate::domain::ids::QuotaName;
use crate::domain::limits::REPORT_INTERVAL_UNWATCHED;
use crate::domain::machine::{Command, Refusal};
use crate::domain::{CancelRequest, Job, JobId, LogBatch, LogEntry, Progress, ResourceUsage};
use crate::store::SessionWrite;

use super::Engine;
use super::create::Assignment;
use super::dispatch::Waiter;
use super::error::{Error, Result};
use super::history;
use super::live::{Cell, Tick};
use super::pipeline::{Adoption, Work};
use super::session::Outcome;

/// A report of a running job.
#[derive(Debug, Clone)]
pub struct JobReport {
    /// The job.
    pub job_id: JobId,
    /// Its lease.
    pub lease_epoch: i64,
    /// Its number, 0 for none: the same one again is applied once.
    pub seq: i64,
    /// How far it is.
    pub progress: Option<Progress>,
    /// Lines of its log.
    pub logs: Vec<LogEntry>,
    /// What it uses.
    pub usage: Option<ResourceUsage>,
    /// What it used of quotas so far.
    pub used: BTreeMap<QuotaName, u64>,
    /// The lease from now on, if it is to change.
    pub lease_ttl: Option<Duration>,
}

/// The answer to a report.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The wish that the job stop.
    pub cancel_request: Option<CancelRequest>,
    /// The pace to report at.
    pub report_interval: Duration,
    /// The lease from now on.
    pub lease_ttl: Duration,
}

impl Engine {
    /// Waits for jobs; none if none came in time.
    pub async fn acquire(&self, waiter: Waiter, wait: Duration) -> Result<Vec<Assignment>> {
        if self.shutdown.is_signalled() {
            return Err(Error::Draining);
        }
        // Who would wait in vain for a store that does not answer is told so.
        self.db.read(|store| async move { store.ping().await }).await?;
        let (lease_ttl, process) = (waiter.lease_ttl, waiter.process());
        self.may_work(&process)?;
        let mut place = self.waiters.join(waiter, &self.sessions);
        self.line.wake();
        let jobs = tokio::select! {
            jobs = place.jobs(wait) => jobs,
            () = self.shutdown.signalled() => return Err(Error::Draining),
        };
        if jobs.is_empty() {
            self.may_work(&process)?;
        }
        Ok(jobs.into_iter().map(|job| Assignment { job, lease_ttl }).collect())
    }

    /// Takes a report and renews the lease.
    pub async fn report(&self, _caller: &Caller, report: JobReport) -> Result<Reported> {
        let JobReport { job_id, lease_epoch, seq, progress, logs, usage, used, lease_ttl } = report;
        if !used.is_empty() {
            self.command(job_id, Command::ReportUse { lease_epoch, used }).await?;
        }
        let of = Adoption { job_id, lease_epoch };
        let fence = self.pipeline.ask(|reply| Work::Fence { of, reply });
        let says_lines = !logs.is_empty();
        let job = if logs.is_empty() {
            fence.await?
        } else {
            let batch = LogBatch { job_id, lease_epoch, attempt: 0, seq, entries: logs };
            let append = self.pipeline.ask(|reply| Work::Logs { batch, patient: false, reply });
            let (job, appended) = futures_util::future::join(fence, append).await;
            appended?;
            job?
        };
        let cell = self.live.open(&job);
        let now = self.clock.now();
        if says_lines {
            self.live.active(&cell, now);
        }
        if let Some(progress) = progress {
            self.live.tick(&cell, seq, Tick::Progress(progress), now, &self.hub);
        }
        if let Some(usage) = usage {
            self.live.tick(&cell, 0, Tick::Usage(usage), now, &self.hub);
        }
        let lease_ttl = if self.herald.is_shared() {
            // The next report of the job may come to another server, and whoever was answered may ask
            // there: it is written with the renewal.
            let rows = vec![cell.write()];
            let written = self.pipeline.ask(|reply| Work::Progress { rows, reply });
            let (renewed, written) =
                futures_util::future::join(self.renew(&job, lease_ttl), written).await;
            written?;
            renewed?
        } else {
            self.renew(&job, lease_ttl).await?
        };
        let report_interval = if self.hub.is_watched(job_id) {
            crate::domain::limits::REPORT_INTERVAL_WATCHED
        } else {
            REPORT_INTERVAL_UNWATCHED
        };
        Ok(Reported { cancel_request: job.status.cancel_request, report_interval, lease_ttl })
    }

    /// Renews the lease of a unary assignment; a stream renews its own by its traffic. Refused if the
    /// assignment's session is over: its job is about to be taken back.
    async fn renew(&self, job: &Job, wanted: Option<Duration>) -> Result<Duration> {
        let Some(id) = job.status.session() else {
            return Err(Error::JobNotFound(job.id));
        };
        let session = self.db.read(move |store| async move { store.session(id).await }).await?;
        let ttl = wanted.or_else(|| session.as_ref().map(|session| session.ttl));
        let ttl = ttl.unwrap_or(crate::domain::limits::LEASE_TTL_UNARY_DEFAULT);
        if session.is_some_and(|session| !session.unary) {
            return Ok(ttl);
        }
        let write = SessionWrite::Renew { id, age: Duration::ZERO, ttl };
        if self.pipeline.ask(|reply| Work::Session { write, patient: false, reply }).await? {
            return Ok(ttl);
        }
        let lease_epoch = job.status.lease_epoch;
        let refusal = Refusal::StaleLease {
            held: lease_epoch,
            presented: lease_epoch,
            state: job.status.kind(),
        };
        Err(Error::Refused { job_id: job.id, refusal })
    }

    /// Takes the end of an execution, with what it used of quotas: of those that there are, for an end is not
    /// refused over a quota that went while the job ran.
    pub async fn finish_used(
        &self,
        caller: &Caller,
        (job_id, lease_epoch): (JobId, i64),
        mut used: BTreeMap<QuotaName, u64>,
        outcome: Outcome,
    ) -> Result<Job> {
        while !used.is_empty() {
            let report = Command::ReportUse { lease_epoch, used: used.clone() };
            match self.command(job_id, report).await {
                // An end that is told again comes after its use was settled: its own answer counts.
                Ok(_) | Err(Error::Refused { .. }) => break,
                Err(Error::QuotaNotFound(name)) if used.remove(&name).is_some() => {
                    tracing::warn!(job.id = %job_id, quota = %name, "use of no known quota");
                }
                Err(error) => return Err(error),
            }
        }
        self.finish(caller, job_id, lease_epoch, outcome).await
    }

    /// Takes the end of an execution.
    pub async fn finish(
        &self,
        _caller: &Caller,
        job_id: JobId,
        lease_epoch: i64,
        outcome: Outcome,
    ) -> Result<Job> {
        let cell = self.cell_for(job_id, lease_epoch, &outcome).await?;
        let command = outcome.into_command(lease_epoch, 0, cell.as_ref(), &self.sessions);
        let report = command.report();
        match self.command(job_id, command).await {
            Err(error) if history::may_know(&error) => {
                history::known(&self.db, job_id, lease_epoch, report, error).await?;
                self.find(job_id).await?.ok_or(Error::JobNotFound(job_id))
            }
            answer => answer,
        }
    }

    /// The cell that the outcome's last progress goes into. That is newer than all before it, wherever they were
    /// reported: so it is counted on from what is known now, and not from what happens to be known here.
    async fn cell_for(
        &self,
        job_id: JobId,
        lease_epoch: i64,
        outcome: &Outcome,
    ) -> Result<Option<Arc<Cell>>> {
        let known = self.live.find(job_id, lease_epoch);
        if !outcome.says_progress() || (known.is_some() && !self.herald.is_shared()) {
            return Ok(known);
        }
        let job = self.find(job_id).await?;
        let runs =
            |job: &Job| job.status.lease_epoch == lease_epoch && job.status.session().is_some();
        Ok(job.filter(runs).map(|job| self.live.open(&job)))
    }
}
