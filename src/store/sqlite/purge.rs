//! Taking away what is over: lines by the end of jobs, and one short transaction for a batch.

use sqlx::SqlitePool;

use crate::domain::stats::StatKey;
use crate::domain::{JobId, Position, Timestamp};
use crate::store::figures::Figures;
use crate::store::rows::{id, job_type, queue, state, state_code, terminal};
use crate::store::{
    Ended, EndedLine, EndedPage, EndedPlace, EndedQuery, PurgeBatch, Purged, RemovedJob, Result,
};

use super::error::from_sqlx;
use super::input::{Rows, ids};
use super::writer::Writer;
use super::{changes, figures, jobs, keys};

pub(super) const STATEMENTS: &[&str] =
    &[ENDED, BY_POLICY, OWN_WORD, PICK, DROP_LOGS, FREE_PAGES, VACUUM];

const ENDED: &str = "SELECT id, revision, state, end_time, purge_time FROM job_status \
    INDEXED BY job_status_ended \
    WHERE state >= 2 AND job_type = ?1 AND state = ?2 AND end_time >= ?3 AND end_time < ?4 \
    AND (end_time, id) > (?5, ?6) ORDER BY end_time, id LIMIT ?7 + 0";

/// So many entries of the index, which alone says which of them have a word of their own, and of the others what their
/// rows say; then, without a revision, the last of the entries, if there may be more. However many have a word of their
/// own, a statement passes by no more of them than that.
const BY_POLICY: &str = "WITH walked AS MATERIALIZED (\
    SELECT id, end_time, purge_time FROM job_status INDEXED BY job_status_ended \
    WHERE state >= 2 AND job_type = ?1 AND state = ?2 AND end_time < ?3 \
    AND (end_time, id) > (?4, ?5) ORDER BY end_time, id LIMIT ?6 + 0) \
    SELECT s.id, s.revision, s.state, s.end_time, s.purge_time FROM walked AS w \
    CROSS JOIN job_status AS s ON s.id = w.id WHERE w.purge_time IS NULL \
    UNION ALL SELECT * FROM (SELECT id, NULL, ?2, end_time, NULL FROM walked \
    WHERE (SELECT count(*) FROM walked) >= ?6 ORDER BY end_time DESC, id DESC LIMIT 1)";

const OWN_WORD: &str = "SELECT id, revision, state, end_time, purge_time FROM job_status \
    INDEXED BY job_status_purge \
    WHERE purge_time IS NOT NULL AND purge_time < ?1 AND (purge_time, id) > (?2, ?3) \
    ORDER BY purge_time, id LIMIT ?4 + 0";

/// Those of rows [id, revision] that are still over as they were seen.
const PICK: &str = "SELECT s.id, s.job_type, s.queue, s.state FROM jsonb_each(?1) AS e \
    CROSS JOIN job_status AS s ON s.id = unhex(e.value ->> 0) \
    WHERE s.revision = e.value ->> 1 AND s.state >= 2";

const DROP_LOGS: &str = "DELETE FROM job_logs WHERE position IN (\
    SELECT l.position FROM jsonb_each(?1) AS e \
    CROSS JOIN job_status AS s ON s.id = unhex(e.value ->> 0) \
    CROSS JOIN job_logs AS l ON l.job_id = s.id \
    WHERE s.revision = e.value ->> 1 AND s.state >= 2 LIMIT ?3 + 0)";

const FREE_PAGES: &str = "SELECT freelist_count FROM pragma_freelist_count()";

/// Pages at the end of the file are given back to the system. It is told how many in its text, for a PRAGMA takes
/// no arguments.
const VACUUM: &str = "PRAGMA incremental_vacuum(256)";
/// As many as the statement says.
const VACUUM_PAGES: i64 = 256;

type Row = (Vec<u8>, Option<i64>, i64, i64, Option<i64>);

/// A job, or the place that was come to.
fn ended((job_id, revision, code, end_time, purge_time): Row) -> Result<Result<Ended, EndedPlace>> {
    let (id, end_time) = (JobId(id("job_status.id", &job_id)?), Timestamp::from_micros(end_time));
    let Some(revision) = revision else { return Ok(Err((end_time, id))) };
    let state = terminal("job_status.state", code)?;
    let purge_time = purge_time.map(Timestamp::from_micros);
    Ok(Ok(Ended { id, revision, state, end_time, purge_time }))
}

