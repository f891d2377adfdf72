//! Lists and counts: the one place where a statement is put together, from fixed texts and bound
//! values only.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use crate::domain::JobId;
use crate::domain::filter::{JobFilter, TimeRange};
use crate::domain::job::Job;
use crate::domain::status::StateKind;
use crate::store::rows::{state_code, trigger_code};
use crate::store::{ListQuery, Result};

use super::error::from_sqlx;
use super::input::ids;
use super::read::{self, JobColumns};

/// What a statement walks; everything else in the filter is checked on the way.
enum Path {
    /// The ids that are named.
    Ids,
    /// The jobs with one of the labels.
    Label,
    /// An index on a text of the spec.
    Text(&'static str),
    /// The few that stand in a state with an index of its own.
    State,
    /// All jobs, newest first.
    Newest,
}

impl Path {
    /// The path that touches the fewest rows, as far as a filter alone can tell.
    fn of(filter: &JobFilter) -> Self {
        let live = |state: &StateKind| !state.is_terminal();
        let unhappy = |state: &StateKind| {
            matches!(state, StateKind::Failed | StateKind::Cancelled | StateKind::Skipped)
        };
        let named = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !filter.job_ids.is_empty() {
            Self::Ids
        } else if named(&filter.external_id) {
            Self::Text("j.external_id")
        } else if named(&filter.subject) {
            Self::Text("j.subject")
        } else if !filter.labels.is_empty() {
            Self::Label
        } else if named(&filter.owner) {
            Self::Text("j.owner")
        } else if !filter.states.is_empty()
            && (filter.states.iter().all(live) || filter.states.iter().all(unhappy))
        {
            Self::State
        } else {
            Self::Newest
        }
    }
}

type Builder = QueryBuilder<Sqlite>;

fn in_list<'a>(builder: &mut Builder, column: &str, values: impl IntoIterator<Item = &'a str>) {
    let values: Vec<&str> = values.into_iter().collect();
    if !values.is_empty() {
        builder.push(" AND ").push(column).push(" IN (SELECT value FROM json_each(");
        builder.push_bind(serde_json::Value::from(values).to_string()).push("))");
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

/// FROM and WHERE of a filter. The id of the first table on the path is the one to sort by: its
/// name is the answer.
fn push_filter(builder: &mut Builder, filter: &JobFilter, before: Option<JobId>) -> &'static str {
    let path = Path::of(filter);
    let (tables, id) = match path {
        Path::Ids | Path::Text(_) | Path::Newest => {
            (" FROM jobs AS j CROSS JOIN job_status AS s ON s.id = j.id WHERE true", "j.id")
        }
        Path::Label => (
            " FROM job_labels AS l CROSS JOIN jobs AS j ON j.id = l.job_id \
             CROSS JOIN job_status AS s ON s.id = j.id WHERE true",
            "l.job_id",
        ),
        Path::State => {
            (" FROM job_status AS s CROSS JOIN jobs AS j ON j.id = s.id WHERE true", "s.id")
        }
    };
    builder.push(tables);
    if let Some(before) = before {
        builder.push(" AND ").push(id).push(" < ");
        builder.push_bind(before.0.as_bytes().to_vec());
    }
    if !filter.job_ids.is_empty() {
        builder.push(" AND j.id IN (SELECT unhex(value) FROM json_each(");
        builder.push_bind(ids(filter.job_ids.iter().map(|id| &id.0))).push("))");
    }
    push_text(builder, filter, &path);
    push_labels(builder, filter, &path);
    push_states(builder, filter, &path);
    in_list(builder, "s.job_type", filter.types.iter().map(crate::domain::JobType::as_str));
    in_list(builder, "s.queue", filter.queues.iter().map(crate::domain::QueueName::as_str));
    in_list(builder, "j.category", filter.categories.iter().map(crate::domain::Category::as_str));
    let triggers: Vec<i64> = filter.triggers.iter().map(|trigger| trigger_code(*trigger)).collect();
    in_codes(builder, "j.trigger", &triggers);
    let worker = filter.worker_id.as_ref().map(crate::domain::WorkerName::as_str);
    equal(builder, "s.worker_id", worker);
    equal(builder, "j.created_by", filter.created_by.as_deref());
    within(builder, "j.create_time", filter.create_time);
    within(builder, "s.end_time", filter.end_time);
    id
}

/// Texts with a partial index of their own; the one that is walked repeats the index's condition.
fn push_text(builder: &mut Builder, filter: &JobFilter, path: &Path) {
    for (column, value) in [
        ("j.owner", &filter.owner),
        ("j.subject", &filter.subject),
        ("j.external_id", &filter.external_id),
    ] {
        equal(builder, column, value.as_deref());
        if matches!(path, Path::Text(walked) if *walked == column) {
            builder.push(" AND ").push(column).push(" <> ''");
        }
    }
}

fn push_labels(builder: &mut Builder, filter: &JobFilter, path: &Path) {
    let mut labels = filter.labels.iter();
    if matches!(path, Path::Label)
        && let Some((key, value)) = labels.next()
    {
        equal(builder, "l.key", Some(key));
        equal(builder, "l.value", Some(value));
    }
    for (key, value) in labels {
        builder.push(" AND EXISTS (SELECT 1 FROM job_labels AS x WHERE x.key = ");
        builder.push_bind(key.clone()).push(" AND x.value = ").push_bind(value.clone());
        builder.push(" AND x.job_id = j.id)");
    }
}

/// States; on the path of states each one with the condition of its index.
fn push_states(builder: &mut Builder, filter: &JobFilter, path: &Path) {
    let codes: Vec<i64> = filter.states.iter().map(|state| state_code(*state)).collect();
    if !matches!(path, Path::State) {
        in_codes(builder, "s.state", &codes);
        return;
    }
    let has = |state| filter.states.contains(&state);
    if has(StateKind::Pending) && has(StateKind::Running) {
        builder.push(" AND (s.state = 0 OR s.state = 1)");
    } else if has(StateKind::Pending) {
        builder.push(" AND s.state = 0");
    } else if has(StateKind::Running) {
        builder.push(" AND s.state = 1");
    } else {
        in_codes(builder, "s.state", &codes);
        builder.push(" AND s.state >= 2");
        if filter.types.is_empty() {
            // The index leads with the type: name all there are.
            builder.push(" AND s.job_type IN (SELECT t.job_type FROM stat_totals AS t WHERE true");
            in_codes(builder, "t.state", &codes);
            builder.push(")");
        }
    }
}

/// A page of jobs, newest first.
pub(super) async fn list(readers: &SqlitePool, query: &ListQuery) -> Result<Vec<Job>> {
    let mut builder = Builder::new(if query.full {
        "SELECT j.id, j.spec, j.payload, s.status, s.result, p.data"
    } else {
        "SELECT j.id, j.spec, NULL, s.status, NULL, p.data"
    });
    // The page's ids first: only they pay for their rows.
    builder.push(" FROM (SELECT j.id");
    let id = push_filter(&mut builder, &query.filter, query.before);
    builder.push(" ORDER BY ").push(id).push(" DESC LIMIT ");
    builder.push_bind(super::limit(query.limit));
    builder.push(
        ") AS n CROSS JOIN jobs AS j ON j.id = n.id CROSS JOIN job_status AS s ON s.id = n.id \
         LEFT JOIN job_progress AS p ON p.id = n.id ORDER BY n.id DESC",
    );
    let found: Vec<JobColumns> =
        builder.build_query_as().fetch_all(readers).await.map_err(from_sqlx)?;
    read::jobs(found)
}

/// How many jobs match, up to `cap`.
pub(super) async fn count(readers: &SqlitePool, filter: &JobFilter, cap: u64) -> Result<u64> {
    let mut builder = Builder::new("SELECT count(*) FROM (SELECT 1");
    push_filter(&mut builder, filter, None);
    builder.push(" LIMIT ").push_bind(i64::try_from(cap).unwrap_or(i64::MAX)).push(")");
    let found: i64 = builder.build_query_scalar().fetch_one(readers).await.map_err(from_sqlx)?;
    Ok(u64::try_from(found).unwrap_or(0))
}
