//! The change log: one row for each commit.
//!
//! A place in it is a snapshot: what is new since then are the transactions that came after it and those
//! that were under way in it, however long another transaction stays open. Transactions are numbered
//! within an incarnation of the database (see the migration), which stands in the bits from 48 on.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::status::StateKind;
use crate::domain::{BatchId, JobId, JobType, Origin, Position, QueueName, Timestamp};
use crate::store::passed::Passed;
use crate::store::rows::corrupt;
use crate::store::rules::{log_of, logged};
use crate::store::{ChangesSince, Error, Ready, RemovedJob, Result, RuleKey};

use super::error::from_sqlx;
use super::pool::{Link, Pool};

pub(super) const STATEMENTS: &[&str] =
    &[ENUMERATE, ORIGIN, POSITION, SINCE, FENCE, IS_COMMIT, PRUNE];

/// Gives the next number to an incarnation that has none.
const ENUMERATE: &str = "WITH next AS (UPDATE origin SET incarnations = incarnations + 1 \
    WHERE NOT EXISTS (SELECT 1 FROM incarnation) RETURNING incarnations) \
    INSERT INTO incarnation SELECT 1, incarnations FROM next ON CONFLICT DO NOTHING";

/// The timeline is in the name of the file that is written to.
const ORIGIN: &str = "SELECT store, \
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint FROM origin";

/// What can be seen now: the first transaction that has not begun, and those under way before it.
macro_rules! here {
    () => {
        "(SELECT number << 48 | pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
         FROM incarnation), \
         ARRAY(SELECT number << 48 | xip::text::bigint \
         FROM incarnation, pg_snapshot_xip(pg_current_snapshot()) AS xip)"
    };
}

/// The transaction under way; none while its incarnation has no number.
macro_rules! transaction {
    () => {
        "(SELECT number << 48 | pg_current_xact_id()::text::bigint FROM incarnation)"
    };
}

/// Transaction, next, under_way: where a commit stands in the log.
pub(super) use {here, transaction};

const POSITION: &str = concat!("SELECT ", here!());

/// The columns and the conditions of what was done: each row names a job or a rule, so their number is
/// bounded by that of these. Of the commits $3 only the rules are told.
macro_rules! told {
    ($since:literal) => {
        concat!(
            "SELECT NULL, NULL, NULL, NULL, job_ids, removed::text, ready::text, rules::text, \
            transaction = ANY($3) FROM changes WHERE ",
            $since,
            " AND (transaction <> ALL($3) AND (job_ids <> '{}' OR removed <> '[]') \
            OR rules <> '[]')"
        )
    };
}

/// The place that the answer leads to, what is gone from the log, and rows since $1 and of $2: all as one
/// snapshot shows it.
const SINCE: &str = concat!(
    "SELECT ",
    here!(),
    ", pruned_next, pruned_under_way, NULL::uuid[], NULL, NULL, NULL, NULL::bool FROM origin \
    UNION ALL ",
    told!("transaction >= $1"),
    " UNION ALL ",
    told!("transaction = ANY($2)")
);

/// Waits for a commit of the same batch that is under way. If there was none, there will be none.
const FENCE: &str = concat!(
    "INSERT INTO changes (batch_id, fence, time, job_ids, removed, ready, transaction, next, \
    under_way) SELECT $1, true, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, '{}', \
    '[]', '[]', ",
    transaction!(),
    ", ",
    here!(),
    " ON CONFLICT DO NOTHING"
);

const IS_COMMIT: &str = "SELECT NOT fence FROM changes WHERE batch_id = $1";

/// Rows older than $1 that can be seen from the newest of them, at most $2. Whoever knows all that can be
/// seen from there misses none of them; that is noted with them, not their number: one that began
/// early may come late. Of two places with the same `next` the later one has fewer under way.
const PRUNE: &str = "WITH last AS MATERIALIZED (SELECT next, under_way FROM changes \
    WHERE time < $1 ORDER BY time DESC LIMIT 1), \
    gone AS (DELETE FROM changes WHERE batch_id = ANY(ARRAY(SELECT c.batch_id \
    FROM changes AS c, last WHERE c.time < $1 AND c.transaction < last.next \
    AND c.transaction <> ALL(last.under_way) ORDER BY c.time LIMIT $2)) RETURNING 1), \
    noted AS (UPDATE origin SET pruned_next = last.next, pruned_under_way = last.under_way \
    FROM last WHERE (pruned_next, -cardinality(pruned_under_way)) \
    < (last.next, -cardinality(last.under_way)) AND EXISTS (SELECT 1 FROM gone)) \
    SELECT count(*) FROM gone";

/// An empty list, as the log has it.
const NONE: &str = "[]";

