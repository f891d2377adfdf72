//! Writing a batch: in nearly every case by one statement that commits by itself; else in a transaction
//! that first finds out what passes.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use tokio::time::timeout;
use uuid::Uuid;

use crate::domain::limits::DATABASE_COLLISIONS_MAX;
use crate::store::own::Own;
use crate::store::passed::Passed;
use crate::store::{
    Appended, Batch, Committed, Error, Result, SessionWrite, Written, names, quiet,
};

use super::bound::Bound;
use super::error::{from_sqlx, is_collision, is_refusal, late, unheard, unsure};
use super::news::Exchange;
use super::pool::{Link, Pool};
use super::read::wanted;
use super::write::{self, Guards, Names, Outcome};
use super::{LeaseClock, changes, events, keys, leases, rules};
use crate::domain::JobId;

pub(super) const STATEMENTS: &[&str] = &[PASSING, PROGRESS];

/// The places (from 1) of rows whose job is as they say; those jobs stay so until the end.
const PASSING: &str = "SELECT g.place FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], \
    $4::bool[]) WITH ORDINALITY AS g(id, revision, epoch, running, place) \
    JOIN job_status AS s ON s.id = g.id \
    WHERE s.revision = coalesce(g.revision, s.revision) \
    AND s.lease_epoch = coalesce(g.epoch, s.lease_epoch) AND (NOT g.running OR s.state = 1) \
    ORDER BY s.id FOR UPDATE OF s";

/// Of jobs that must not have moved; what is flushed from here on comes after this commit. Their statuses
/// are locked already, in the order in which all others take both.
const PROGRESS: &str = "SELECT id, data || active || used FROM job_progress WHERE id = ANY($1::uuid[]) \
    ORDER BY id FOR UPDATE";

/// Why a try wrote nothing.
pub(super) enum Failed {
    /// It met another one in the middle; the same once more may well pass.
    Collided(Error),
    /// The database's incarnation has no number yet.
    Unnumbered(Error),
    /// Nothing was written, or nobody knows.
    Other(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        if is_collision(&error) { Self::Collided(error) } else { Self::Other(error) }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Collided(error) | Failed::Unnumbered(error) | Failed::Other(error) => error,
        }
    }
}

impl Failed {
    pub(super) fn of(error: sqlx::Error, commits: bool) -> Self {
        if changes::is_unnumbered(&error) {
            Self::Unnumbered(from_sqlx(error))
        } else if write::is_name_taken(&error) {
            Self::Collided(Error::Unavailable(std::sync::Arc::new(error)))
        } else {
            Self::from(if commits { unsure(error) } else { from_sqlx(error) })
        }
    }
}

/// What commits and rounds go by.
pub(super) struct Lanes {
    pub pool: Pool,
    pub clock: LeaseClock,
    /// What they did of late.
    pub own: Own,
    pub news: Arc<Exchange>,
}

