//! Counters and minute buckets.

use std::collections::BTreeMap;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnection;

use crate::domain::stats::{Bucket, Count, StatKey, Tally};
use crate::store::Result;
use crate::store::figures::Figures;
use crate::store::rows::{decode, encode, job_type, queue, state, state_code};

use super::error::from_sqlx;
use super::input::Rows;

pub(super) const STATEMENTS: &[&str] =
    &[UPSERT_TOTALS, SOME_BUCKETS, UPSERT_BUCKETS, TOTALS, BUCKETS];

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

const BUCKETS: &str = "SELECT minute, job_type, queue, tally FROM stat_buckets \
    WHERE minute >= ?1 ORDER BY minute, job_type, queue";

type BucketRow = (i64, String, String, Vec<u8>);

fn bucket((minute, job_type_text, queue_text, tally): BucketRow) -> Result<Bucket> {
    let key = StatKey {
        job_type: job_type("stat_buckets.job_type", &job_type_text)?,
        queue: queue("stat_buckets.queue", &queue_text)?,
    };
    Ok(Bucket { key, minute, tally: decode("stat_buckets.tally", &tally)? })
}

/// Adds what a batch brought.
pub(super) async fn write(connection: &mut SqliteConnection, figures: &Figures) -> Result<()> {
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
    totals.execute(UPSERT_TOTALS, &mut *connection).await?;
    if figures.tallies.is_empty() {
        return Ok(());
    }
    let mut merged = held(connection, figures).await?;
    let mut rows = Rows::default();
    for (name, tally) in &figures.tallies {
        let (minute, key) = name;
        let sum = merged.entry(name.clone()).or_default();
        sum.merge(tally);
        rows.row()
            .int(*minute)
            .text(key.job_type.as_str())
            .text(key.queue.as_str())
            .slice(&encode(sum)?);
    }
    rows.execute(UPSERT_BUCKETS, connection).await.map(|_| ())
}

/// The buckets that stand where the batch adds to.
async fn held(
    connection: &mut SqliteConnection,
    figures: &Figures,
) -> Result<BTreeMap<(i64, StatKey), Tally>> {
    let mut rows = Rows::default();
    for (minute, key) in figures.tallies.keys() {
        rows.row().int(*minute).text(key.job_type.as_str()).text(key.queue.as_str());
    }
    let (json, _) = rows.into_parts();
    let found: Vec<BucketRow> =
        sqlx::query_as(SOME_BUCKETS).bind(json).fetch_all(connection).await.map_err(from_sqlx)?;
    found
        .into_iter()
        .map(|row| bucket(row).map(|bucket| ((bucket.minute, bucket.key), bucket.tally)))
        .collect()
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

/// Buckets from a minute on.
pub(super) async fn buckets(readers: &SqlitePool, from_minute: i64) -> Result<Vec<Bucket>> {
    let found: Vec<BucketRow> =
        sqlx::query_as(BUCKETS).bind(from_minute).fetch_all(readers).await.map_err(from_sqlx)?;
    found.into_iter().map(bucket).collect()
}
