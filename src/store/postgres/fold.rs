//! Summing up what commits only added: counters, buckets, figures of facets, and progress that came after its
//! lease; and minutes by the hour.
//!
//! Every step takes what nobody else has locked, so any number of servers may do it at once.

use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::stats::{Bucket, Tally};
use crate::store::rows::{decode, encode};
use crate::store::{Result, figures as sums};

use super::error::from_sqlx;
use super::figures;
use super::pool::{Link, Pool};

pub(super) const STATEMENTS: &[&str] =
    &[TOTALS, FACETS, NEW, TAKE, PUT, LATE, ALONE, OLD, SOME_HOURS, PUT_HOURS];

/// Locks are taken in the order of the rows' places, and totals are written in the order of their keys.
const TOTALS: &str = "WITH taken AS MATERIALIZED (SELECT ctid FROM stat_deltas ORDER BY ctid \
    LIMIT $1 FOR UPDATE SKIP LOCKED), \
    gone AS (DELETE FROM stat_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM taken)) \
    RETURNING job_type, queue, state, stored, finished_total), \
    added AS (INSERT INTO stat_totals AS t (job_type, queue, state, stored, finished_total) \
    SELECT job_type, queue, state, sum(stored), sum(finished_total) FROM gone \
    GROUP BY job_type, queue, state ORDER BY job_type, queue, state \
    ON CONFLICT (job_type, queue, state) DO UPDATE SET stored = t.stored + excluded.stored, \
    finished_total = t.finished_total + excluded.finished_total) \
    SELECT count(*) FROM gone";

const FACETS: &str = "WITH taken AS MATERIALIZED (SELECT ctid FROM stat_facet_deltas ORDER BY ctid \
    LIMIT $1 FOR UPDATE SKIP LOCKED), \
    gone AS (DELETE FROM stat_facet_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM taken)) \
    RETURNING *), \
    added AS (INSERT INTO stat_facets AS t SELECT key, value, slot, sum(created), sum(succeeded), \
    sum(failed), sum(cancelled), sum(skipped), sum(started), sum(waited), sum(ended), sum(ran) \
    FROM gone GROUP BY key, value, slot ORDER BY key, value, slot \
    ON CONFLICT (key, value, slot) DO UPDATE SET created = t.created + excluded.created, \
    succeeded = t.succeeded + excluded.succeeded, failed = t.failed + excluded.failed, \
    cancelled = t.cancelled + excluded.cancelled, skipped = t.skipped + excluded.skipped, \
    started = t.started + excluded.started, waited = t.waited + excluded.waited, \
    ended = t.ended + excluded.ended, ran = t.ran + excluded.ran) \
    SELECT count(*) FROM gone";

const NEW: &str = "SELECT DISTINCT minute, job_type, queue FROM stat_buckets WHERE NOT folded \
    ORDER BY minute, job_type, queue LIMIT $1";

const TAKE: &str = "DELETE FROM stat_buckets WHERE ctid = ANY(ARRAY(SELECT b.ctid \
    FROM stat_buckets AS b WHERE b.minute = $1 AND b.job_type = $2 AND b.queue = $3 \
    LIMIT $4 FOR UPDATE SKIP LOCKED)) RETURNING tally";

const PUT: &str = "INSERT INTO stat_buckets (minute, job_type, queue, tally, folded) \
    VALUES ($1, $2, $3, $4, true)";

/// A flush does not wait for a commit that ends a lease in the same moment.
const LATE: &str = "DELETE FROM job_progress AS p WHERE NOT EXISTS (\
    SELECT 1 FROM job_status AS s WHERE s.id = p.id AND s.state = 1)";

/// Answers how many rows went.
pub(super) async fn run(pool: &Pool) -> Result<u64> {
    let mut link = pool.begin().await?;
    let query = link.query_scalar(TOTALS).bind(super::limit(LOOP_ROWS_MAX));
    let totals: i64 = query.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.commit().await?;
    let mut link = pool.begin().await?;
    let query = link.query_scalar(FACETS).bind(super::limit(LOOP_ROWS_MAX));
    let facets: i64 = query.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.commit().await?;
    let buckets = buckets(pool).await?;
    let mut link = pool.begin().await?;
    let late = link.query(LATE).execute(&mut *link).await.map_err(from_sqlx)?.rows_affected();
    link.commit().await?;
    Ok(u64::try_from(totals + facets).unwrap_or(0) + buckets + late)
}

