//! One run of a bulk command: step by step, at its pace, until there is nothing left, it is told to stop, or it is
//! somebody else's.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::auth::Caller;
use crate::domain::bulk::{BulkAction, BulkNext, BulkOutcome, Pace, Planned};
use crate::domain::limits::BULK_REPORT_EVERY;
use crate::domain::{Job, JobError, JobFilter, JobId, LogEntry, Progress, Timestamp};
use crate::engine::Engine;
use crate::engine::error::{Error, Result};
use crate::engine::pipeline::{RuleChange, RulesChanged, Seen, Work};
use crate::engine::readable::ReadablePage;
use crate::engine::session::Outcome;
use crate::engine::unary::JobReport;
use crate::runtime::Clock;
use crate::store::{ListQuery, RuleWrite};

use super::again::Again;
use super::draft::{CANNOT_BE_READ, Draft};
use super::{Asked, Row, key};

/// What comes of a step.
pub(super) enum Step {
    /// Go on after this long.
    On(Duration),
    /// It is over, in this way.
    Over(Box<Outcome>),
    /// It is not ours any more.
    Lost,
}

/// A run.
pub(super) struct Run<'a> {
    pub(super) engine: &'a Engine,
    caller: Caller,
    job_id: JobId,
    lease_epoch: i64,
    /// When the command was given.
    pub(super) given: Timestamp,
    revision: i64,
    pub(super) row: Row,
    /// Those of the last step that are to be looked at anew, before anything else.
    pub(super) again: Again,
    pace: Pace,
    /// When the lease was last renewed, and with it the progress told.
    reported: Option<Instant>,
    /// Lines for the log of the job that runs it.
    lines: Vec<LogEntry>,
    /// A step of which nobody knows whether it was written, with its lines.
    unsure: Option<(Row, Vec<LogEntry>)>,
}

impl Engine {
    /// Runs a bulk command to its end, or as far as this server comes.
    pub(super) async fn run_bulk_job(&self, job: Job) {
        let (job_id, lease_epoch) = (job.id, job.status.lease_epoch);
        let caller = Caller::server();
        let (mut lines, mut unsure) = (Vec::new(), None);
        loop {
            let row = match self.bulk_row(job_id).await {
                Ok(Some((revision, row))) => (revision, row),
                Ok(None) => {
                    let outcome = failed("NOTHING_TO_DO", NOTHING_TO_DO.to_owned(), None);
                    self.end_bulk(job_id, lease_epoch, outcome).await;
                    return;
                }
                Err(error) => {
                    if self.give_up((job_id, lease_epoch), &error).await {
                        return;
                    }
                    continue;
                }
            };
            // What was not known to be written is, if the row says so.
            if let Some((next, of_it)) = unsure.take()
                && next == row.1
            {
                lines.extend(of_it);
            }
            let mut run = Run {
                engine: self,
                caller: caller.clone(),
                job_id,
                lease_epoch,
                given: job.status.create_time,
                revision: row.0,
                again: Again::of(&row.1),
                row: row.1,
                pace: Pace::starting(self.clock.now()),
                reported: None,
                lines: std::mem::take(&mut lines),
                unsure: None,
            };
            match run.go().await {
                Ok(Some(outcome)) => {
                    let succeeded = matches!(outcome, Outcome::Succeeded { .. });
                    tracing::info!(
                        job.id = %job_id, succeeded, "bulk {}", run.row.state.summary(run.row.spec.action)
                    );
                    let revision = run.revision;
                    if self.end_bulk(job_id, lease_epoch, outcome).await && succeeded {
                        self.forget_bulk(job_id, revision).await;
                    }
                    return;
                }
                Ok(None) => return,
                Err(error) => {
                    if self.give_up((job_id, lease_epoch), &error).await {
                        return;
                    }
                    (lines, unsure) = (run.lines, run.unsure);
                }
            }
        }
    }

    /// Waits a moment after an error; `true` if this server goes no further. What cannot be read will not be later,
    /// either: the job ends.
    async fn give_up(&self, (job_id, lease_epoch): (JobId, i64), error: &Error) -> bool {
        if !error.is_corrupt() {
            return self.paused_for(error).await;
        }
        tracing::error!(
            error = error as &dyn std::error::Error,
            job.id = %job_id,
            "a bulk command cannot be read"
        );
        let outcome = failed("UNREADABLE", UNREADABLE.to_owned(), None);
        self.end_bulk(job_id, lease_epoch, outcome).await;
        true
    }

