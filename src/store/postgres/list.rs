//! Lists and counts: the one place where a statement is put together, from fixed texts and bound
//! values only.
//!
//! A page is sought by the index that fits its filter best ([`Walk`]); whatever else the filter says
//! is checked on the way.

use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::domain::filter::{JobFilter, TimeRange};
use crate::domain::job::Job;
use crate::domain::stats::StatKey;
use crate::domain::status::StateKind;
use crate::domain::{Category, JobId, JobType, QueueName, Timestamp, WorkerName};
use crate::store::rows::{self, state_code, trigger_code};
use crate::store::walk::{self, Walk, walks};
use crate::store::{Census, ListQuery, Result};

use super::error::from_sqlx;
use super::pool::Pool;
use super::read::{self, JobColumns};

pub(super) const STATEMENTS: &[&str] = &[ESTIMATE];

/// Jobs that the indexes by state would walk: the one of ended jobs does not know queues.
const ESTIMATE: &str = "SELECT coalesce(sum(stored), 0)::bigint FROM (\
    SELECT job_type, queue, state, stored FROM stat_totals UNION ALL \
    SELECT job_type, queue, state, stored FROM stat_deltas) AS f \
    WHERE ($1::bigint[] = '{}' OR state = ANY($1)) \
    AND ($2::text[] = '{}' OR job_type = ANY($2)) \
    AND (state >= 2 OR $3::text[] = '{}' OR queue = ANY($3))";

type Builder = QueryBuilder<Postgres>;

fn names<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}

fn codes(filter: &JobFilter) -> Vec<i64> {
    filter.states.iter().map(|state| state_code(*state)).collect()
}

fn in_list<'a>(builder: &mut Builder, column: &str, values: impl IntoIterator<Item = &'a str>) {
    let names = names(values);
    if !names.is_empty() {
        builder.push(" AND ").push(column).push(" = ANY(").push_bind(names).push(")");
    }
}

