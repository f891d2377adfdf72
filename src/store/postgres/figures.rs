//! Counters, buckets and figures of facets, as they are read: what was folded and what was not yet.

use crate::domain::QueueName;
use crate::domain::stats::{Bucket, Count, Facet, FacetTally, StatKey, Tally, hour_of};
use crate::store::Result;
use crate::store::figures;
use crate::store::rows::{corrupt, decode, job_type, queue, state};

use super::error::from_sqlx;
use super::pool::Pool;

pub(super) const STATEMENTS: &[&str] = &[COUNTS, PENDING, BUCKETS, FACET];

const COUNTS: &str = "SELECT job_type, queue, state, sum(stored)::bigint, \
    sum(finished_total)::bigint FROM (\
    SELECT job_type, queue, state, stored, finished_total FROM stat_totals UNION ALL \
    SELECT job_type, queue, state, stored, finished_total FROM stat_deltas) AS f \
    GROUP BY job_type, queue, state";

const BUCKETS: &str = "SELECT hour * 60, job_type, queue, tally FROM stat_hours WHERE hour >= $1 \
    UNION ALL SELECT minute, job_type, queue, tally FROM stat_buckets WHERE minute >= $2";

const FACET: &str = "SELECT slot, ARRAY[sum(created), sum(succeeded), sum(failed), sum(cancelled), \
    sum(skipped), sum(started), sum(waited), sum(ended), sum(ran)]::bigint[] FROM (\
    SELECT * FROM stat_facets WHERE key = $1 AND value = $2 AND slot >= $3 UNION ALL \
    SELECT * FROM stat_facet_deltas WHERE key = $1 AND value = $2 AND slot >= $3) AS f \
    GROUP BY slot ORDER BY slot";

const PENDING: &str = "SELECT queue, sum(stored)::bigint FROM (\
    SELECT queue, stored FROM stat_totals WHERE state = 0 UNION ALL \
    SELECT queue, stored FROM stat_deltas WHERE state = 0) AS f \
    GROUP BY queue HAVING sum(stored) <> 0 ORDER BY queue";

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

type BucketRow = (i64, String, String, Vec<u8>);

/// A bucket's row.
pub(super) fn bucket((minute, job_type_text, queue_text, tally): BucketRow) -> Result<Bucket> {
    let key = StatKey {
        job_type: job_type("stat_buckets.job_type", &job_type_text)?,
        queue: queue("stat_buckets.queue", &queue_text)?,
    };
    Ok(Bucket { key, minute, tally: decode("stat_buckets.tally", &tally)? })
}

/// Buckets from a minute on.
pub(super) async fn buckets(pool: &Pool, from_minute: i64) -> Result<Vec<Bucket>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<BucketRow>(BUCKETS).bind(hour_of(from_minute)).bind(from_minute);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let rows = found.into_iter().map(|row| {
        let Bucket { key, minute, tally } = bucket(row)?;
        Ok((minute, key, tally))
    });
    Ok(figures::buckets(rows.collect::<Result<Vec<(i64, StatKey, Tally)>>>()?))
}

/// What happened to the jobs of a facet from a slot on.
pub(super) async fn facet(
    pool: &Pool,
    facet: &Facet,
    from_slot: i64,
) -> Result<Vec<(i64, FacetTally)>> {
    let mut link = pool.read().await?;
    let query = link.query_as::<(i64, Vec<i64>)>(FACET);
    let query = query.bind(facet.key()).bind(facet.value()).bind(from_slot);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let tally = |(slot, sums): (i64, Vec<i64>)| {
        let columns = <[i64; 9]>::try_from(sums)
            .map_err(|sums| corrupt("stat_facets", format!("{} columns", sums.len())))?;
        Ok((slot, figures::facet_tally(columns)))
    };
    found.into_iter().map(tally).collect()
}
