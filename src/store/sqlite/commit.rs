//! Writing a batch within an open transaction: guards first, then keys, then what passed.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use crate::store::figures::Figures;
use crate::store::{Appended, Batch, Committed, Result, SessionWrite, Written};

use super::error::from_sqlx;
use super::input::Rows;
use super::{changes, figures, jobs, keys, logs, sessions};

pub(super) const STATEMENTS: &[&str] = &[MISSES];

/// The places of rows [id, revision, epoch, whether it must run] whose job is not as they say.
const MISSES: &str = "SELECT e.key FROM jsonb_each(?1) AS e \
    LEFT JOIN job_status AS s ON s.id = unhex(e.value ->> 0) \
    WHERE s.id IS NULL \
    OR s.revision <> coalesce(e.value ->> 1, s.revision) \
    OR s.lease_epoch <> coalesce(e.value ->> 2, s.lease_epoch) \
    OR (e.value ->> 3 AND s.state <> 1)";

/// Writes what passes and answers what became of each.
pub(super) async fn write(connection: &mut SqliteConnection, batch: &Batch) -> Result<Committed> {
    let missed = misses(connection, batch).await?;
    let mut place = 0..;
    let mut guarded = || place.next().is_none_or(|place| !missed.contains(&place));
    let mut committed = Committed {
        creates: vec![Written::Done; batch.creates.len()],
        writes: batch
            .writes
            .iter()
            .map(|_| if guarded() { Written::Done } else { Written::Missed })
            .collect(),
        deletes: batch.deletes.iter().map(|_| guarded()).collect(),
        logs: batch
            .logs
            .iter()
            .map(|_| if guarded() { Appended::Done } else { Appended::Missed })
            .collect(),
        sessions: Vec::new(),
        position: None,
    };
    keys::take(connection, batch, &mut committed).await?;

    let passed = Passed { batch, committed: &committed };
    jobs::create(connection, &passed).await?;
    jobs::write_statuses(connection, &passed).await?;
    jobs::supersede(connection, &passed).await?;
    jobs::write_progress(connection, &passed).await?;
    logs::append(connection, &passed).await?;
    jobs::delete(connection, &passed).await?;
    keys::release(connection, &passed).await?;
    figures::write(connection, &passed.figures()).await?;
    let position = changes::write(connection, &passed).await?;
    let born = passed.creates().filter_map(|new| new.session.clone()).map(SessionWrite::Open);
    let mut writes: Vec<SessionWrite> = born.collect();
    let places = writes.len();
    writes.extend(batch.sessions.iter().cloned());
    committed.position = Some(position);
    committed.sessions = sessions::write(connection, &writes, batch.now).await?.split_off(places);
    Ok(committed)
}

/// A batch without what did not pass.
pub(super) struct Passed<'a> {
    pub batch: &'a Batch,
    committed: &'a Committed,
}

impl<'a> Passed<'a> {
    pub(super) fn creates(&self) -> impl Iterator<Item = &'a crate::store::NewJob> {
        done(&self.batch.creates, &self.committed.creates, |written| *written == Written::Done)
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = &'a crate::store::JobWrite> {
        done(&self.batch.writes, &self.committed.writes, |written| *written == Written::Done)
    }

    pub(super) fn deletes(&self) -> impl Iterator<Item = &'a crate::store::JobDelete> {
        done(&self.batch.deletes, &self.committed.deletes, |gone| *gone)
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = &'a crate::domain::LogBatch> {
        done(&self.batch.logs, &self.committed.logs, |kept| *kept == Appended::Done)
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        self.creates().for_each(|new| figures.create(new));
        self.writes().for_each(|write| figures.write(write));
        self.deletes().for_each(|delete| figures.delete(delete));
        figures
    }
}

fn done<'a, T, O>(
    items: &'a [T],
    outcomes: &'a [O],
    passes: impl Fn(&O) -> bool,
) -> impl Iterator<Item = &'a T> {
    items.iter().zip(outcomes).filter(move |(_, outcome)| passes(outcome)).map(|(item, _)| item)
}

/// The places of writes, deletes and log batches, counted in this order, whose guard missed.
async fn misses(connection: &mut SqliteConnection, batch: &Batch) -> Result<HashSet<i64>> {
    let mut rows = Rows::default();
    for write in &batch.writes {
        let row = rows.row().hex(write.job.id.0.as_bytes());
        row.int(write.expected_revision).int(write.expected_epoch).int(0);
    }
    for delete in &batch.deletes {
        let row = rows.row().hex(delete.job.id.0.as_bytes());
        row.int(delete.expected_revision).maybe_int(None).int(0);
    }
    for log in &batch.logs {
        let row = rows.row().hex(log.job_id.0.as_bytes());
        row.maybe_int(None).int(log.lease_epoch).int(1);
    }
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let (json, _) = rows.into_parts();
    let missed =
        sqlx::query_scalar(MISSES).bind(json).fetch_all(connection).await.map_err(from_sqlx)?;
    Ok(missed.into_iter().collect())
}
