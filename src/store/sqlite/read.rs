//! Reads of single jobs, of what is due, and of the line's length.

use sqlx::SqlitePool;

use crate::domain::admission;
use crate::domain::job::Job;
use crate::domain::limits::{LINE_LOOKED_AT_MAX, OLDEST_LOOK_MAX};
use crate::domain::status::{Attempt, StateKind};
use crate::domain::{JobId, JobType, QueueName, SessionId, Timestamp};
use crate::store::Result;
use crate::store::rows::{self, JobRow, decode, state_code};

use super::error::from_sqlx;
use super::input::ids;

pub(super) const STATEMENTS: &[&str] = &[
    LOAD,
    HELD,
    ATTEMPTS,
    DUE,
    NEXT_DEADLINE,
    OLDEST_PENDING,
    WAITING_IN,
    LAST_IN_LINE,
    RUNNING,
    BRIEF,
    RECENT,
    RECENT_IN_STATE,
];

const LOAD: &str = "SELECT j.id, j.spec, j.payload, s.status, s.result, CAST(p.data || p.active || p.used AS BLOB) \
    FROM json_each(?1) AS e CROSS JOIN jobs AS j ON j.id = unhex(e.value) \
    CROSS JOIN job_status AS s ON s.id = j.id LEFT JOIN job_progress AS p ON p.id = j.id";

const HELD: &str = "SELECT j.id, j.spec, NULL, s.status, NULL, CAST(p.data || p.active || p.used AS BLOB) \
    FROM json_each(?1) AS e CROSS JOIN job_status AS s ON s.session_id = unhex(e.value) \
    CROSS JOIN jobs AS j ON j.id = s.id LEFT JOIN job_progress AS p ON p.id = s.id \
    WHERE s.state = 1";

const ATTEMPTS: &str =
    "SELECT attempt FROM job_attempts WHERE job_id = ?1 ORDER BY lease_epoch, position";

const DUE: &str = "SELECT id FROM job_status WHERE deadline IS NOT NULL AND deadline <= ?1 \
    ORDER BY deadline LIMIT ?2 + 0";

const NEXT_DEADLINE: &str = "SELECT min(deadline) FROM job_status WHERE deadline IS NOT NULL";

/// The first in line of each queue and type that the counters know of, from the ready index alone.
const OLDEST_PENDING: &str = "SELECT queue, job_type, oldest FROM (\
    SELECT queue, job_type, (SELECT min(schedule_time) FROM (\
    SELECT s.schedule_time FROM job_status AS s INDEXED BY job_status_ready \
    WHERE s.state = 0 AND s.queue = stat_totals.queue AND s.job_type = stat_totals.job_type \
    AND s.ready_key <= ?2 AND s.schedule_time <= ?1 ORDER BY s.ready_key, s.id LIMIT ?3 + 0)\
    ) AS oldest FROM stat_totals WHERE state = 0 AND stored > 0) WHERE oldest IS NOT NULL";

/// The queues in which jobs of a type wait.
const WAITING_IN: &str =
    "SELECT queue FROM stat_totals WHERE job_type = ?1 AND state = 0 AND stored > 0";

/// The last in line.
const LAST_IN_LINE: &str = "SELECT id FROM job_status INDEXED BY job_status_ready \
    WHERE state = 0 AND queue = ?1 AND job_type = ?2 ORDER BY ready_key DESC, id DESC LIMIT ?3 + 0";

const RUNNING: &str = "SELECT id FROM job_status INDEXED BY job_status_running \
    WHERE state = 1 AND job_type = ?1 ORDER BY id DESC LIMIT ?2 + 0";

const BRIEF: &str = "SELECT j.id, j.spec, NULL, s.status, NULL, CAST(p.data || p.active || p.used AS BLOB) \
    FROM json_each(?1) AS e CROSS JOIN jobs AS j ON j.id = unhex(e.value) \
    CROSS JOIN job_status AS s ON s.id = j.id LEFT JOIN job_progress AS p ON p.id = j.id";

/// The newest of each ending, then the newest of these: no ending is walked further than needed.
const RECENT: &str = "SELECT j.id, j.spec, NULL, s.status, NULL, NULL FROM (\
    SELECT * FROM (SELECT id FROM job_status WHERE job_type = ?1 AND state = 2 AND state >= 2 \
    ORDER BY id DESC LIMIT ?2 + 0) UNION ALL \
    SELECT * FROM (SELECT id FROM job_status WHERE job_type = ?1 AND state = 3 AND state >= 2 \
    ORDER BY id DESC LIMIT ?2 + 0) UNION ALL \
    SELECT * FROM (SELECT id FROM job_status WHERE job_type = ?1 AND state = 4 AND state >= 2 \
    ORDER BY id DESC LIMIT ?2 + 0) UNION ALL \
    SELECT * FROM (SELECT id FROM job_status WHERE job_type = ?1 AND state = 5 AND state >= 2 \
    ORDER BY id DESC LIMIT ?2 + 0)) AS n \
    CROSS JOIN jobs AS j ON j.id = n.id CROSS JOIN job_status AS s ON s.id = n.id \
    ORDER BY j.id DESC LIMIT ?2 + 0";

const RECENT_IN_STATE: &str = "SELECT j.id, j.spec, NULL, s.status, NULL, NULL \
    FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id \
    WHERE s.job_type = ?1 AND s.state = ?3 AND s.state >= 2 ORDER BY s.id DESC LIMIT ?2 + 0";