impl Lanes {
    /// Writes what passes and answers what became of each.
    pub(super) async fn commit(&self, batch: &Batch) -> Result<Committed> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        let (pool, mut word) = (&self.pool, self.word_of(batch));
        let mut collisions = 0;
        loop {
            let tried = if is_progress_alone(batch) {
                flush(pool, batch).await
            } else if needs_transaction(batch) {
                in_transaction(pool, self.clock, batch, word.as_deref()).await
            } else {
                at_once(pool, self.clock, batch, word.as_deref()).await
            };
            match tried {
                Ok(committed) => {
                    self.own.note(&committed);
                    return Ok(committed);
                }
                Err(Failed::Unnumbered(_)) => changes::enumerate(pool).await?,
                Err(Failed::Collided(_)) if collisions < DATABASE_COLLISIONS_MAX => collisions += 1,
                // The word may be all that was wrong with it; without one, others look by themselves.
                Err(Failed::Other(error)) if word.is_some() && is_refusal(&error) => {
                    self.news.hush();
                    word = None;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
    }

    /// What a batch is to tell others when it commits, if it is to do so.
    pub(super) fn word_of(&self, batch: &Batch) -> Option<String> {
        let Batch { creates, writes, deletes, .. } = batch;
        let is_quiet =
            creates.is_empty() && writes.is_empty() && deletes.is_empty() && !batch.has_rule_news();
        if is_quiet { None } else { self.news.word_of_commit() }
    }
}

fn is_progress_alone(batch: &Batch) -> bool {
    let Batch { creates, writes, deletes, logs, sessions, rules, events, audit, .. } = batch;
    creates.is_empty()
        && writes.is_empty()
        && deletes.is_empty()
        && logs.is_empty()
        && sessions.is_empty()
        && rules.is_empty()
        && events.is_empty()
        && audit.is_empty()
}

/// What a single statement cannot do: jobs that must not have moved are locked before that is looked at, sessions are decided on as they stand, of two that ask for one
/// name in the same batch the first gets it, and a rule that misses takes all else with it.
fn needs_transaction(batch: &Batch) -> bool {
    let mut seen = HashSet::new();
    !batch.sessions.is_empty()
        || batch.writes.iter().any(|write| write.quiet_since.is_some())
        || !batch.rules.is_empty()
        || batch.creates.iter().any(|new| new.session.is_some())
        || names::asked(batch).into_iter().any(|name| !seen.insert(name))
}

/// Progress leaves no entry in the change log, so it has no place there.
async fn flush(pool: &Pool, batch: &Batch) -> Result<Committed, Failed> {
    let mut link = pool.read().await?;
    committing(pool, write::flush(&mut link, &batch.progress)).await?;
    link.done().await?;
    Ok(Committed::default())
}

/// One statement that commits by itself.
async fn at_once(
    pool: &Pool,
    clock: LeaseClock,
    batch: &Batch,
    word: Option<&str>,
) -> Result<Committed, Failed> {
    let mut committed = write::all_of(batch);
    let mut link = pool.read().await?;
    let claims = names::give(batch, &mut committed, std::collections::HashMap::new());
    let passed = Passed { batch, committed: &committed };
    let (guards, names) = (Guards::of(batch), Names::of(&claims));
    let writing = write::write(&mut link, &passed, &guards, &names, word);
    let written = committing(pool, writing).await?;
    match written {
        Ok(Outcome::Written(position, told)) => {
            link.done().await?;
            committed.position = Some(position);
            committed.told = word.is_some();
            events::note(batch, &mut committed, told);
            Ok(committed)
        }
        Ok(Outcome::Missed) => {
            link.done().await?;
            in_transaction(pool, clock, batch, word).await
        }
        Err(error) => {
            let failed = Failed::of(error, true);
            if !matches!(failed, Failed::Other(_)) {
                link.rollback().await;
            }
            Err(failed)
        }
    }
}

async fn in_transaction(
    pool: &Pool,
    clock: LeaseClock,
    batch: &Batch,
    word: Option<&str>,
) -> Result<Committed, Failed> {
    let mut link = pool.begin().await?;
    match settled(pool, write_within(&mut link, clock, batch, word)).await {
        // Nothing but locks to let go.
        Ok(committed) if !committed.missed_rules.is_empty() => {
            link.rollback().await;
            Ok(committed)
        }
        Ok(committed) => {
            link.commit().await?;
            Ok(committed)
        }
        Err(failed) => {
            if !matches!(failed, Failed::Other(Error::Unavailable(_))) {
                link.rollback().await;
            }
            Err(failed)
        }
    }
}

/// Writes what passes, within a transaction.
pub(super) async fn write_within(
    link: &mut Link,
    clock: LeaseClock,
    batch: &Batch,
    word: Option<&str>,
) -> Result<Committed, Failed> {
    let missed = rules::write(link, batch).await?;
    if !missed.is_empty() {
        return Ok(Committed::missed(batch, missed));
    }
    let mut committed = write::all_of(batch);
    let guards = Guards::of(batch);
    let quiet = quiet::asked(batch);
    if quiet.is_empty() && names::asked(batch).is_empty() {
        write_passed(link, batch, &mut committed, &guards, word).await?;
    }
    if committed.position.is_none() {
        if !guards.is_empty() {
            let query = link.query_as_with(PASSING, guards.bind(Bound::default()).all()?);
            let passing = query.fetch_all(&mut **link).await;
            let passing: Vec<(i64,)> = passing.map_err(|error| Failed::of(error, false))?;
            mark(batch, &mut committed, &passing.into_iter().map(|(place,)| place).collect());
        }
        if !quiet.is_empty() {
            mark_moved(link, batch, quiet, &mut committed).await?;
        }
        let missed = batch.rules_missed_by(&committed.writes);
        if !missed.is_empty() {
            return Ok(Committed::missed(batch, missed));
        }
        keys::take(link, batch, &mut committed).await?;
        let no_guards = Guards::default();
        write_passed(link, batch, &mut committed, &no_guards, word).await?;
    }
    let passed = Passed { batch, committed: &committed };
    let born = passed.creates().filter_map(|new| new.session.clone()).map(SessionWrite::Open);
    let mut writes: Vec<SessionWrite> = born.collect();
    let places = writes.len();
    writes.extend(batch.sessions.iter().cloned());
    let now = (clock == LeaseClock::Caller).then_some(batch.now);
    committed.sessions = leases::write(link, &writes, now).await?.split_off(places);
    events::write_on_sessions(link, batch, &mut committed).await?;
    Ok(committed)
}

/// Writes what is marked as passing, its names being taken already; nothing if a guard misses.
async fn write_passed(
    link: &mut Link,
    batch: &Batch,
    committed: &mut Committed,
    guards: &Guards,
    word: Option<&str>,
) -> Result<(), Failed> {
    let passed = Passed { batch, committed };
    match write::write(link, &passed, guards, &Names::default(), word).await? {
        Ok(Outcome::Written(position, told)) => {
            committed.position = Some(position);
            committed.told = word.is_some();
            events::note(batch, committed, told);
            Ok(())
        }
        Ok(Outcome::Missed) => Ok(()),
        Err(error) => Err(Failed::of(error, false)),
    }
}

/// Marks what misses its guard; guards are counted as [`Guards::of`] makes them.
fn mark(batch: &Batch, committed: &mut Committed, passing: &HashSet<i64>) {
    let mut place = 1..;
    let mut passes = || place.next().is_some_and(|place| passing.contains(&place));
    for written in &mut committed.writes {
        if !passes() {
            *written = Written::Missed;
        }
    }
    for gone in &mut committed.deletes {
        // The guard is asked for each place, also of one that is held back already.
        *gone &= passes();
    }
    for appended in &mut committed.logs {
        if !passes() {
            *appended = Appended::Missed;
        }
    }
    debug_assert_eq!(committed.writes.len(), batch.writes.len(), "one outcome for each write");
}

/// Marks writes whose jobs have shown activity that they must not have.
async fn mark_moved(
    link: &mut Link,
    batch: &Batch,
    quiet: Vec<JobId>,
    committed: &mut Committed,
) -> Result<(), Failed> {
    let wanted = wanted(quiet.into_iter().map(|id| id.0));
    let found = link.query_as::<(Uuid, Vec<u8>)>(PROGRESS).bind(wanted).fetch_all(&mut **link);
    let found = found.await.map_err(|error| Failed::of(error, false))?;
    let found = found.into_iter().map(|(id, data)| (id.into_bytes().to_vec(), data)).collect();
    for place in quiet::moved(batch, found)? {
        if let Some(written) = committed.writes.get_mut(place) {
            *written = Written::Missed;
        }
    }
    Ok(())
}

/// Waits for what commits: without an answer nobody knows.
pub(super) async fn committing<T>(
    pool: &Pool,
    work: impl Future<Output = Result<T>>,
) -> Result<T, Failed> {
    let answer = timeout(pool.patience(), work).await;
    answer.unwrap_or_else(|_| Err(unheard())).map_err(Failed::from)
}

/// Waits for what is committed afterwards: without an answer it is not.
pub(super) async fn settled<T>(
    pool: &Pool,
    work: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let answer = timeout(pool.patience() * STEPS, work).await;
    answer.unwrap_or_else(|_| Err(Failed::Other(late())))
}

/// Statements in a transaction, each of which may take its time.
const STEPS: u32 = 3;
