//! Reads of single jobs, of what is due, and of the line's length.

use uuid::Uuid;

use crate::domain::admission;
use crate::domain::job::Job;
use crate::domain::limits::{LINE_LOOKED_AT_MAX, OLDEST_LOOK_MAX};
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};
use crate::store::Result;
use crate::store::rows::{self, JobRow, decode, state_code};

use super::error::from_sqlx;
use super::pool::{Link, Pool};

pub(super) const STATEMENTS: &[&str] =
    &[LOAD, HELD, ATTEMPTS, DUE, NEXT_DEADLINE, OLDEST_PENDING, NEWEST, RECENT];

/// Progress by a look for each job, never by a join: the table is empty at one moment and large at the
/// next, and a plan made while it was empty would walk it whole.
const LOAD: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, \
    (SELECT p.data || p.active || p.used FROM job_progress AS p WHERE p.id = j.id) \
    FROM jobs AS j JOIN job_status AS s ON s.id = j.id WHERE j.id = ANY($1::uuid[])";

const HELD: &str = "SELECT j.id, j.spec, NULL::bytea, s.status, NULL::bytea, \
    (SELECT p.data || p.active || p.used FROM job_progress AS p WHERE p.id = j.id) \
    FROM job_status AS s JOIN jobs AS j ON j.id = s.id \
    WHERE s.state = 1 AND s.session_id = ANY($1::uuid[])";

const ATTEMPTS: &str =
    "SELECT attempt FROM job_attempts WHERE job_id = $1 ORDER BY lease_epoch, position";

const DUE: &str = "SELECT id FROM job_status WHERE deadline IS NOT NULL AND deadline <= $1 \
    ORDER BY deadline LIMIT $2";

const NEXT_DEADLINE: &str = "SELECT min(deadline) FROM job_status WHERE deadline IS NOT NULL";

/// Leaps from line to line in the ready index, and looks at the front of each: claim order is that of the
/// time but for priorities, so the longest waiting one is found there, unless so many that came later go
/// before it.
const OLDEST_PENDING: &str = "WITH RECURSIVE lines AS (\
    (SELECT queue, job_type FROM job_status WHERE state = 0 ORDER BY queue, job_type LIMIT 1) \
    UNION ALL SELECT n.queue, n.job_type FROM lines AS l CROSS JOIN LATERAL (\
    SELECT queue, job_type FROM job_status \
    WHERE state = 0 AND (queue, job_type) > (l.queue, l.job_type) \
    ORDER BY queue, job_type LIMIT 1) AS n) \
    SELECT l.queue, l.job_type, f.oldest FROM lines AS l CROSS JOIN LATERAL (\
    SELECT min(schedule_time) AS oldest FROM (SELECT schedule_time FROM job_status \
    WHERE state = 0 AND queue = l.queue AND job_type = l.job_type AND ready_key <= $2 \
    AND schedule_time <= $1 ORDER BY ready_key, id LIMIT $3) AS front) AS f \
    WHERE f.oldest IS NOT NULL";

/// The running ones, the last in line of each queue, those that ended last in each way; and of these the newest.
/// One statement: none is between two reads.
const NEWEST: &str = "SELECT j.id, j.spec, NULL::bytea, s.status, NULL::bytea, \
    (SELECT p.data || p.active || p.used FROM job_progress AS p WHERE p.id = j.id) FROM (SELECT id FROM (\
    (SELECT id FROM job_status WHERE state = 1 AND job_type = $1 ORDER BY id DESC LIMIT $2) \
    UNION ALL SELECT l.id FROM (SELECT queue FROM stat_totals WHERE job_type = $1 AND state = 0 \
    UNION SELECT queue FROM stat_deltas WHERE job_type = $1 AND state = 0) AS t CROSS JOIN LATERAL (\
    SELECT id FROM job_status WHERE state = 0 AND queue = t.queue AND job_type = $1 \
    ORDER BY ready_key DESC, id DESC LIMIT $3) AS l \
    UNION ALL SELECT o.id FROM unnest($4::bigint[]) AS e(state) CROSS JOIN LATERAL (\
    SELECT id FROM job_status WHERE job_type = $1 AND state = e.state AND state >= 2 \
    ORDER BY id DESC LIMIT $2) AS o) AS f ORDER BY id DESC LIMIT $2) AS n \
    JOIN jobs AS j ON j.id = n.id JOIN job_status AS s ON s.id = n.id ORDER BY n.id DESC";

/// The newest of each ending, then the newest of these: no ending is walked further than needed.
const RECENT: &str = "SELECT j.id, j.spec, NULL::bytea, s.status, NULL::bytea, NULL::bytea \
    FROM (SELECT n.id FROM unnest($2::bigint[]) AS e(state) CROSS JOIN LATERAL (\
    SELECT id FROM job_status WHERE job_type = $1 AND state = e.state AND state >= 2 \
    ORDER BY id DESC LIMIT $3) AS n ORDER BY n.id DESC LIMIT $3) AS n \
    JOIN jobs AS j ON j.id = n.id JOIN job_status AS s ON s.id = n.id ORDER BY n.id DESC";

