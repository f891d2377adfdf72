//! Lists and counts: the one place where a statement is put together, from fixed texts and bound
//! values only.
//!
//! A page is sought by the index that fits its filter best ([`Walk`]); whatever else the filter says
//! is checked on the way.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use crate::domain::filter::{JobFilter, TimeRange};
use crate::domain::job::Job;
use crate::domain::stats::StatKey;
use crate::domain::status::StateKind;
use crate::domain::{Category, JobId, JobType, QueueName, Timestamp, WorkerName};
use crate::store::rows::{self, state_code, trigger_code};
use crate::store::walk::{self, Walk, walks};
use crate::store::{Census, ListQuery, Result};

use super::error::from_sqlx;
use super::input::ids;
use super::read::{self, JobColumns};

pub(super) const STATEMENTS: &[&str] = &[ESTIMATE];

/// Jobs that the indexes by state would walk: the one of ended jobs does not know queues.
const ESTIMATE: &str = "SELECT coalesce(sum(stored), 0) FROM stat_totals \
    WHERE (?1 = '[]' OR state IN (SELECT value FROM json_each(?1))) \
    AND (?2 = '[]' OR job_type IN (SELECT value FROM json_each(?2))) \
    AND (state >= 2 OR ?3 = '[]' OR queue IN (SELECT value FROM json_each(?3)))";

type Builder = QueryBuilder<Sqlite>;

fn names<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::Value::from(values.into_iter().collect::<Vec<_>>()).to_string()
}

fn codes(filter: &JobFilter) -> Vec<i64> {
    filter.states.iter().map(|state| state_code(*state)).collect()
}

fn in_list<'a>(builder: &mut Builder, column: &str, values: impl IntoIterator<Item = &'a str>) {
    let mut values = values.into_iter().peekable();
    if values.peek().is_some() {
        builder.push(" AND ").push(column).push(" IN (SELECT value FROM json_each(");
        builder.push_bind(names(values)).push("))");
    }
}

fn in_codes(builder: &mut Builder, column: &str, codes: &[i64]) {
    if !codes.is_empty() {
        builder.push(" AND ").push(column).push(" IN (");
        let mut separated = builder.separated(", ");
        for code in codes {
            separated.push_bind(*code);
        }
        builder.push(")");
    }
}

fn equal(builder: &mut Builder, column: &str, value: Option<&str>) {
    if let Some(value) = value {
        builder.push(" AND ").push(column).push(" = ").push_bind(value.to_owned());
    }
}

fn within(builder: &mut Builder, column: &str, range: TimeRange) {
    if let Some(after) = range.after {
        builder.push(" AND ").push(column).push(" >= ").push_bind(after.as_micros());
    }
    if let Some(before) = range.before {
        builder.push(" AND ").push(column).push(" < ").push_bind(before.as_micros());
    }
}

/// The ids that match, from each walk.
fn push_ids(builder: &mut Builder, query: &ListQuery, walks: &[Walk]) {
    for (place, walk) in walks.iter().enumerate() {
        if place > 0 {
            builder.push(" UNION ALL ");
        }
        push_walk(builder, &query.filter, query.before, *walk);
    }
}

