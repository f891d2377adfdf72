//! Counters, buckets, and figures by owner and label.

use std::collections::BTreeMap;

use sqlx::SqlitePool;

use crate::domain::QueueName;
use crate::domain::limits::TALLIES_KNOWN_MAX;
use crate::domain::stats::{Bucket, Count, Facet, FacetTally, StatKey, Tally, hour_of};
use crate::store::Result;
use crate::store::figures::{self, Figures};
use crate::store::rows::{corrupt, decode, encode, job_type, queue, state, state_code};

use super::error::from_sqlx;
use super::input::{Row, Rows};
use super::script::{Place, Script};
use super::writer::Writer;

pub(super) const STATEMENTS: &[&str] = &[
    UPSERT_TOTALS,
    SOME_BUCKETS,
    UPSERT_BUCKETS,
    UPSERT_FACETS,
    TOTALS,
    PENDING,
    BUCKETS,
    FACET,
    OLD_BUCKETS,
    SOME_HOURS,
    UPSERT_HOURS,
    ROLLED_UP,
];

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

const BUCKETS: &str = "SELECT hour * 60, job_type, queue, tally FROM stat_hours WHERE hour >= ?1 \
    UNION ALL SELECT minute, job_type, queue, tally FROM stat_buckets WHERE minute >= ?2";

const UPSERT_FACETS: &str = "INSERT INTO stat_facets (key, value, slot, created, succeeded, failed, \
    cancelled, skipped, started, waited, ended, ran) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
    value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11 \
    FROM jsonb_each(?1) WHERE true ON CONFLICT DO UPDATE SET \
    created = created + excluded.created, succeeded = succeeded + excluded.succeeded, \
    failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled, \
    skipped = skipped + excluded.skipped, started = started + excluded.started, \
    waited = waited + excluded.waited, ended = ended + excluded.ended, ran = ran + excluded.ran";

const FACET: &str = "SELECT slot, json_array(created, succeeded, failed, cancelled, skipped, started, \
    waited, ended, ran) FROM stat_facets WHERE key = ?1 AND value = ?2 AND slot >= ?3 ORDER BY slot";

const OLD_BUCKETS: &str = "SELECT minute, job_type, queue, tally FROM stat_buckets \
    WHERE minute < ?1 ORDER BY minute, job_type, queue LIMIT ?2 + 0";

const SOME_HOURS: &str = "SELECT b.hour, b.job_type, b.queue, b.tally \
    FROM jsonb_each(?1) AS e CROSS JOIN stat_hours AS b ON b.hour = e.value ->> 0 \
    AND b.job_type = e.value ->> 1 AND b.queue = e.value ->> 2";

const UPSERT_HOURS: &str = "INSERT INTO stat_hours (hour, job_type, queue, tally) \
    SELECT value ->> 0, value ->> 1, value ->> 2, substr(?2, value ->> 3, value ->> 4) \
    FROM jsonb_each(?1) WHERE true ON CONFLICT DO UPDATE SET tally = excluded.tally";

const ROLLED_UP: &str = "DELETE FROM stat_buckets WHERE (minute, job_type, queue) IN (\
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each(?1))";

const PENDING: &str = "SELECT queue, sum(stored) FROM stat_totals WHERE state = 0 \
    GROUP BY queue HAVING sum(stored) <> 0 ORDER BY queue";

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
pub(super) fn ask(script: &mut Script, figures: &Figures<'_>, known: &Tallies) -> Option<Place> {
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
pub(super) fn write(script: &mut Script, figures: &Figures<'_>, known: &mut Tallies) -> Result<()> {
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
    let mut facets = Rows::default();
    for ((slot, facet), tally) in &figures.facets {
        let row = facets.row().text(facet.key()).text(facet.value()).int(*slot);
        figures::columns(tally).into_iter().fold(row, Row::int);
    }
    script.add_rows(UPSERT_FACETS, facets);
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
    let found: Vec<BucketRow> = sqlx::query_as(BUCKETS)
        .bind(hour_of(from_minute))
        .bind(from_minute)
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    let rows = found.into_iter().map(|row| {
        let Bucket { key, minute, tally } = bucket(row)?;
        Ok((minute, key, tally))
    });
    Ok(figures::buckets(rows.collect::<Result<Vec<_>>>()?))
}

/// What happened to the jobs of a facet from a slot on.
pub(super) async fn facet(
    readers: &SqlitePool,
    facet: &Facet,
    from_slot: i64,
) -> Result<Vec<(i64, FacetTally)>> {
    let found: Vec<(i64, String)> = sqlx::query_as(FACET)
        .bind(facet.key())
        .bind(facet.value())
        .bind(from_slot)
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    let tally = |(slot, columns): (i64, String)| {
        let columns = serde_json::from_str(&columns);
        let columns = columns.map_err(|error| corrupt("stat_facets", error))?;
        Ok((slot, figures::facet_tally(columns)))
    };
    found.into_iter().map(tally).collect()
}

/// Sums up minutes before this one by their hours; answers how many rows went.
pub(super) async fn roll_up(writer: &mut Writer, before: i64, limit: usize) -> Result<u64> {
    let mut script = writer.begin().await?;
    let place = script.add(OLD_BUCKETS);
    script.bind(before).bind(super::limit(limit));
    let mut answers = writer.run(script).await?;
    match summed(writer, answers.rows(place)).await {
        Ok(gone) => Ok(gone),
        Err(error) => {
            writer.rollback().await;
            Err(error)
        }
    }
}

/// The rest of [`roll_up`], within its transaction.
async fn summed(writer: &mut Writer, found: Result<Vec<BucketRow>>) -> Result<u64> {
    let minutes = found?.into_iter().map(bucket).collect::<Result<Vec<_>>>()?;
    if minutes.is_empty() {
        writer.rollback().await;
        return Ok(0);
    }
    let (gone, mut old) = (minutes.len() as u64, Rows::default());
    for Bucket { key, minute, .. } in &minutes {
        old.row().int(*minute).text(key.job_type.as_str()).text(key.queue.as_str());
    }
    let mut hours = figures::hours(minutes);
    let mut names = Rows::default();
    for (hour, key) in hours.keys() {
        names.row().int(*hour).text(key.job_type.as_str()).text(key.queue.as_str());
    }
    let mut script = writer.resume()?;
    if let Some(place) = script.add_rows(SOME_HOURS, names) {
        let mut answers = writer.run(script).await?;
        for row in answers.rows::<BucketRow>(place)? {
            let Bucket { key, minute: hour, tally } = bucket(row)?;
            hours.entry((hour, key)).or_default().merge(&tally);
        }
        script = writer.resume()?;
    }
    let mut rows = Rows::default();
    for ((hour, key), tally) in &hours {
        let row = rows.row().int(*hour).text(key.job_type.as_str()).text(key.queue.as_str());
        row.slice(&encode(tally)?);
    }
    script.add_rows(UPSERT_HOURS, rows);
    script.add_rows(ROLLED_UP, old);
    writer.tallies.clear();
    writer.commit(script).await?;
    Ok(gone)
}