/// Id, spec, payload, status, result, flushed progress.
pub(super) type JobColumns =
    (Uuid, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The job of a row.
pub(super) fn job(columns: JobColumns) -> Result<Job> {
    row(columns).job()
}

pub(super) fn row((id, spec, payload, status, result, flushed): JobColumns) -> JobRow {
    JobRow { id: id.into_bytes().to_vec(), spec, payload, status, result, flushed }
}

/// The jobs of rows.
pub(super) fn jobs(rows: Vec<JobColumns>) -> Result<Vec<Job>> {
    rows.into_iter().map(job).collect()
}

/// Each id once.
pub(super) fn wanted(ids: impl IntoIterator<Item = Uuid>) -> Vec<Uuid> {
    let mut wanted: Vec<Uuid> = ids.into_iter().collect();
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

/// These jobs, whole.
pub(super) async fn load(pool: &Pool, ids: &[JobId]) -> Result<Vec<Job>> {
    let mut link = pool.read().await?;
    let found = load_on(&mut link, ids).await?;
    link.done().await?;
    Ok(found)
}

/// These jobs, as the transaction of this link sees them.
pub(super) async fn load_on(link: &mut Link, ids: &[JobId]) -> Result<Vec<Job>> {
    let query = link.query_as(LOAD).bind(wanted(ids.iter().map(|id| id.0)));
    jobs(query.fetch_all(&mut **link).await.map_err(from_sqlx)?)
}

/// Running jobs that these sessions hold.
pub(super) async fn held(pool: &Pool, sessions: &[SessionId]) -> Result<Vec<Job>> {
    let wanted = wanted(sessions.iter().map(|id| id.0));
    let mut link = pool.read().await?;
    let query = link.query_as(HELD).bind(wanted);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    jobs(found)
}

/// Executions that the status no longer holds.
pub(super) async fn attempts(pool: &Pool, id: JobId) -> Result<Vec<Attempt>> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<Vec<u8>>(ATTEMPTS).bind(id.0);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found.iter().map(|bytes| decode("job_attempts.attempt", bytes)).collect()
}

/// Jobs whose deadline has passed.
pub(super) async fn due(pool: &Pool, now: Timestamp, limit: i64) -> Result<Vec<JobId>> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<Uuid>(DUE).bind(now.as_micros()).bind(limit);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.into_iter().map(JobId).collect())
}

/// The earliest deadline.
pub(super) async fn next_deadline(pool: &Pool) -> Result<Option<Timestamp>> {
    let mut link = pool.read().await?;
    let query = link.query_scalar::<Option<i64>>(NEXT_DEADLINE);
    let found = query.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.map(Timestamp::from_micros))
}

/// When the longest waiting due job of each line became ready, of those at its front.
pub(super) async fn oldest_pending(
    pool: &Pool,
    now: Timestamp,
) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<(String, String, i64)>(OLDEST_PENDING).bind(now.as_micros());
    let query = query.bind(admission::latest_key(now).as_micros());
    let query = query.bind(super::limit(OLDEST_LOOK_MAX));
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found
        .into_iter()
        .map(|(queue, job_type, ready)| {
            Ok((
                rows::queue("job_status.queue", &queue)?,
                rows::job_type("job_status.job_type", &job_type)?,
                Timestamp::from_micros(ready),
            ))
        })
        .collect()
}

/// The newest ended jobs of a type.
pub(super) async fn recent(
    pool: &Pool,
    job_type: &JobType,
    state: Option<StateKind>,
    limit: i64,
) -> Result<Vec<Job>> {
    let mut link = pool.read().await?;
    let query = link.query_as(RECENT).bind(job_type.as_str()).bind(endings(state)).bind(limit);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    jobs(found)
}

/// The states in which jobs are over, or the one that is meant.
fn endings(state: Option<StateKind>) -> Vec<i64> {
    let is_meant =
        |kind: &StateKind| kind.is_terminal() && state.is_none_or(|state| state == *kind);
    StateKind::ALL.into_iter().filter(is_meant).map(state_code).collect()
}

/// The newest jobs of a type.
pub(super) async fn newest(pool: &Pool, job_type: &JobType, limit: i64) -> Result<Vec<Job>> {
    let mut link = pool.read().await?;
    let query = link.query_as(NEWEST).bind(job_type.as_str()).bind(limit);
    let query = query.bind(limit.max(super::limit(LINE_LOOKED_AT_MAX))).bind(endings(None));
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    jobs(found)
}
