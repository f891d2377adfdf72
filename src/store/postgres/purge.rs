//! Taking away what is over: lines by the end of jobs, and one statement for a batch.

use uuid::Uuid;

use crate::domain::limits::DATABASE_COLLISIONS_MAX;
use crate::domain::retention::Terminal;
use crate::domain::{JobId, Timestamp};
use crate::store::rows::{job_type, queue, state_code, terminal};
use crate::store::{
    Ended, EndedLine, EndedPage, EndedPlace, EndedQuery, PurgeBatch, Purged, RemovedJob, Result,
};

use super::changes::{self, here, transaction};
use super::commit::{Failed, committing};
use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[ENDED, BY_POLICY, OWN_WORD, PURGE, DROP_LOGS];

const ENDED: &str = "SELECT id, revision, state, end_time, purge_time FROM job_status \
    WHERE state >= 2 AND job_type = $1 AND state = $2 AND end_time >= $3 AND end_time < $4 \
    AND (end_time, id) > ($5, $6) ORDER BY end_time, id LIMIT $7";

/// So many entries of the index, which alone says which of them have a word of their own, and of the others what their
/// rows say; then, without a revision, the last of the entries, if there may be more. However many have a word of their
/// own, a statement passes by no more of them than that.
const BY_POLICY: &str = "WITH walked AS MATERIALIZED (\
    SELECT id, end_time, purge_time FROM job_status \
    WHERE state >= 2 AND job_type = $1 AND state = $2 AND end_time < $3 \
    AND (end_time, id) > ($4, $5) ORDER BY end_time, id LIMIT $6) \
    SELECT s.id, s.revision, s.state, s.end_time, s.purge_time FROM walked AS w \
    JOIN job_status AS s ON s.id = w.id WHERE w.purge_time IS NULL \
    UNION ALL (SELECT id, NULL, $2, end_time, NULL FROM walked \
    WHERE (SELECT count(*) FROM walked) >= $6 ORDER BY end_time DESC, id DESC LIMIT 1)";

const OWN_WORD: &str = "SELECT id, revision, state, end_time, purge_time FROM job_status \
    WHERE purge_time IS NOT NULL AND purge_time < $1 AND (purge_time, id) > ($2, $3) \
    ORDER BY purge_time, id LIMIT $4";

/// Everything is taken from what was deleted of the statuses. What another server holds in this moment is passed
/// by; what was opened again meanwhile has another revision when its lock is there.
const PURGE: &str = concat!(
    "WITH picked AS MATERIALIZED (SELECT s.id FROM unnest($1::uuid[], $2::bigint[]) \
    AS w(id, revision) JOIN job_status AS s ON s.id = w.id \
    WHERE s.revision = w.revision AND s.state >= 2 ORDER BY s.id FOR UPDATE OF s SKIP LOCKED), \
    over AS (DELETE FROM job_status WHERE id = ANY(ARRAY(SELECT id FROM picked)) \
    RETURNING id, job_type, queue, state), \
    unlabelled AS (DELETE FROM job_labels AS l USING (SELECT j.id, e.key, e.value \
    FROM jobs AS j, jsonb_each_text(j.labels) AS e \
    WHERE j.id = ANY(ARRAY(SELECT id FROM over))) AS gone \
    WHERE l.key = gone.key AND l.value = gone.value AND l.job_id = gone.id), \
    gone AS (DELETE FROM jobs WHERE id = ANY(ARRAY(SELECT id FROM over))), \
    closed AS (DELETE FROM job_progress WHERE id = ANY(ARRAY(SELECT id FROM over))), \
    untold AS (DELETE FROM job_attempts WHERE job_id = ANY(ARRAY(SELECT id FROM over))), \
    unlogged AS (DELETE FROM job_logs WHERE job_id = ANY(ARRAY(SELECT id FROM over))), \
    released AS (DELETE FROM job_keys WHERE kind > 0 \
    AND job_id = ANY(ARRAY(SELECT id FROM over))), \
    let_go AS (UPDATE job_keys SET job_gone = true WHERE kind = 0 \
    AND job_id = ANY(ARRAY(SELECT id FROM over))), \
    counted AS (INSERT INTO stat_deltas (job_type, queue, state, stored, finished_total) \
    SELECT job_type, queue, state, -count(*), 0 FROM over GROUP BY job_type, queue, state), \
    noted AS (INSERT INTO changes (batch_id, time, job_ids, removed, ready, transaction, next, \
    under_way) SELECT $3, $4, '{}', (SELECT jsonb_agg(jsonb_build_object('id', id, 'type', job_type, \
    'queue', queue)) FROM over), '[]', ",
    transaction!(),
    ", ",
    here!(),
    " WHERE EXISTS (SELECT 1 FROM over) RETURNING transaction) \
    SELECT o.id, o.job_type, o.queue, n.transaction FROM over AS o, noted AS n"
);

