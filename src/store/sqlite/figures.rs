//! Counters and minute buckets.

use std::collections::BTreeMap;

use sqlx::SqlitePool;

use crate::domain::QueueName;
use crate::domain::limits::TALLIES_KNOWN_MAX;
use crate::domain::stats::{Bucket, Count, StatKey, Tally};
use crate::store::Result;
use crate::store::figures::Figures;
use crate::store::rows::{decode, encode, job_type, queue, state, state_code};

use super::error::from_sqlx;
use super::input::Rows;
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] =
    &[UPSERT_TOTALS, SOME_BUCKETS, UPSERT_BUCKETS, TOTALS, PENDING, BUCKETS];

const UPSERT_TOTALS: &str = "INSERT INTO stat_totals (job_type, queue, state, stored, \
    finished_total) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM jsonb_each(?1) \
    WHERE true ON CONFLICT DO UPDATE SET stored = stored + excluded.stored, \
    finished_total = finished_total + excluded.finished_total";

const SOME_BUCKETS: &str = "SELECT b.minute, b.job_type, b.queue, b.tally \
    FROM jsonb_each(?1) AS e CROSS JOIN stat_buckets AS b ON b.minute = e.value ->> 0 \
    AND b.job_type = e.value ->> 1 AND b.queue = e.value ->> 2";

const UPSERT_BUCKETS: &str = "INSERT INTO stat_buckets (minute, job_type, queue, tally) \
    SELECT value ->> 0, value ->> 1, value ->> 2, substr(?2, value ->> 3, value ->> 4) \
    FROM jsonb_each(?1) WHERE true ON CONFLICT DO UPDATE SET tally = excluded.tally";

const TOTALS: &str = "SELECT job_type, queue, state, stored, finished_total FROM stat_totals";

const PENDING: &str = "SELECT queue, sum(stored) FROM stat_totals WHERE state = 0 \
    GROUP BY queue HAVING sum(stored) <> 0 ORDER BY queue";

const BUCKETS: &str = "SELECT minute, job_type, queue, tally FROM stat_buckets \
    WHERE minute >= ?1 ORDER BY minute, job_type, queue";

pub(super) type BucketRow = (i64, String, String, Vec<u8>);

/// Buckets by minute and key.
pub(super) type Tallies = BTreeMap<(i64, StatKey), Tally>;

fn bucket((minute, job_type_text, queue_text, tally): BucketRow) -> Result<Bucket> {
    let key = StatKey {
        job_type: job_type("stat_buckets.job_type", &job_type_text)?,
        queue: queue("stat_buckets.queue", &queue_text)?,
    };
    Ok(Bucket { key, minute, tally: decode("stat_buckets.tally", &tally)? })
}

/// Asks for the buckets that a batch may add to, except those that are known.
pub(super) fn ask(script: &mut Script, figures: &Figures, known: &Tallies) -> Option<Place> {
    let mut rows = Rows::default();
    for name in figures.tallies.keys().filter(|name| !known.contains_key(name)) {
        let (minute, key) = name;
        rows.row().int(*minute).text(key.job_type.as_str()).text(key.queue.as_str());
    }
    script.add_rows(SOME_BUCKETS, rows)
}

/// Takes note of the answer to [`ask`].
pub(super) fn learn(known: &mut Tallies, found: Vec<BucketRow>) -> Result<()> {
    for row in found {
        let bucket = bucket(row)?;
        known.insert((bucket.minute, bucket.key), bucket.tally);
    }
    Ok(())
}

/// Adds what a batch brought to counters and buckets; `known` has what stood in these buckets, and then what
/// stands in them.
pub(super) fn write(script: &mut Script, figures: &Figures, known: &mut Tallies) -> Result<()> {
    let mut totals = Rows::default();
    for ((key, state), delta) in figures.moved() {
        totals
            .row()
            .text(key.job_type.as_str())
            .text(key.queue.as_str())
            .int(state_code(*state))
            .int(delta.stored)
            .int(delta.finished);
    }
    script.add_rows(UPSERT_TOTALS, totals);
    let mut rows = Rows::default();
    for (name, tally) in &figures.tallies {
        let (minute, key) = name;
        let sum = known.entry(name.clone()).or_default();
        sum.merge(tally);
        rows.row()
            .int(*minute)
            .text(key.job_type.as_str())
            .text(key.queue.as_str())
            .slice(&encode(sum)?);
    }
    script.add_rows(UPSERT_BUCKETS, rows);
    while known.len() > TALLIES_KNOWN_MAX {
        known.pop_first();
    }
    Ok(())
}

/// Every counter.
pub(super) async fn counts(readers: &SqlitePool) -> Result<Vec<Count>> {
    let found: Vec<(String, String, i64, i64, i64)> =
        sqlx::query_as(TOTALS).fetch_all(readers).await.map_err(from_sqlx)?;
    found
        .into_iter()
        .map(|(job_type_text, queue_text, code, stored, finished_total)| {
            let key = StatKey {
                job_type: job_type("stat_totals.job_type", &job_type_text)?,
                queue: queue("stat_totals.queue", &queue_text)?,
            };
            Ok(Count { key, state: state("stat_totals.state", code)?, stored, finished_total })
        })
        .collect()
}

/// How many jobs wait in each queue.
pub(super) async fn pending(readers: &SqlitePool) -> Result<Vec<(QueueName, i64)>> {
    let found: Vec<(String, i64)> =
        sqlx::query_as(PENDING).fetch_all(readers).await.map_err(from_sqlx)?;
    let named = |(name, count): (String, i64)| Ok((queue("stat_totals.queue", &name)?, count));
    found.into_iter().map(named).collect()
}

/// Buckets from a minute on.
pub(super) async fn buckets(readers: &SqlitePool, from_minute: i64) -> Result<Vec<Bucket>> {
    let found: Vec<BucketRow> =
        sqlx::query_as(BUCKETS).bind(from_minute).fetch_all(readers).await.map_err(from_sqlx)?;
    found.into_iter().map(bucket).collect()
}