/// A page of jobs that are over.
pub(super) async fn look(readers: &SqlitePool, query: &EndedQuery) -> Result<EndedPage> {
    let first = (Timestamp::from_micros(i64::MIN), JobId(uuid::Uuid::nil()));
    let (time, after) = query.after.unwrap_or(first);
    let page = match &query.line {
        EndedLine::OfType { job_type, state, from, before } => sqlx::query_as::<_, Row>(ENDED)
            .bind(job_type.to_string())
            .bind(state_code(state.kind()))
            .bind(from.as_micros())
            .bind(before.as_micros())
            .bind(time.as_micros()),
        EndedLine::ByPolicy { job_type, state, before } => sqlx::query_as::<_, Row>(BY_POLICY)
            .bind(job_type.to_string())
            .bind(state_code(state.kind()))
            .bind(before.as_micros())
            .bind(time.as_micros()),
        EndedLine::OwnWord { before } => {
            sqlx::query_as::<_, Row>(OWN_WORD).bind(before.as_micros()).bind(time.as_micros())
        }
    };
    let page = page.bind(after.0.as_bytes().to_vec()).bind(super::limit(query.limit));
    let rows = page.fetch_all(readers).await.map_err(from_sqlx)?;
    let rows = rows.into_iter().map(ended).collect::<Result<Vec<_>>>()?;
    Ok(EndedPage::gathered(rows, query))
}

fn wanted(jobs: &[(JobId, i64)]) -> Rows {
    let mut rows = Rows::default();
    for (id, revision) in jobs {
        rows.row().hex(id.0.as_bytes()).int(*revision);
    }
    rows
}

/// Takes away a batch.
pub(super) async fn run(writer: &mut Writer, batch: &PurgeBatch) -> Result<Purged> {
    let mut script = writer.begin().await?;
    let Some(place) = script.add_rows(PICK, wanted(&batch.jobs)) else {
        return Ok(Purged::default());
    };
    let picked = writer.run(script).await?.rows::<(Vec<u8>, String, String, i64)>(place);
    let removed = match picked.and_then(|rows| rows.iter().map(removed).collect::<Result<Vec<_>>>())
    {
        Ok(removed) if removed.is_empty() => {
            writer.rollback().await;
            return Ok(Purged::default());
        }
        Ok(removed) => removed,
        Err(error) => {
            writer.rollback().await;
            return Err(error);
        }
    };
    let mut script = writer.resume()?;
    let mut sums = Figures::default();
    for (gone, state) in &removed {
        let key = StatKey { job_type: gone.job_type.clone(), queue: gone.queue.clone() };
        sums.gone(key, *state);
    }
    let removed: Vec<RemovedJob> = removed.into_iter().map(|(gone, _)| gone).collect();
    let gone = ids(removed.iter().map(|gone| &gone.id.0));
    jobs::forget(&mut script, &gone);
    keys::forget(&mut script, &gone);
    // Only counters move, so no bucket is looked at.
    figures::write(&mut script, &sums, &mut figures::Tallies::new())?;
    let place = changes::write_removed(&mut script, batch.id, batch.now, &removed)?;
    let answers = writer.commit(script).await?;
    let position = answers.last_insert_rowid(place).map(Position::Sequence);
    Ok(Purged { removed, position })
}

fn removed(
    (job_id, job_type_text, queue_text, code): &(Vec<u8>, String, String, i64),
) -> Result<(RemovedJob, crate::domain::StateKind)> {
    let gone = RemovedJob {
        id: JobId(id("job_status.id", job_id)?),
        job_type: job_type("job_status.job_type", job_type_text)?,
        queue: queue("job_status.queue", queue_text)?,
    };
    Ok((gone, state("job_status.state", *code)?))
}

/// Lets go of at most `limit` rows of the logs of jobs that are over; answers how many went.
pub(super) async fn drop_logs(
    writer: &mut Writer,
    jobs: &[(JobId, i64)],
    limit: usize,
) -> Result<u64> {
    let mut script = writer.begin().await?;
    let Some(place) = script.add_rows(DROP_LOGS, wanted(jobs)) else { return Ok(0) };
    script.bind(super::limit(limit));
    Ok(writer.commit(script).await?.affected(place))
}

/// Gives some pages that nothing stands on back to the system; answers how many. None of a file that was made
/// without the means for it.
pub(super) async fn shrink(writer: &mut Writer) -> Result<u64> {
    let connection = writer.idle().await?;
    let free: i64 =
        sqlx::query_scalar(FREE_PAGES).fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    if free == 0 {
        return Ok(0);
    }
    // Rows of it are steps of its work: all are to be taken.
    sqlx::query(VACUUM).fetch_all(&mut *connection).await.map_err(from_sqlx)?;
    let left: i64 =
        sqlx::query_scalar(FREE_PAGES).fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    Ok(u64::try_from((free - left).clamp(0, VACUUM_PAGES)).unwrap_or(0))
}