async fn buckets(pool: &Pool) -> Result<u64> {
    let mut link = pool.begin().await?;
    let query = link.query_as(NEW).bind(super::limit(LOOP_ROWS_MAX));
    let new: Vec<(i64, String, String)> = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    let mut gone = 0;
    for (minute, job_type, queue) in new {
        gone += bucket(&mut link, minute, &job_type, &queue).await?;
    }
    link.commit().await?;
    Ok(gone)
}

/// Puts one row in the place of all.
async fn bucket(link: &mut Link, minute: i64, job_type: &str, queue: &str) -> Result<u64> {
    let query = link.query_scalar(TAKE).bind(minute).bind(job_type).bind(queue);
    let query = query.bind(super::limit(LOOP_ROWS_MAX));
    let taken: Vec<Vec<u8>> = query.fetch_all(&mut **link).await.map_err(from_sqlx)?;
    if taken.is_empty() {
        return Ok(0);
    }
    let mut sum = Tally::default();
    for tally in &taken {
        sum.merge(&decode("stat_buckets.tally", tally)?);
    }
    let query = link.query(PUT).bind(minute).bind(job_type).bind(queue).bind(encode(&sum)?);
    query.execute(&mut **link).await.map_err(from_sqlx)?;
    Ok(taken.len() as u64 - 1)
}

/// One server at a time: whoever finds no sum of an hour must be the only one to write it.
const ALONE: &str = "SELECT pg_try_advisory_xact_lock(hashtext('jobplane.stat_hours'))";

const OLD: &str = "DELETE FROM stat_buckets WHERE ctid = ANY(ARRAY(SELECT ctid FROM stat_buckets \
    WHERE minute < $1 ORDER BY minute, job_type, queue LIMIT $2 FOR UPDATE SKIP LOCKED)) \
    RETURNING minute, job_type, queue, tally";

const SOME_HOURS: &str = "SELECT h.hour, h.job_type, h.queue, h.tally \
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n(hour, job_type, queue) \
    JOIN stat_hours AS h USING (hour, job_type, queue)";

const PUT_HOURS: &str = "INSERT INTO stat_hours (hour, job_type, queue, tally) \
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[]) \
    ON CONFLICT (hour, job_type, queue) DO UPDATE SET tally = excluded.tally";

/// Sums up minutes before this one by their hours; answers how many rows went.
pub(super) async fn roll_up(pool: &Pool, before_minute: i64, limit: i64) -> Result<u64> {
    let mut link = pool.begin().await?;
    let alone: bool = link.query_scalar(ALONE).fetch_one(&mut *link).await.map_err(from_sqlx)?;
    let gone = if alone { take_old(&mut link, before_minute, limit).await? } else { 0 };
    link.commit().await?;
    Ok(gone)
}

async fn take_old(link: &mut Link, before_minute: i64, limit: i64) -> Result<u64> {
    let query = link.query_as(OLD).bind(before_minute).bind(limit);
    let old = query.fetch_all(&mut **link).await.map_err(from_sqlx)?;
    let gone = old.len() as u64;
    if old.is_empty() {
        return Ok(gone);
    }
    let minutes = old.into_iter().map(figures::bucket).collect::<Result<_>>()?;
    let mut hours = sums::hours(minutes);
    let (mut numbers, mut types, mut queues) = (Vec::new(), Vec::new(), Vec::new());
    for (hour, key) in hours.keys() {
        numbers.push(*hour);
        types.push(key.job_type.to_string());
        queues.push(key.queue.to_string());
    }
    let query = link.query_as(SOME_HOURS).bind(&numbers).bind(&types).bind(&queues);
    for row in query.fetch_all(&mut **link).await.map_err(from_sqlx)? {
        let Bucket { key, minute: hour, tally } = figures::bucket(row)?;
        hours.entry((hour, key)).or_default().merge(&tally);
    }
    let tallies = hours.values().map(encode).collect::<Result<Vec<_>>>()?;
    let query = link.query(PUT_HOURS).bind(&numbers).bind(&types).bind(&queues).bind(&tallies);
    query.execute(&mut **link).await.map_err(from_sqlx)?;
    Ok(gone)
}
