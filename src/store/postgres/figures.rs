//! Counters and minute buckets, as they are read: what was folded and what was not yet.

use crate::domain::QueueName;
use crate::domain::stats::{Bucket, Count, StatKey};
use crate::store::Result;
use crate::store::rows::{decode, job_type, queue, state};

use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[COUNTS, PENDING, BUCKETS];

const COUNTS: &str = "SELECT job_type, queue, state, sum(stored)::bigint, \
    sum(finished_total)::bigint FROM (\
    SELECT job_type, queue, state, stored, finished_total FROM stat_totals UNION ALL \
    SELECT job_type, queue, state, stored, finished_total FROM stat_deltas) AS f \
    GROUP BY job_type, queue, state";

const PENDING: &str = "SELECT queue, sum(stored)::bigint FROM (\
    SELECT queue, stored FROM stat_totals WHERE state = 0 UNION ALL \
    SELECT queue, stored FROM stat_deltas WHERE state = 0) AS f \
    GROUP BY queue HAVING sum(stored) <> 0 ORDER BY queue";

const BUCKETS: &str = "SELECT minute, job_type, queue, tally FROM stat_buckets \
    WHERE minute >= $1 ORDER BY minute, job_type, queue";

/// Every counter.
pub(super) async fn counts(pool: &Pool) -> Result<Vec<Count>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<(String, String, i16, i64, i64)>(COUNTS);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found
        .into_iter()
        .map(|(job_type_text, queue_text, code, stored, finished_total)| {
            let key = StatKey {
                job_type: job_type("stat_totals.job_type", &job_type_text)?,
                queue: queue("stat_totals.queue", &queue_text)?,
            };
            let state = state("stat_totals.state", code.into())?;
            Ok(Count { key, state, stored, finished_total })
        })
        .collect()
}

/// How many jobs wait in each queue.
pub(super) async fn pending(pool: &Pool) -> Result<Vec<(QueueName, i64)>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<(String, i64)>(PENDING);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let named = |(name, count): (String, i64)| Ok((queue("stat_totals.queue", &name)?, count));
    found.into_iter().map(named).collect()
}

/// Buckets from a minute on.
pub(super) async fn buckets(pool: &Pool, from_minute: i64) -> Result<Vec<Bucket>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<(i64, String, String, Vec<u8>)>(BUCKETS).bind(from_minute);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let mut buckets: Vec<Bucket> = Vec::new();
    for (minute, job_type_text, queue_text, tally) in found {
        let tally = decode("stat_buckets.tally", &tally)?;
        let key = StatKey {
            job_type: job_type("stat_buckets.job_type", &job_type_text)?,
            queue: queue("stat_buckets.queue", &queue_text)?,
        };
        match buckets.last_mut() {
            Some(last) if last.minute == minute && last.key == key => last.tally.merge(&tally),
            _ => buckets.push(Bucket { key, minute, tally }),
        }
    }
    Ok(buckets)
}
