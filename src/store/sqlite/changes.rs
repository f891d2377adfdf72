//! The change log: one row for each commit.

use std::collections::{BTreeSet, HashSet};

use futures_util::TryStreamExt as _;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use crate::domain::{BatchId, JobId, Origin, Position, Timestamp};
use crate::store::passed::Passed;
use crate::store::rows::{corrupt, id};
use crate::store::rules::{log_of, logged};
use crate::store::{ChangesSince, RemovedJob, Result};

use super::error::from_sqlx;
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] = &[INSERT, KNOWN, ORIGIN, LAST, OLDEST, SINCE];

const INSERT: &str =
    "INSERT INTO changes (batch_id, time, job_ids, removed, rules) VALUES (?1, ?2, ?3, ?4, ?5)";

const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM changes WHERE batch_id = ?1)";

const ORIGIN: &str = "SELECT store, timeline FROM origin WHERE one = 1";

/// Known too when every row is pruned.
const LAST: &str = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)";

const OLDEST: &str = "SELECT min(sequence) FROM changes";

const SINCE: &str =
    "SELECT job_ids, removed, rules FROM changes WHERE sequence > ?1 ORDER BY sequence";

/// Writes which jobs the batch wrote and removed; the row's place in the log is that of the commit.
pub(super) fn write(script: &mut Script, passed: &Passed<'_>) -> Result<Place> {
    let mut job_ids = Vec::new();
    let written = passed.writes().map(|write| write.job.id);
    for id in passed.creates().map(|new| new.job.id).chain(written) {
        job_ids.extend_from_slice(id.0.as_bytes());
    }
    let removed: Vec<_> = passed.deletes().map(|delete| RemovedJob::of(&delete.job)).collect();
    let removed = serde_json::to_string(&removed).map_err(|error| corrupt(REMOVED, error))?;
    let place = script.add(INSERT);
    script
        .bind(passed.batch.id.0.as_bytes().as_slice())
        .bind(passed.batch.now.as_micros())
        .bind(job_ids)
        .bind(removed)
        .bind(log_of(&passed.batch.rules)?);
    Ok(place)
}

/// Writes that a batch did nothing but take away these jobs.
pub(super) fn write_removed(
    script: &mut Script,
    batch: BatchId,
    now: Timestamp,
    removed: &[RemovedJob],
) -> Result<Place> {
    let removed = serde_json::to_string(removed).map_err(|error| corrupt(REMOVED, error))?;
    let place = script.add(INSERT);
    script.bind(batch.0.as_bytes().as_slice()).bind(now.as_micros());
    script.bind(Vec::<u8>::new()).bind(removed).bind("[]");
    Ok(place)
}

const REMOVED: &str = "changes.removed";

/// Whether a batch was committed.
pub(super) async fn knows(connection: &mut SqliteConnection, id: BatchId) -> Result<bool> {
    sqlx::query_scalar(KNOWN)
        .bind(id.0.as_bytes().as_slice())
        .fetch_one(connection)
        .await
        .map_err(from_sqlx)
}

/// Which change log it is.
pub(super) async fn origin(readers: &SqlitePool) -> Result<Origin> {
    let (store, timeline): (Vec<u8>, i64) =
        sqlx::query_as(ORIGIN).fetch_one(readers).await.map_err(from_sqlx)?;
    Ok(Origin { store: id("origin.store", &store)?, timeline })
}

/// How far the log goes.
pub(super) async fn position(readers: &SqlitePool) -> Result<Position> {
    let last = sqlx::query_scalar(LAST).fetch_one(readers).await.map_err(from_sqlx)?;
    Ok(Position::Sequence(last))
}

/// What was done since `position`, all of it read from one state of the file.
pub(super) async fn since(
    readers: &SqlitePool,
    position: &Position,
    limit: usize,
) -> Result<ChangesSince> {
    let Position::Sequence(after) = *position else { return Ok(ChangesSince::TooOld) };
    let mut reading = readers.begin().await.map_err(from_sqlx)?;
    let last: i64 = sqlx::query_scalar(LAST).fetch_one(&mut *reading).await.map_err(from_sqlx)?;
    if after > last {
        return Ok(ChangesSince::Ahead);
    }
    let oldest: Option<i64> =
        sqlx::query_scalar(OLDEST).fetch_one(&mut *reading).await.map_err(from_sqlx)?;
    if after.saturating_add(1) < oldest.unwrap_or(last.saturating_add(1)) {
        return Ok(ChangesSince::TooOld);
    }
    let (mut ids, mut removed, mut count) = (HashSet::new(), Vec::new(), 0);
    let mut rules = BTreeSet::new();
    let mut rows =
        sqlx::query_as::<_, (Vec<u8>, String, String)>(SINCE).bind(after).fetch(&mut *reading);
    while let Some((job_ids, gone, changed)) = rows.try_next().await.map_err(from_sqlx)? {
        let gone: Vec<RemovedJob> =
            serde_json::from_str(&gone).map_err(|error| corrupt(REMOVED, error))?;
        let changed = logged(&changed)?;
        count += job_ids.len() / 16 + gone.len() + changed.len();
        if count > limit {
            return Ok(ChangesSince::TooMany);
        }
        for bytes in job_ids.chunks_exact(16) {
            ids.insert(JobId(id("changes.job_ids", bytes)?));
        }
        removed.extend(gone);
        rules.extend(changed);
    }
    for gone in &removed {
        ids.remove(&gone.id);
    }
    let position = Position::Sequence(last);
    Ok(ChangesSince::Found {
        ids: ids.into_iter().collect(),
        removed,
        ready: Vec::new(),
        rules: rules.into_iter().collect(),
        position,
    })
}