const REMOVED: &str = "changes.removed";
const READY: &str = "changes.ready";
const TRANSACTION: &str = "changes.transaction";

/// What the log says of a batch.
pub(super) struct Entry {
    pub job_ids: Vec<Uuid>,
    pub removed: String,
    pub ready: String,
    pub rules: String,
}

impl Entry {
    pub(super) fn of(passed: &Passed<'_>) -> Result<Self> {
        let written = || {
            let written = passed.writes().map(|write| &write.job);
            passed.creates().map(|new| &new.job).chain(written)
        };
        let mut ready: BTreeMap<(&QueueName, &JobType), Timestamp> = BTreeMap::new();
        for job in written().filter(|job| job.status.kind() == StateKind::Pending) {
            let at = job.status.schedule_time;
            let line = (&job.status.effective.queue, &job.spec.job_type);
            ready.entry(line).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
        let ready: Vec<Ready> = ready
            .into_iter()
            .map(|((queue, job_type), at)| Ready {
                queue: queue.clone(),
                job_type: job_type.clone(),
                at,
            })
            .collect();
        let removed: Vec<_> = passed.deletes().map(|delete| RemovedJob::of(&delete.job)).collect();
        Ok(Self {
            job_ids: written().map(|job| job.id.0).collect(),
            removed: json(REMOVED, &removed)?,
            ready: json(READY, &ready)?,
            rules: log_of(&passed.batch.rules)?,
        })
    }
}

fn json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

/// Gives the database's incarnation a number, if it has none yet.
pub(super) async fn enumerate(pool: &Pool) -> Result<()> {
    let mut link = pool.read().await?;
    let given = link.query(ENUMERATE).execute(&mut *link).await.map_err(from_sqlx)?;
    if given.rows_affected() > 0 {
        tracing::info!("the database came up anew: its transactions are counted as a new series");
    }
    link.done().await
}

/// Where a commit stands.
pub(super) fn at(transaction: i64) -> Result<Position> {
    number(transaction).map(Position::Transaction)
}

fn number(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|error| corrupt(TRANSACTION, error))
}

/// What could be seen.
pub(super) fn snapshot(next: i64, under_way: &[i64]) -> Result<Position> {
    let under_way = under_way.iter().map(|transaction| number(*transaction));
    Ok(Position::snapshot(number(next)?, under_way.collect::<Result<_>>()?))
}