/// Only of jobs that are still over as they were seen, and stay so until it is done. What somebody holds in this moment
/// is passed by: he may be about to open it again.
const DROP_LOGS: &str = "WITH picked AS MATERIALIZED (\
    SELECT s.id FROM unnest($1::uuid[], $2::bigint[]) AS w(id, revision) \
    JOIN job_status AS s ON s.id = w.id WHERE s.revision = w.revision AND s.state >= 2 \
    AND EXISTS (SELECT 1 FROM job_logs AS l WHERE l.job_id = s.id) \
    ORDER BY s.id FOR UPDATE OF s SKIP LOCKED) \
    DELETE FROM job_logs WHERE position = ANY(ARRAY(SELECT l.position FROM picked AS p \
    JOIN job_logs AS l ON l.job_id = p.id LIMIT $3))";

type Row = (Uuid, Option<i64>, i16, i64, Option<i64>);

/// A job, or the place that was come to.
fn ended((id, revision, state, end_time, purge_time): Row) -> Result<Result<Ended, EndedPlace>> {
    let (id, end_time) = (JobId(id), Timestamp::from_micros(end_time));
    let Some(revision) = revision else { return Ok(Err((end_time, id))) };
    let state = terminal("job_status.state", state.into())?;
    let purge_time = purge_time.map(Timestamp::from_micros);
    Ok(Ok(Ended { id, revision, state, end_time, purge_time }))
}

fn code(state: Terminal) -> i16 {
    i16::try_from(state_code(state.kind())).unwrap_or(i16::MAX)
}

/// A page of jobs that are over.
pub(super) async fn look(pool: &Pool, query: &EndedQuery) -> Result<EndedPage> {
    let (time, id) = query.after.unwrap_or((Timestamp::from_micros(i64::MIN), JobId(Uuid::nil())));
    let mut link = pool.read().await?;
    let page = match &query.line {
        EndedLine::OfType { job_type, state, from, before } => link
            .query_as::<Row>(ENDED)
            .bind(job_type.to_string())
            .bind(code(*state))
            .bind(from.as_micros())
            .bind(before.as_micros())
            .bind(time.as_micros()),
        EndedLine::ByPolicy { job_type, state, before } => link
            .query_as::<Row>(BY_POLICY)
            .bind(job_type.to_string())
            .bind(code(*state))
            .bind(before.as_micros())
            .bind(time.as_micros()),
        EndedLine::OwnWord { before } => {
            link.query_as::<Row>(OWN_WORD).bind(before.as_micros()).bind(time.as_micros())
        }
    };
    let page = page.bind(id.0).bind(super::limit(query.limit));
    let rows = page.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let rows = rows.into_iter().map(ended).collect::<Result<Vec<_>>>()?;
    Ok(EndedPage::gathered(rows, query))
}

fn columns(jobs: &[(JobId, i64)]) -> (Vec<Uuid>, Vec<i64>) {
    jobs.iter().map(|(id, revision)| (id.0, *revision)).unzip()
}

/// Takes away a batch.
pub(super) async fn run(pool: &Pool, batch: &PurgeBatch) -> Result<Purged> {
    let mut collisions = 0;
    loop {
        match attempt(pool, batch).await {
            Ok(purged) => return Ok(purged),
            Err(Failed::Unnumbered(_)) => changes::enumerate(pool).await?,
            Err(Failed::Collided(_)) if collisions < DATABASE_COLLISIONS_MAX => collisions += 1,
            Err(failed) => return Err(failed.into()),
        }
    }
}

async fn attempt(pool: &Pool, batch: &PurgeBatch) -> Result<Purged, Failed> {
    let (ids, revisions) = columns(&batch.jobs);
    let mut link = pool.read().await?;
    let query = link.query_as::<(Uuid, String, String, i64)>(PURGE).bind(ids).bind(revisions);
    let query = query.bind(batch.id.0).bind(batch.now.as_micros());
    let running = async { Ok(query.fetch_all(&mut *link).await) };
    let rows = match committing(pool, running).await? {
        Ok(rows) => rows,
        Err(error) => {
            let failed = Failed::of(error, true);
            if !matches!(failed, Failed::Other(_)) {
                link.rollback().await;
            }
            return Err(failed);
        }
    };
    link.done().await?;
    let mut purged = Purged::default();
    for (id, job_type_text, queue_text, transaction) in rows {
        purged.position = Some(changes::at(transaction)?);
        purged.removed.push(RemovedJob {
            id: JobId(id),
            job_type: job_type("job_status.job_type", &job_type_text)?,
            queue: queue("job_status.queue", &queue_text)?,
        });
    }
    Ok(purged)
}

/// Lets go of at most `limit` rows of the logs of jobs that are over; answers how many went.
pub(super) async fn drop_logs(pool: &Pool, jobs: &[(JobId, i64)], limit: usize) -> Result<u64> {
    let (ids, revisions) = columns(jobs);
    let mut link = pool.read().await?;
    let query = link.query(DROP_LOGS).bind(ids).bind(revisions).bind(super::limit(limit));
    let done = query.execute(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(done.rows_affected())
}