    /// Ends the job; `false` if somebody else did, or will when its lease is over.
    async fn end_bulk(&self, job_id: JobId, lease_epoch: i64, outcome: Outcome) -> bool {
        loop {
            match self.finish(&Caller::server(), job_id, lease_epoch, outcome.clone()).await {
                Ok(_) => return true,
                Err(error) if error.is_passing() => {
                    if self.paused_for(&error).await {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    /// What is done needs no row; if it stays, it goes with its job.
    async fn forget_bulk(&self, job_id: JobId, revision: i64) {
        let writes = vec![RuleWrite::delete(key(job_id), revision)];
        let change = Box::new(RuleChange { writes, ..RuleChange::default() });
        let _ = self.pipeline.ask(|reply| Work::Rules { change, reply }).await;
    }
}

const NOTHING_TO_DO: &str = "the command was done before: there is nothing left of it to run";
const UNREADABLE: &str =
    "what the command goes by cannot be read: the log of the server has the cause";
const STOPPING: &str = "the server stops: another one goes on";

impl Run<'_> {
    /// Goes on until it is over; none if it is somebody else's now.
    async fn go(&mut self) -> Result<Option<Outcome>> {
        loop {
            let rest = match self.step().await? {
                Step::On(rest) => rest,
                // What was not told yet is told while the lease is there.
                Step::Over(_) if !self.lines.is_empty() => {
                    if let Some(Step::Lost) = self.report().await? {
                        return Ok(None);
                    }
                    continue;
                }
                Step::Over(outcome) => return Ok(Some(*outcome)),
                Step::Lost => return Ok(None),
            };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.engine.shutdown.signalled() => {}
            }
        }
    }

    async fn step(&mut self) -> Result<Step> {
        if self.engine.shutdown.is_signalled() {
            let reason = STOPPING.to_owned();
            let outcome = Outcome::Released { delay: Duration::ZERO, reason };
            return Ok(Step::Over(Box::new(outcome)));
        }
        let is_due = |at: Instant| Clock::monotonic().duration_since(at) >= BULK_REPORT_EVERY;
        if self.reported.is_none_or(is_due)
            && let Some(end) = self.report().await?
        {
            return Ok(end);
        }
        if !self.again.is_empty() {
            return self.take_again().await;
        }
        let Row { spec, state, .. } = &self.row;
        let now = self.engine.clock.now();
        match self.pace.next(spec, state, now) {
            // All of them heard it: whoever goes on is not to ask them anew after a long rest.
            BulkNext::Wait(until)
                if until.since(now) >= BULK_REPORT_EVERY && !self.row.asked.is_empty() =>
            {
                self.write(Draft::of(self)).await
            }
            BulkNext::Wait(until) => Ok(Step::On(until.since(now).min(BULK_REPORT_EVERY))),
            BulkNext::Take(limit) => self.take(limit).await,
            BulkNext::Full => {
                let one_more = self.page(1).await?;
                let outcome = if one_more.found.is_empty() { self.done() } else { self.too_many() };
                Ok(Step::Over(Box::new(outcome)))
            }
        }
    }

    /// Renews the lease, tells how far it is, and hears whether it is to stop.
    async fn report(&mut self) -> Result<Option<Step>> {
        let report = JobReport {
            job_id: self.job_id,
            lease_epoch: self.lease_epoch,
            seq: 0,
            progress: Some(self.row.state.progress(self.row.spec.action)),
            logs: self.lines.clone(),
            usage: None,
            used: BTreeMap::new(),
            lease_ttl: None,
        };
        match self.engine.report(&self.caller, report).await {
            Ok(reported) => {
                self.reported = Some(Clock::monotonic());
                self.lines.clear();
                Ok(reported.cancel_request.map(|_| Step::Over(Box::new(Outcome::Cancelled))))
            }
            Err(Error::Refused { .. } | Error::JobNotFound(_)) => Ok(Some(Step::Lost)),
            Err(error) => Err(error),
        }
    }

    /// Jobs that match and come next.
    async fn page(&self, limit: usize) -> Result<ReadablePage> {
        let Row { spec, state, .. } = &self.row;
        let filter = JobFilter::clone(&spec.filter);
        let query = ListQuery { filter, before: state.cursor, limit, full: false };
        self.engine.list_readable(&self.engine.loop_db, query).await
    }

    /// Takes the next jobs: what is done to them and how far that is, in one commit.
    async fn take(&mut self, limit: usize) -> Result<Step> {
        let ReadablePage { found: page, last } = self.page(limit).await?;
        if last.is_none() {
            return Ok(Step::Over(Box::new(self.done())));
        }
        let mut draft = Draft::of(self);
        let count = page.jobs.len() + page.unread.len();
        for job in page.jobs {
            let outcome = self.consider(&job, &mut draft).await?;
            draft.next.state.record(job.id, outcome);
        }
        for (job_id, _) in page.unread {
            let outcome = draft.refuse(job_id, CANNOT_BE_READ.to_owned());
            draft.next.state.record(job_id, outcome);
        }
        draft.next.state.cursor = last;
        let step = self.write(draft).await?;
        self.pace.took(count);
        Ok(step)
    }

    /// What becomes of a job; what is asked of it goes into the draft.
    pub(super) async fn consider(&mut self, job: &Job, draft: &mut Draft) -> Result<BulkOutcome> {
        let outcome = self.plan(job, draft.now, &mut draft.keys).await?;
        if let BulkOutcome::Refused(message) = outcome {
            return Ok(draft.refuse(job.id, message));
        }
        if outcome == BulkOutcome::Changed {
            let (spec, seen) = (&self.row.spec, Seen::of(job));
            match spec.action.command(&spec.reason, &spec.requested_by) {
                Some(command) => draft.change.commands.push((seen, command)),
                None => draft.change.deletes.push(seen),
            }
            draft.next.asked.push(Asked { seen, over: job.status.kind().is_terminal() });
        }
        Ok(outcome)
    }

    /// Writes a draft: what it asks and how far that is, in one commit.
    pub(super) async fn write(&mut self, draft: Draft) -> Result<Step> {
        let Draft { next, mut change, lines, .. } = draft;
        change.writes = vec![RuleWrite::put(key(self.job_id), self.revision, &next)?];
        let change = Box::new(change);
        let answer = self.engine.pipeline.ask(|reply| Work::Rules { change, reply }).await;
        if matches!(answer, Err(Error::OutcomeUnknown)) {
            self.unsure = Some((next, lines));
            return Err(Error::OutcomeUnknown);
        }
        match answer? {
            RulesChanged::Done { missed, .. } => {
                self.revision += 1;
                self.row = next;
                self.lines.extend(lines);
                self.again = Again::missed(&self.row, &missed);
                Ok(Step::On(Duration::ZERO))
            }
            // It was written after all, or somebody else goes on: the row and the lease tell.
            RulesChanged::Missed => {
                self.reported = None;
                match self.engine.bulk_row(self.job_id).await? {
                    Some((revision, row)) => {
                        if row == next {
                            self.lines.extend(lines);
                        }
                        self.again = Again::of(&row);
                        (self.revision, self.row) = (revision, row);
                        Ok(Step::On(Duration::ZERO))
                    }
                    None => Ok(Step::Lost),
                }
            }
        }
    }

    /// What becomes of a job. A key that another one holds is known before, for a commit leaves such a job out.
    async fn plan(
        &self,
        job: &Job,
        now: Timestamp,
        keys: &mut HashSet<(String, String)>,
    ) -> Result<BulkOutcome> {
        let spec = &self.row.spec;
        if !spec.means(job) {
            return Ok(BulkOutcome::Nothing);
        }
        let unique = &job.spec.unique_key;
        if spec.action == BulkAction::Retry && job.status.kind().is_terminal() && !unique.is_empty()
        {
            let (of, name) = (job.spec.job_type.clone(), unique.clone());
            let holder =
                self.engine.loop_db.read(|s| async move { s.unique_holder(&of, &name).await });
            if let Some(holder) = holder.await? {
                let why = format!("job {holder} holds its unique key");
                return Ok(BulkOutcome::Refused(why));
            }
            if !keys.insert((job.spec.job_type.to_string(), unique.clone())) {
                return Ok(BulkOutcome::Refused("a newer job got its unique key".to_owned()));
            }
        }
        Ok(match spec.action.plan(job, now) {
            Planned::Changes => BulkOutcome::Changed,
            Planned::Nothing => BulkOutcome::Nothing,
            Planned::Refused(refusal) => BulkOutcome::Refused(refusal.to_string()),
            Planned::NotOver => BulkOutcome::Refused("it is not over".to_owned()),
        })
    }

    fn done(&self) -> Outcome {
        let progress = Some(self.row.state.progress(self.row.spec.action));
        Outcome::Succeeded { result: None, progress }
    }

    fn too_many(&self) -> Outcome {
        let Row { spec, state, .. } = &self.row;
        let message = format!("{} jobs were expected, and more match", spec.expected_max);
        failed("MORE_THAN_EXPECTED", message, Some(state.progress(spec.action)))
    }
}

/// An end that trying again does not change.
fn failed(code: &str, message: String, progress: Option<Progress>) -> Outcome {
    let error = JobError { non_retryable: true, ..JobError::server(code, message) };
    Outcome::Failed { error, retry_delay: None, progress }
}
