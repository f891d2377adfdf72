//! The walk of a purge: along the lines of what is over, the oldest first, in small batches with a rest after
//! each, so that commits go on between them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::limits::{LOOP_ROWS_MAX, PURGE_BATCH_JOBS, PURGE_REST_MAX, PURGE_REST_SHARE};
use crate::domain::retention::{Purge, PurgeRun, RetentionPolicy, Terminal};
use crate::domain::{BatchId, JobId, JobType, Timestamp};
use crate::engine::Engine;
use crate::engine::error::{Error, Result};
use crate::runtime::{Clock, Shutdown};
use crate::store::{self, EndedLine, EndedQuery, PurgeBatch, Purged, Store};

use super::Seen;
use super::archive::Archive;
use super::left::Left;

/// What a purge goes by.
pub(super) enum By {
    /// What is kept for how long.
    Policy(RetentionPolicy),
    /// What somebody asked for.
    Hand(Purge),
}

/// What is done with what is found.
pub(super) enum Deed {
    /// It is counted.
    Count,
    /// It is written to the archive, if there is one, and taken away.
    Take(Option<Archive>),
}

/// Asked before each statement whether to go on.
pub(super) trait Leave: Send {
    /// Whether to go on.
    fn leave(&mut self) -> impl Future<Output = Result<bool>> + Send;
}

/// Goes on until the server stops.
pub(super) struct OnShutdown(pub(super) Shutdown);

impl Leave for OnShutdown {
    async fn leave(&mut self) -> Result<bool> {
        Ok(!self.0.is_signalled())
    }
}

/// See the module.
pub(super) struct Walk<'a> {
    engine: &'a Engine,
    by: By,
    deed: Deed,
    now: Timestamp,
    /// What it has done so far.
    pub(super) run: PurgeRun,
    left: Left,
}

/// What a page of a line is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Jobs,
    Logs,
}

impl<'a> Walk<'a> {
    pub(super) fn new(engine: &'a Engine, by: By, deed: Deed, now: Timestamp) -> Self {
        Self { engine, by, deed, now, run: PurgeRun::default(), left: Left::default() }
    }

    /// What it has done, and the first failure of those that it left.
    pub(super) fn fared(self) -> (PurgeRun, Option<Error>) {
        (PurgeRun { left: self.left.jobs, ..self.run }, self.left.first)
    }

    /// How many jobs it has left so far.
    pub(super) const fn left(&self) -> u64 {
        self.left.jobs
    }

    /// Types with jobs that are over, and the states these are in.
    async fn standing(&self) -> Result<BTreeSet<(JobType, Terminal)>> {
        let counts = self.engine.loop_db.read(|store| async move { store.counts().await }).await?;
        let stored = counts.into_iter().filter(|count| count.stored > 0);
        Ok(stored
            .filter_map(|count| Some((count.key.job_type, Terminal::of(count.state)?)))
            .collect())
    }