fn in_codes(builder: &mut Builder, column: &str, codes: Vec<i64>) {
    if !codes.is_empty() {
        builder.push(" AND ").push(column).push(" = ANY(").push_bind(codes).push(")");
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
fn push_ids(builder: &mut Builder, filter: &JobFilter, before: Option<JobId>, walks: &[Walk]) {
    for (place, walk) in walks.iter().enumerate() {
        if place > 0 {
            builder.push(" UNION ALL ");
        }
        push_walk(builder, filter, before, *walk);
    }
}

fn push_walk(builder: &mut Builder, filter: &JobFilter, before: Option<JobId>, walk: Walk) {
    let (id, table) = match walk {
        Walk::Ids | Walk::Text(_) | Walk::Newest => ("j.id", "jobs AS j"),
        Walk::Label => ("l.job_id", "job_labels AS l"),
        Walk::Ready | Walk::Running | Walk::Done => ("s.id", "job_status AS s"),
    };
    builder.push("SELECT ").push(id).push(" AS id FROM ").push(table);
    // Only what the filter asks about: a look at a row costs as much as some ten steps of the walk.
    if !table.starts_with("jobs ") && walk::asks_jobs(filter) {
        builder.push(" JOIN jobs AS j ON j.id = ").push(id);
    }
    let hides_own = filter.types.is_empty() && !filter.takes_reserved();
    let asks_status =
        walk::asks_status(filter) || (hides_own && walk == Walk::Label && !walk::asks_jobs(filter));
    if !table.starts_with("job_status ") && asks_status {
        builder.push(" JOIN job_status AS s ON s.id = ").push(id);
    }
    builder.push(" WHERE true");
    if let Some(before) = before {
        builder.push(" AND ").push(id).push(" < ").push_bind(before.0);
    }
    if !filter.job_ids.is_empty() {
        let ids: Vec<Uuid> = filter.job_ids.iter().map(|id| id.0).collect();
        builder.push(" AND ").push(id).push(" = ANY(").push_bind(ids).push(")");
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
    let triggers = filter.triggers.iter().map(|trigger| trigger_code(*trigger)).collect();
    in_codes(builder, "j.trigger", triggers);
    equal(builder, "s.worker_id", filter.worker_id.as_ref().map(WorkerName::as_str));
    equal(builder, "j.created_by", filter.created_by.as_deref());
    within(builder, "j.create_time", filter.create_time);
    within(builder, "s.end_time", filter.end_time);
}

/// The names that jobs in these states have, from counters alone: a bound on a later column of an
/// index seeks only with one on the first.
fn push_known(builder: &mut Builder, column: &str, states: &[i64]) {
    builder.push(" AND s.").push(column).push(" = ANY(ARRAY(");
    for (table, join) in [("stat_totals", " UNION "), ("stat_deltas", "))")] {
        builder.push("SELECT ").push(column).push(" FROM ").push(table).push(" WHERE true");
        in_codes(builder, "state", states.to_vec());
        builder.push(join);
    }
}

/// States; a walk of a partial index repeats its condition and names all that its first columns may
/// hold, so that it can be sought and not only walked.
fn push_states(builder: &mut Builder, filter: &JobFilter, walk: Walk) {
    match walk {
        Walk::Ids | Walk::Label | Walk::Text(_) | Walk::Newest => {
            in_codes(builder, "s.state", codes(filter));
        }
        Walk::Ready => {
            builder.push(" AND s.state = 0");
            if filter.queues.is_empty() && !filter.types.is_empty() {
                push_known(builder, "queue", &[state_code(StateKind::Pending)]);
            }
        }
        Walk::Running => {
            builder.push(" AND s.state = 1");
        }
        Walk::Done => {
            builder.push(" AND s.state >= 2");
            let wanted: Vec<i64> = StateKind::ALL
                .into_iter()
                .filter(|state| filter.states.is_empty() || filter.states.contains(state))
                .filter(|state| state.is_terminal())
                .map(state_code)
                .collect();
            if filter.types.is_empty() {
                push_known(builder, "job_type", &wanted);
            }
            in_codes(builder, "s.state", wanted);
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

/// The ids of a page, with `head` before the statement that finds them. What is gathered by its states is gathered
/// whole and then sorted; the planner does not know how few there are, and might rather walk all jobs.
fn page_ids(query: &ListQuery, few: bool, head: &str) -> Builder {
    let mut builder = Builder::new("");
    let walks = walks(&query.filter, few);
    if walks.iter().any(|walk| walk.gathers()) {
        builder.push("WITH found AS MATERIALIZED (");
        push_ids(&mut builder, &query.filter, query.before, &walks);
        builder.push(") ").push(head).push("SELECT id FROM found");
    } else {
        builder.push(head);
        push_ids(&mut builder, &query.filter, query.before, &walks);
    }
    builder.push(" ORDER BY id DESC LIMIT ").push_bind(super::limit(query.limit));
    builder
}

/// The ids of a page first: only they pay for their rows.
fn page(query: &ListQuery, few: bool) -> Builder {
    let head = if query.full {
        "SELECT j.id, j.spec, j.payload, s.status, s.result, p.data || p.active || p.used FROM ("
    } else {
        "SELECT j.id, j.spec, NULL::bytea, s.status, NULL::bytea, p.data || p.active || p.used FROM ("
    };
    let mut builder = page_ids(query, few, head);
    builder.push(
        ") AS n JOIN jobs AS j ON j.id = n.id JOIN job_status AS s ON s.id = n.id \
         LEFT JOIN job_progress AS p ON p.id = n.id ORDER BY n.id DESC",
    );
    builder
}

fn total(filter: &JobFilter, cap: u64, few: bool) -> Builder {
    let mut builder = Builder::new("SELECT count(*) FROM (");
    push_ids(&mut builder, filter, None, &walks(filter, few));
    builder.push(" LIMIT ").push_bind(i64::try_from(cap).unwrap_or(i64::MAX)).push(") AS n");
    builder
}

/// Whether the jobs that the indexes by state would walk are few.
async fn are_few(pool: &Pool, filter: &JobFilter) -> Result<bool> {
    if !walk::depends(filter) {
        return Ok(false);
    }
    let mut link = pool.read().await?;
    let estimate = link
        .query_scalar::<i64>(ESTIMATE)
        .bind(codes(filter))
        .bind(names(filter.types.iter().map(JobType::as_str)))
        .bind(names(filter.queues.iter().map(QueueName::as_str)));
    let estimate = estimate.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(estimate <= walk::SORTED_MAX)
}

/// A page of jobs, newest first.
pub(super) async fn list(pool: &Pool, query: &ListQuery) -> Result<Vec<Job>> {
    let few = are_few(pool, &query.filter).await?;
    // Planned for its values, each time: a plan for any values would have to fit the worst.
    let mut link = pool.read().await?;
    let mut page = page(query, few);
    let page = page.build_query_as::<JobColumns>().persistent(false);
    let found = page.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    read::jobs(found)
}

/// The ids of a page, newest first.
pub(super) async fn list_ids(pool: &Pool, query: &ListQuery) -> Result<Vec<JobId>> {
    let few = are_few(pool, &query.filter).await?;
    let mut link = pool.read().await?;
    let mut page = page_ids(query, few, "");
    let page = page.build_query_as::<(Uuid,)>().persistent(false);
    let found = page.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(found.into_iter().map(|(id,)| JobId(id)).collect())
}

/// Counts the newest jobs that match.
pub(super) async fn census(
    pool: &Pool,
    filter: &JobFilter,
    now: Timestamp,
    most: u64,
) -> Result<Census> {
    let few = are_few(pool, filter).await?;
    let mut builder = Builder::new(
        "SELECT s.job_type, s.queue, s.state, count(*), \
         min(CASE WHEN s.state = 0 AND s.schedule_time <= ",
    );
    builder.push_bind(now.as_micros()).push(" THEN s.schedule_time END) FROM (");
    push_ids(&mut builder, filter, None, &walks(filter, few));
    builder.push(" ORDER BY id DESC LIMIT ").push_bind(i64::try_from(most).unwrap_or(i64::MAX));
    builder
        .push(") AS n JOIN job_status AS s ON s.id = n.id GROUP BY s.job_type, s.queue, s.state");
    let mut link = pool.read().await?;
    let query = builder.build_query_as::<(String, String, i16, i64, Option<i64>)>();
    let found = query.persistent(false).fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    let mut census = Census::default();
    for (job_type, queue, code, count, ready) in found {
        let key = StatKey {
            job_type: rows::job_type("job_status.job_type", &job_type)?,
            queue: rows::queue("job_status.queue", &queue)?,
        };
        let state = rows::state("job_status.state", code.into())?;
        census.add(key, state, count, ready.map(Timestamp::from_micros));
    }
    Ok(census)
}

/// How many jobs match, up to `cap`.
pub(super) async fn count(pool: &Pool, filter: &JobFilter, cap: u64) -> Result<u64> {
    let few = are_few(pool, filter).await?;
    let mut link = pool.read().await?;
    let mut total = total(filter, cap, few);
    let total = total.build_query_scalar::<i64>().persistent(false);
    let found = total.fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(u64::try_from(found).unwrap_or(0))
}

#[cfg(test)]
mod tests;
