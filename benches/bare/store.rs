//! The store alone in a loop: whole lives of jobs, of which some fail for good and some are cancelled by a person,
//! decided by the state machine and committed as the server's writer does, with what is told and recorded of them
//! or without.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use uuid::Uuid;

use jobplane::domain::audit::{AuditAction, Deed};
use jobplane::domain::event::{Wanted, of_change};
use jobplane::domain::machine::{self, Applied, Command, Now};
use jobplane::domain::stats::Changes;
use jobplane::domain::{BatchId, Job, JobError, JobId, SessionId, WorkerName};
use jobplane::store::postgres::{self, PostgresStore};
use jobplane::store::sqlite::{self, SqliteStore};
use jobplane::store::{
    Batch, Cause, Counted, JobWrite, KeyChange, NewJob, Store, Written, is_shared,
};

use super::life::{Life, Step};
use super::orders::{Order, Ran, now, obey};
use crate::harness::machine::cpu_time;
use crate::harness::wire::TYPE;

/// One job of so many is cancelled by a person while it waits.
const CANCELLED: usize = 50;
/// One of so many that run fails for good.
const FAILED: usize = 20;

/// What is told and recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Telling {
    /// Nothing.
    Nothing,
    /// What the server tells and records of itself.
    Usual,
    /// An event for each job that succeeds, too (`--event-successes`).
    Successes,
}

/// Obeys the orders on stdin until it ends.
pub fn run(url: &str, telling: Telling) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let store = runtime.block_on(open(url.to_owned()))?;
    let session = SessionId(Uuid::now_v7());
    let worker_id = WorkerName::new("bench")?;
    let (step, jobs) = (Step::Create, Vec::new());
    let mut line = Line { store, telling, session, worker_id, step, jobs };
    obey(|order| runtime.block_on(line.obey(order)))
}

async fn open(url: String) -> Result<Arc<dyn Store>> {
    Ok(if is_shared(&url) {
        let options = postgres::Options { url, ..postgres::Options::default() };
        Arc::new(PostgresStore::open(options).await?)
    } else {
        Arc::new(SqliteStore::open(sqlite::Options { url, read_pool: 1 }).await?)
    })
}

struct Line {
    store: Arc<dyn Store>,
    telling: Telling,
    session: SessionId,
    worker_id: WorkerName,
    step: Step,
    jobs: Vec<Job>,
}

impl Line {
    async fn obey(&mut self, order: Order) -> Result<Ran> {
        let pid = std::process::id();
        let (began, cpu) = (Instant::now(), cpu_time(pid)?);
        let length = Duration::from_millis(order.millis);
        let mut ran =
            Ran { transitions: 0, seconds: 0.0, cpu_seconds: 0.0, commit_micros: Vec::new() };
        while began.elapsed() < length {
            let start = Instant::now();
            ran.transitions += self.commit(order.batch.max(1)).await?;
            ran.commit_micros.push(1e6 * start.elapsed().as_secs_f64());
        }
        ran.seconds = began.elapsed().as_secs_f64();
        ran.cpu_seconds = cpu_time(pid)?.saturating_sub(cpu).as_secs_f64();
        Ok(ran)
    }

    /// One commit: the next step of each job of the batch. Answers how many there were.
    async fn commit(&mut self, jobs: usize) -> Result<u64> {
        let now = now();
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        if self.step == Step::Create {
            self.create(&mut batch, jobs)?;
        } else {
            for (number, mut job) in std::mem::take(&mut self.jobs).into_iter().enumerate() {
                let (command, deed) = self.next(number);
                self.change(&mut batch, &mut job, command, deed)?;
                if !job.status.kind().is_terminal() {
                    self.jobs.push(job);
                }
            }
        }
        let committed = self.store.commit(batch).await?;
        let mut written = committed.creates.iter().chain(&committed.writes);
        ensure!(written.all(|one| *one == Written::Done), "a job was left out");
        self.step = self.step.next();
        Ok((committed.creates.len() + committed.writes.len()) as u64)
    }

    fn create(&mut self, batch: &mut Batch, jobs: usize) -> Result<()> {
        let Life { spec, pending, .. } = Life::at(batch.now, TYPE, self.session)?;
        let mut changes = Changes::default();
        changes.record(None, &pending);
        for _ in 0..jobs {
            let id = JobId(Uuid::now_v7());
            let job = Job { id, spec: Arc::clone(&spec), status: pending.clone() };
            self.jobs.push(job.clone());
            let changes = changes.clone();
            batch.creates.push(NewJob { job, request: None, fire: None, session: None, changes });
        }
        Ok(())
    }

    /// What is done to this job next, and if by a person, whose deed it is.
    fn next(&self, number: usize) -> (Command, Option<Deed>) {
        let (lease_epoch, progress, usage) = (1, None, None);
        match self.step {
            Step::Start if number.is_multiple_of(CANCELLED) => {
                let (requested_by, reason) = ("ann".to_owned(), "a bad deploy".to_owned());
                let deed = Deed::new(&requested_by, AuditAction::CancelJob);
                let grace = Duration::ZERO;
                (
                    Command::Cancel { reason: reason.clone(), requested_by, grace },
                    Some(deed.because(reason)),
                )
            }
            Step::Create | Step::Start => {
                let (session, worker_id) = (self.session, self.worker_id.clone());
                (Command::Start { session, worker_id }, None)
            }
            Step::Succeed if number.is_multiple_of(FAILED) => {
                let message = "the supplier answered 503 three times".to_owned();
                let error = JobError { non_retryable: true, ..JobError::server("HTTP", message) };
                let retry_delay = None;
                (Command::Fail { lease_epoch, error, retry_delay, progress, usage }, None)
            }
            Step::Succeed => {
                (Command::Succeed { lease_epoch, result: None, progress, usage }, None)
            }
        }
    }

    fn change(
        &self,
        batch: &mut Batch,
        job: &mut Job,
        command: Command,
        deed: Option<Deed>,
    ) -> Result<()> {
        let Batch { now, .. } = *batch;
        let transition = match machine::apply(&job.spec, &job.status, command, Now::at(now)) {
            Ok(Applied::Changed(transition)) => transition,
            other => bail!("a command came to {other:?}"),
        };
        let before = std::mem::replace(&mut job.status, transition.status);
        let mut changes = Changes::default();
        changes.record(Some(&before), &job.status);
        if self.telling != Telling::Nothing {
            let cause = Cause::Write(batch.writes.len());
            let wanted = Wanted { successes: self.telling == Telling::Successes };
            if let Some(event) = of_change(Some(&before), job, &transition.effects, wanted) {
                batch.tell(cause, event);
            }
            if let Some(deed) = deed {
                let event = deed.done_to(job, Some(&before), Some(&job.status), now);
                batch.record(cause, event);
            }
        }
        batch.writes.push(JobWrite {
            expected_revision: before.revision,
            expected_epoch: before.lease_epoch,
            quiet_since: None,
            before: Counted::of(&before),
            job: job.clone(),
            superseded: transition.superseded.into_iter().collect(),
            key: KeyChange::None,
            changes,
        });
        Ok(())
    }
}