/// Which change log it is.
pub(super) async fn origin(pool: &Pool) -> Result<Origin> {
    let mut link = pool.read().await?;
    let (store, timeline) = link.query_as(ORIGIN).fetch_one(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    Ok(Origin { store, timeline })
}

/// How far the log goes.
pub(super) async fn position(pool: &Pool) -> Result<Position> {
    loop {
        let mut link = pool.read().await?;
        let (next, under_way): (Option<i64>, Vec<i64>) =
            link.query_as(POSITION).fetch_one(&mut *link).await.map_err(from_sqlx)?;
        link.done().await?;
        match next {
            Some(next) => return snapshot(next, &under_way),
            None => enumerate(pool).await?,
        }
    }
}

type Row = (
    Option<i64>,
    Option<Vec<i64>>,
    Option<i64>,
    Option<Vec<i64>>,
    Option<Vec<Uuid>>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<bool>,
);

/// What was read of the log so far.
#[derive(Default)]
struct Found {
    ids: HashSet<JobId>,
    removed: Vec<RemovedJob>,
    ready: BTreeMap<(QueueName, JobType), Timestamp>,
    rules: BTreeSet<RuleKey>,
    count: usize,
}

impl Found {
    fn add(&mut self, job_ids: Vec<Uuid>, removed: &str, ready: &str, rules: &str) -> Result<()> {
        let removed: Vec<RemovedJob> =
            serde_json::from_str(removed).map_err(|error| corrupt(REMOVED, error))?;
        let ready: Vec<Ready> =
            serde_json::from_str(ready).map_err(|error| corrupt(READY, error))?;
        let rules = logged(rules)?;
        self.count += job_ids.len() + removed.len() + rules.len();
        self.rules.extend(rules);
        self.ids.extend(job_ids.into_iter().map(JobId));
        self.removed.extend(removed);
        for Ready { queue, job_type, at } in ready {
            let first = self.ready.entry((queue, job_type)).or_insert(at);
            *first = at.min(*first);
        }
        Ok(())
    }

    fn leads_to(mut self, position: Position) -> ChangesSince {
        for gone in &self.removed {
            self.ids.remove(&gone.id);
        }
        let ready = self.ready.into_iter();
        ChangesSince::Found {
            ids: self.ids.into_iter().collect(),
            removed: self.removed,
            ready: ready.map(|((queue, job_type), at)| Ready { queue, job_type, at }).collect(),
            rules: self.rules.into_iter().collect(),
            position,
        }
    }
}

/// What was done since `position`; of the commits `known` only which rules they changed.
pub(super) async fn since(
    pool: &Pool,
    position: &Position,
    known: &[i64],
    limit: usize,
) -> Result<ChangesSince> {
    loop {
        let mut link = pool.read().await?;
        let answer = read_since(&mut link, position, known, limit).await?;
        if matches!(answer, Some(ChangesSince::Found { .. })) {
            link.done().await?;
        }
        if let Some(answer) = answer {
            return Ok(answer);
        }
        enumerate(pool).await?;
    }
}

/// None if the database's incarnation has no number yet. Only what was found whole leaves the link fit to
/// be used again: of other answers rows may be left unread.
pub(super) async fn read_since(
    link: &mut Link,
    position: &Position,
    known: &[i64],
    limit: usize,
) -> Result<Option<ChangesSince>> {
    let Position::Snapshot { next, under_way } = position else {
        return Ok(Some(ChangesSince::TooOld));
    };
    let Ok(after) = i64::try_from(*next) else { return Ok(Some(ChangesSince::Ahead)) };
    let under_way: Vec<i64> = under_way.iter().map(|number| number.cast_signed()).collect();
    let mut found = Found::default();
    let mut leads_to = None;
    let query = link.query_as::<Row>(SINCE).bind(after).bind(under_way).bind(known.to_vec());
    let mut rows = query.fetch(&mut **link);
    while let Some((next, under_way, gone, gone_under_way, ids, removed, ready, rules, known)) =
        rows.try_next().await.map_err(from_sqlx)?
    {
        if let (Some(gone), Some(gone_under_way)) = (gone, gone_under_way) {
            let Some(next) = next else { return Ok(None) };
            if after > next {
                return Ok(Some(ChangesSince::Ahead));
            }
            if !position.covers(&snapshot(gone, &gone_under_way)?) {
                return Ok(Some(ChangesSince::TooOld));
            }
            leads_to = Some(snapshot(next, &under_way.unwrap_or_default())?);
        } else if let (Some(ids), Some(removed), Some(ready), Some(rules)) =
            (ids, removed, ready, rules)
        {
            if known == Some(true) {
                found.add(Vec::new(), NONE, NONE, &rules)?;
            } else {
                found.add(ids, &removed, &ready, &rules)?;
            }
        }
        if found.count > limit {
            return Ok(Some(ChangesSince::TooMany));
        }
    }
    drop(rows);
    let leads_to = leads_to.ok_or_else(|| corrupt("origin", "there is no row"))?;
    Ok(Some(found.leads_to(leads_to)))
}

/// Whether a batch was committed. If not, it never will be: what is still under way of it meets the
/// row that this leaves.
pub(super) async fn knows(pool: &Pool, id: BatchId) -> Result<bool> {
    loop {
        let mut link = pool.read().await?;
        match link.query(FENCE).bind(id.0).execute(&mut *link).await {
            Ok(_) => {}
            Err(error) if is_unnumbered(&error) => {
                drop(link);
                enumerate(pool).await?;
                continue;
            }
            Err(error) => return Err(from_sqlx(error)),
        }
        // Not both at once: this one has to see what the first one waited for.
        let found: Option<bool> = link
            .query_scalar(IS_COMMIT)
            .bind(id.0)
            .fetch_optional(&mut *link)
            .await
            .map_err(from_sqlx)?;
        // Without an answer to this the fence may not stand, and it is to be asked again.
        return match link.done().await {
            Ok(()) => Ok(found.unwrap_or(false)),
            Err(Error::OutcomeUnknown(source)) => Err(Error::Unavailable(source)),
            Err(error) => Err(error),
        };
    }
}

/// Whether a row could not be placed because the incarnation has no number.
pub(super) fn is_unnumbered(error: &sqlx::Error) -> bool {
    let Some(database) = error.as_database_error() else { return false };
    let is_placed = matches!(database.table(), Some("changes" | "events"));
    database.code().as_deref() == Some(NOT_NULL) && is_placed
}

const NOT_NULL: &str = "23502";

/// Takes away rows that are older than `before`, within the pruner's transaction; answers how many.
pub(super) async fn prune(connection: &mut PgConnection, before: i64, limit: i64) -> Result<u64> {
    let gone: i64 = sqlx::query_scalar(PRUNE)
        .persistent(false)
        .bind(before)
        .bind(limit)
        .fetch_one(connection)
        .await
        .map_err(from_sqlx)?;
    Ok(u64::try_from(gone).unwrap_or(0))
}