fn push_walk(builder: &mut Builder, filter: &JobFilter, before: Option<JobId>, walk: Walk) {
    let (id, table) = match walk {
        Walk::Ids | Walk::Text(_) | Walk::Newest => ("j.id", "jobs AS j"),
        Walk::Label => ("l.job_id", "job_labels AS l"),
        Walk::Ready => ("s.id", "job_status AS s INDEXED BY job_status_ready"),
        Walk::Running => ("s.id", "job_status AS s INDEXED BY job_status_running"),
        Walk::Done => ("s.id", "job_status AS s INDEXED BY job_status_done"),
    };
    builder.push("SELECT ").push(id).push(" AS id FROM ").push(table);
    // Only what the filter asks about: a look at a row costs as much as some ten steps of the walk.
    if !table.starts_with("jobs ") && walk::asks_jobs(filter) {
        builder.push(" CROSS JOIN jobs AS j ON j.id = ").push(id);
    }
    let hides_own = filter.types.is_empty() && !filter.takes_reserved();
    let asks_status =
        walk::asks_status(filter) || (hides_own && walk == Walk::Label && !walk::asks_jobs(filter));
    if !table.starts_with("job_status ") && asks_status {
        builder.push(" CROSS JOIN job_status AS s ON s.id = ").push(id);
    }
    builder.push(" WHERE true");
    if let Some(before) = before {
        builder.push(" AND ").push(id).push(" < ");
        builder.push_bind(before.0.as_bytes().to_vec());
    }
    if !filter.job_ids.is_empty() {
        builder.push(" AND ").push(id).push(" IN (SELECT unhex(value) FROM json_each(");
        builder.push_bind(ids(filter.job_ids.iter().map(|id| &id.0))).push("))");
    }
    push_states(builder, filter, walk);
    push_texts(builder, filter, walk);
    push_labels(builder, filter, walk, id);
    in_list(builder, "s.job_type", filter.types.iter().map(JobType::as_str));
    if hides_own {
        // The server's own begin with "jobplane."; the slash comes next to the point.
        let table = if asks_status || table.starts_with("job_status ") { "s" } else { "j" };
        builder.push(format!(
            " AND ({table}.job_type < 'jobplane.' OR {table}.job_type >= 'jobplane/')"
        ));
    }
    in_list(builder, "s.queue", filter.queues.iter().map(QueueName::as_str));
    in_list(builder, "j.category", filter.categories.iter().map(Category::as_str));
    let triggers: Vec<i64> = filter.triggers.iter().map(|trigger| trigger_code(*trigger)).collect();
    in_codes(builder, "j.trigger", &triggers);
    equal(builder, "s.worker_id", filter.worker_id.as_ref().map(WorkerName::as_str));
    equal(builder, "j.created_by", filter.created_by.as_deref());
    within(builder, "j.create_time", filter.create_time);
    within(builder, "s.end_time", filter.end_time);
}

/// States; a walk of a partial index repeats its condition and names all that its first columns may
/// hold, so that it can be sought and not only walked.
fn push_states(builder: &mut Builder, filter: &JobFilter, walk: Walk) {
    match walk {
        Walk::Ids | Walk::Label | Walk::Text(_) | Walk::Newest => {
            in_codes(builder, "s.state", &codes(filter));
        }
        Walk::Ready => {
            builder.push(" AND s.state = 0");
            if filter.queues.is_empty() && !filter.types.is_empty() {
                builder.push(" AND s.queue IN (SELECT queue FROM stat_totals WHERE state = 0)");
            }
        }
        Walk::Running => {
            builder.push(" AND s.state = 1");
        }
        Walk::Done => {
            builder.push(" AND s.state >= 2");
            let wanted = if filter.states.is_empty() {
                StateKind::ALL.iter().map(|state| state_code(*state)).collect()
            } else {
                codes(filter)
            };
            in_codes(builder, "s.state", &wanted);
            if filter.types.is_empty() {
                builder.push(" AND s.job_type IN (SELECT job_type FROM stat_totals WHERE true");
                in_codes(builder, "state", &wanted);
                builder.push(")");
            }
        }
    }
}

/// Texts with a partial index of their own; the one that is walked repeats its condition.
fn push_texts(builder: &mut Builder, filter: &JobFilter, walk: Walk) {
    for (column, value) in [
        ("j.owner", &filter.owner),
        ("j.subject", &filter.subject),
        ("j.external_id", &filter.external_id),
    ] {
        equal(builder, column, value.as_deref());
        if walk == Walk::Text(column) {
            builder.push(" AND ").push(column).push(" <> ''");
        }
    }
}

fn push_labels(builder: &mut Builder, filter: &JobFilter, walk: Walk, id: &str) {
    let mut labels = filter.labels.iter();
    if walk == Walk::Label
        && let Some((key, value)) = labels.next()
    {
        equal(builder, "l.key", Some(key));
        equal(builder, "l.value", Some(value));
    }
    for (key, value) in labels {
        builder.push(" AND EXISTS (SELECT 1 FROM job_labels AS x WHERE x.key = ");
        builder.push_bind(key.clone()).push(" AND x.value = ").push_bind(value.clone());
        builder.push(" AND x.job_id = ").push(id).push(")");
    }
}

/// The ids of a page.
fn push_page(builder: &mut Builder, query: &ListQuery, few: bool) {
    push_ids(builder, query, &walks(&query.filter, few));
    builder.push(" ORDER BY id DESC LIMIT ").push_bind(super::limit(query.limit));
}

