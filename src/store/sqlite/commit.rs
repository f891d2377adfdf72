//! Writing a batch within an open transaction: guards first, then keys, then what passed.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use crate::store::passed::Passed;
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