    /// Walks along all jobs that may go; `false` if it was left before its end.
    pub(super) async fn jobs(&mut self, leave: &mut impl Leave) -> Result<bool> {
        let standing = self.standing().await?;
        let of_type = |job_type: JobType, state, before| {
            let from = Timestamp::from_micros(i64::MIN);
            EndedLine::OfType { job_type, state, from, before }
        };
        // Those with a word of their own stand in a line of their own.
        let by_policy =
            |job_type: JobType, state, before| EndedLine::ByPolicy { job_type, state, before };
        let mut lines: Vec<EndedLine> = Vec::new();
        match &self.by {
            By::Policy(policy) => {
                let types: Vec<JobType> =
                    standing.iter().map(|(job_type, _)| job_type.clone()).collect();
                for cutoff in policy.cutoffs(&types, self.now) {
                    let Some(job_type) = cutoff.job_type else { continue };
                    if standing.contains(&(job_type.clone(), cutoff.state)) {
                        lines.push(by_policy(job_type, cutoff.state, cutoff.end_before));
                    }
                }
                // What is due now is due, that moment included.
                let before = self.now.plus(Duration::from_micros(1));
                lines.push(EndedLine::OwnWord { before });
            }
            By::Hand(purge) => {
                let cutoff = purge.cutoff_time(self.now);
                let meant = standing.into_iter().filter(|(_, state)| purge.states.contains(state));
                lines.extend(meant.map(|(job_type, state)| of_type(job_type, state, cutoff)));
            }
        }
        for line in lines {
            if !self.line(line, What::Jobs, leave).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Walks along jobs that ended from `from` on and before `before`, and takes their logs away; `false` if it was
    /// left before its end.
    pub(super) async fn logs(
        &mut self,
        (from, before): (Timestamp, Timestamp),
        leave: &mut impl Leave,
    ) -> Result<bool> {
        for (job_type, state) in self.standing().await? {
            let line = EndedLine::OfType { job_type, state, from, before };
            if !self.line(line, What::Logs, leave).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn line(&mut self, line: EndedLine, what: What, leave: &mut impl Leave) -> Result<bool> {
        let mut after = None;
        loop {
            let query = EndedQuery { line: line.clone(), after, limit: LOOP_ROWS_MAX };
            let read = self.engine.loop_db.read(|store| async move { store.ended(&query).await });
            let page = read.await?;
            // A page may well have nothing that is due: a run that only reads must keep its hold, too.
            if !leave.leave().await? {
                return Ok(false);
            }
            let due: Seen = page.jobs.iter().map(|it| (it.id, it.revision)).collect();
            for some in due.chunks(PURGE_BATCH_JOBS) {
                let taken = match what {
                    What::Jobs => self.take(some.to_vec(), leave).await?,
                    What::Logs => self.in_parts(some, what, leave).await?,
                };
                if !taken {
                    return Ok(false);
                }
            }
            if page.next.is_none() {
                return Ok(true);
            }
            after = page.next;
        }
    }

    /// Takes these away; `false` if it was left before its end.
    async fn take(&mut self, mut some: Seen, leave: &mut impl Leave) -> Result<bool> {
        match &mut self.deed {
            Deed::Count => {
                self.run.jobs += some.len() as u64;
                return leave.leave().await;
            }
            Deed::Take(None) => {}
            Deed::Take(Some(archive)) => {
                let kept = archive.write(self.engine, some, leave, &mut self.left).await?;
                let Some(kept) = kept else { return Ok(false) };
                some = kept;
            }
        }
        self.in_parts(&some, What::Jobs, leave).await
    }

    /// Takes these or their logs away, all at once if the store can do that in time, else in smaller and smaller
    /// batches, and leaves those that it cannot take away alone; `false` if it was left before its end.
    async fn in_parts(
        &mut self,
        some: &[(JobId, i64)],
        what: What,
        leave: &mut impl Leave,
    ) -> Result<bool> {
        let (mut rest, mut size) = (some, some.len());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            // Logs first, in slices: with them a statement for the jobs would have no bound.
            let Some(mut gone) = self.take_logs(now, leave).await? else { return Ok(false) };
            if what == What::Jobs && gone.is_ok() {
                if !leave.leave().await? {
                    return Ok(false);
                }
                gone = self.take_batch(now.to_vec()).await;
            }
            match (gone, now) {
                (Ok(()), _) => {
                    self.left.went_on();
                    rest = later;
                }
                (Err(error @ Error::OutcomeUnknown), _) => return Err(error),
                (Err(error), [(id, _)]) => {
                    self.left.leave(*id, error)?;
                    rest = later;
                }
                (Err(error), _) => {
                    size = now.len() / 2;
                    tracing::warn!(
                        task.name = super::LOOP,
                        error = &error as &dyn std::error::Error,
                        "{} jobs cannot be taken away at once, {size} are tried",
                        now.len()
                    );
                }
            }
        }
        Ok(true)
    }

    async fn take_batch(&mut self, jobs: Seen) -> Result<()> {
        let archived = matches!(self.deed, Deed::Take(Some(_)));
        let began = Clock::monotonic();
        let batch = PurgeBatch { id: BatchId(Uuid::now_v7()), now: self.engine.clock.now(), jobs };
        let asked = batch.jobs.len() as u64;
        let purge = self.engine.loop_db.to_the_end(|store| purge(store, batch));
        let gone = match purge.await? {
            Fate::Unknown => {
                self.run.in_doubt += asked;
                // Whoever watches finds out by the change log.
                self.engine.tell_gone(&[]);
                return Err(Error::OutcomeUnknown);
            }
            Fate::Told(purged) => {
                self.engine.tell_purged(&purged);
                purged.removed.len() as u64
            }
            Fate::FoundOut(gone) => {
                self.engine.tell_gone(&gone);
                gone.len() as u64
            }
        };
        self.run.jobs += gone;
        self.run.archived += if archived { gone } else { 0 };
        self.run.batches += 1;
        rest(Clock::monotonic().duration_since(began)).await;
        Ok(())
    }

    /// Takes the logs of these away, slice by slice, or says why the store does not; nothing if it was left before
    /// its end.
    async fn take_logs(
        &mut self,
        some: &[(JobId, i64)],
        leave: &mut impl Leave,
    ) -> Result<Option<Result<()>>> {
        let mut size = LOOP_ROWS_MAX;
        loop {
            if !leave.leave().await? {
                return Ok(None);
            }
            let began = Clock::monotonic();
            let jobs = some.to_vec();
            let drop = self
                .engine
                .loop_db
                .to_the_end(move |store| async move { store.drop_logs(&jobs, size).await });
            match drop.await {
                Ok(gone) => {
                    self.run.logs += gone;
                    self.run.batches += u64::from(gone > 0);
                    rest(Clock::monotonic().duration_since(began)).await;
                    if gone < size as u64 {
                        return Ok(Some(Ok(())));
                    }
                }
                Err(_) if size > 1 => size /= 2,
                Err(error) => return Ok(Some(Err(error))),
            }
        }
    }
}

/// What became of a batch.
enum Fate {
    /// The store told.
    Told(Purged),
    /// Its answer was lost, but it had been done: these jobs are not there any more.
    FoundOut(Vec<JobId>),
    /// Nobody knows.
    Unknown,
}

/// Takes a batch away; an error means that nothing of it went, nor will.
async fn purge(store: Arc<dyn Store>, batch: PurgeBatch) -> store::Result<Fate> {
    let id = batch.id;
    let mut ids: Vec<JobId> = batch.jobs.iter().map(|(id, _)| *id).collect();
    let error = match store.purge(batch).await {
        Ok(purged) => return Ok(Fate::Told(purged)),
        Err(error) => error,
    };
    match store.has_batch(id).await {
        Ok(true) => {}
        Ok(false) => return Err(error),
        Err(_) => return Ok(Fate::Unknown),
    }
    let Ok(left) = store.load(&ids).await else { return Ok(Fate::Unknown) };
    ids.retain(|id| left.iter().all(|job| job.id != *id));
    Ok(Fate::FoundOut(ids))
}

/// Lets others write: for some times what a batch took, but not so long that a purge would not get on.
async fn rest(took: Duration) {
    tokio::time::sleep((took * PURGE_REST_SHARE).min(PURGE_REST_MAX)).await;
}