/// The ids of a page first: only they pay for their rows.
fn page(query: &ListQuery, few: bool) -> Builder {
    let mut builder = Builder::new(if query.full {
        "SELECT j.id, j.spec, j.payload, s.status, s.result, CAST(p.data || p.active || p.used AS BLOB)"
    } else {
        "SELECT j.id, j.spec, NULL, s.status, NULL, CAST(p.data || p.active || p.used AS BLOB)"
    });
    builder.push(" FROM (");
    push_page(&mut builder, query, few);
    builder.push(
        ") AS n CROSS JOIN jobs AS j ON j.id = n.id CROSS JOIN job_status AS s ON s.id = n.id \
         LEFT JOIN job_progress AS p ON p.id = n.id ORDER BY n.id DESC",
    );
    builder
}

/// Whether the jobs that the indexes by state would walk are few.
async fn are_few(readers: &SqlitePool, filter: &JobFilter) -> Result<bool> {
    if !walk::depends(filter) {
        return Ok(false);
    }
    let estimate: i64 = sqlx::query_scalar(ESTIMATE)
        .bind(serde_json::Value::from(codes(filter)).to_string())
        .bind(names(filter.types.iter().map(JobType::as_str)))
        .bind(names(filter.queues.iter().map(QueueName::as_str)))
        .fetch_one(readers)
        .await
        .map_err(from_sqlx)?;
    Ok(estimate <= walk::SORTED_MAX)
}

/// A page of jobs, newest first.
pub(super) async fn list(readers: &SqlitePool, query: &ListQuery) -> Result<Vec<Job>> {
    let few = are_few(readers, &query.filter).await?;
    let found: Vec<JobColumns> =
        page(query, few).build_query_as().fetch_all(readers).await.map_err(from_sqlx)?;
    read::jobs(found)
}

/// The ids of a page, newest first.
pub(super) async fn list_ids(readers: &SqlitePool, query: &ListQuery) -> Result<Vec<JobId>> {
    let few = are_few(readers, &query.filter).await?;
    let mut builder = Builder::new("");
    push_page(&mut builder, query, few);
    let found: Vec<(Vec<u8>,)> =
        builder.build_query_as().fetch_all(readers).await.map_err(from_sqlx)?;
    found.into_iter().map(|(id,)| Ok(JobId(rows::id("jobs.id", &id)?))).collect()
}

/// Counts the newest jobs that match.
pub(super) async fn census(
    readers: &SqlitePool,
    filter: &JobFilter,
    now: Timestamp,
    most: u64,
) -> Result<Census> {
    let few = are_few(readers, filter).await?;
    let query = ListQuery { filter: filter.clone(), before: None, limit: 0, full: false };
    let mut builder = Builder::new(
        "SELECT s.job_type, s.queue, s.state, count(*), \
         min(CASE WHEN s.state = 0 AND s.schedule_time <= ",
    );
    builder.push_bind(now.as_micros()).push(" THEN s.schedule_time END) FROM (");
    push_ids(&mut builder, &query, &walks(filter, few));
    builder.push(" ORDER BY id DESC LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
    builder.push(
        ") AS n CROSS JOIN job_status AS s ON s.id = n.id GROUP BY s.job_type, s.queue, s.state",
    );
    let found: Vec<(String, String, i64, i64, Option<i64>)> =
        builder.build_query_as().fetch_all(readers).await.map_err(from_sqlx)?;
    let mut census = Census::default();
    for (job_type, queue, code, count, ready) in found {
        let key = StatKey {
            job_type: rows::job_type("job_status.job_type", &job_type)?,
            queue: rows::queue("job_status.queue", &queue)?,
        };
        let state = rows::state("job_status.state", code)?;
        census.add(key, state, count, ready.map(Timestamp::from_micros));
    }
    Ok(census)
}

/// How many jobs match, up to `cap`.
pub(super) async fn count(readers: &SqlitePool, filter: &JobFilter, cap: u64) -> Result<u64> {
    let few = are_few(readers, filter).await?;
    let query = ListQuery { filter: filter.clone(), before: None, limit: 0, full: false };
    let mut builder = Builder::new("SELECT count(*) FROM (");
    push_ids(&mut builder, &query, &walks(filter, few));
    builder.push(" LIMIT ").push_bind(i64::try_from(cap).unwrap_or(i64::MAX)).push(")");
    let found: i64 = builder.build_query_scalar().fetch_one(readers).await.map_err(from_sqlx)?;
    Ok(u64::try_from(found).unwrap_or(0))
}

#[cfg(test)]
mod tests;