/// Id, spec, payload, status, result, flushed progress.
pub(super) type JobColumns =
    (Vec<u8>, Vec<u8>, Option<Vec<u8>>, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// The job of a row.
pub(super) fn job(columns: JobColumns) -> Result<Job> {
    row(columns).job()
}

pub(super) fn row((id, spec, payload, status, result, flushed): JobColumns) -> JobRow {
    JobRow { id, spec, payload, status, result, flushed }
}

/// The jobs of rows.
pub(super) fn jobs(rows: Vec<JobColumns>) -> Result<Vec<Job>> {
    rows.into_iter().map(job).collect()
}

/// These jobs, whole.
pub(super) async fn load(readers: &SqlitePool, wanted: &[JobId]) -> Result<Vec<Job>> {
    let mut wanted: Vec<&uuid::Uuid> = wanted.iter().map(|id| &id.0).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found =
        sqlx::query_as(LOAD).bind(ids(wanted)).fetch_all(readers).await.map_err(from_sqlx)?;
    jobs(found)
}

/// Running jobs that these sessions hold.
pub(super) async fn held(readers: &SqlitePool, sessions: &[SessionId]) -> Result<Vec<Job>> {
    let mut wanted: Vec<&uuid::Uuid> = sessions.iter().map(|id| &id.0).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found =
        sqlx::query_as(HELD).bind(ids(wanted)).fetch_all(readers).await.map_err(from_sqlx)?;
    jobs(found)
}

/// Executions that the status no longer holds.
pub(super) async fn attempts(readers: &SqlitePool, id: JobId) -> Result<Vec<Attempt>> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(ATTEMPTS)
        .bind(id.0.as_bytes().as_slice())
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    found.iter().map(|bytes| decode("job_attempts.attempt", bytes)).collect()
}

/// Jobs whose deadline has passed.
pub(super) async fn due(readers: &SqlitePool, now: Timestamp, limit: i64) -> Result<Vec<JobId>> {
    let found: Vec<Vec<u8>> = sqlx::query_scalar(DUE)
        .bind(now.as_micros())
        .bind(limit)
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    found.iter().map(|bytes| rows::id("job_status.id", bytes).map(JobId)).collect()
}

/// The earliest deadline.
pub(super) async fn next_deadline(readers: &SqlitePool) -> Result<Option<Timestamp>> {
    let found: Option<i64> =
        sqlx::query_scalar(NEXT_DEADLINE).fetch_one(readers).await.map_err(from_sqlx)?;
    Ok(found.map(Timestamp::from_micros))
}

/// When the longest waiting due job of each line became ready.
pub(super) async fn oldest_pending(
    readers: &SqlitePool,
    now: Timestamp,
) -> Result<Vec<(QueueName, JobType, Timestamp)>> {
    let found: Vec<(String, String, i64)> = sqlx::query_as(OLDEST_PENDING)
        .bind(now.as_micros())
        .bind(admission::latest_key(now).as_micros())
        .bind(super::limit(OLDEST_LOOK_MAX))
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
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
    readers: &SqlitePool,
    job_type: &JobType,
    state: Option<StateKind>,
    limit: i64,
) -> Result<Vec<Job>> {
    let query = match state {
        Some(state) if !state.is_terminal() => return Ok(Vec::new()),
        Some(state) => sqlx::query_as(RECENT_IN_STATE)
            .bind(job_type.as_str())
            .bind(limit)
            .bind(state_code(state)),
        None => sqlx::query_as(RECENT).bind(job_type.as_str()).bind(limit),
    };
    jobs(query.fetch_all(readers).await.map_err(from_sqlx)?)
}

/// The newest jobs of a type, as one moment shows them: none is between two reads.
pub(super) async fn newest(
    readers: &SqlitePool,
    job_type: &JobType,
    limit: i64,
) -> Result<Vec<Job>> {
    let mut link = readers.begin().await.map_err(from_sqlx)?;
    let name = job_type.as_str();
    let queues = sqlx::query_scalar(WAITING_IN).bind(name);
    let queues: Vec<String> = queues.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    let running = sqlx::query_scalar(RUNNING).bind(name).bind(limit);
    let mut alive: Vec<Vec<u8>> = running.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    for queue in queues {
        let last = sqlx::query_scalar(LAST_IN_LINE)
            .bind(queue)
            .bind(name)
            .bind(limit.max(super::limit(LINE_LOOKED_AT_MAX)));
        alive.extend(last.fetch_all(&mut *link).await.map_err(from_sqlx)?);
    }
    let limit_rows = usize::try_from(limit).unwrap_or(usize::MAX);
    alive.sort_unstable_by(|one, other| other.cmp(one));
    alive.truncate(limit_rows);
    let wanted = alive.iter().map(|bytes| rows::id("job_status.id", bytes));
    let wanted = wanted.collect::<Result<Vec<_>>>()?;
    let alive = sqlx::query_as(BRIEF).bind(ids(&wanted));
    let mut found = jobs(alive.fetch_all(&mut *link).await.map_err(from_sqlx)?)?;
    let over = sqlx::query_as(RECENT).bind(name).bind(limit);
    found.extend(jobs(over.fetch_all(&mut *link).await.map_err(from_sqlx)?)?);
    link.commit().await.map_err(from_sqlx)?;
    found.sort_by_key(|job| std::cmp::Reverse(job.id));
    found.truncate(limit_rows);
    Ok(found)
}
