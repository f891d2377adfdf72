//! What rounds keep from each other, and how it stands.
//!
//! What a round claims need not have a row: an advisory lock of its transaction needs none, writes nothing,
//! and ends with it behind a pooler, too. What it may write besides (what is left of a rate, of a quota, how a breaker
//! stands) is locked as rows, for whoever writes an outcome knows of no claims.

use crate::domain::{JobType, QueueName};
use crate::store::rows::{corrupt, job_type, queue};
use crate::store::{Claims, Result, Rule, RuleKey, RuleKind, Standing};

use super::error::from_sqlx;
use super::pool::{Link, Pool};
use super::rules::columns;

pub(super) const STATEMENTS: &[&str] = &[KEEP, READ];

/// In the order of their numbers, so that no two rounds wait for each other; keys that share a number only wait
/// once more. The first number keeps these apart from other locks.
const KEEP: &str = "SELECT pg_advisory_xact_lock(1785687149, n.number) FROM (\
    SELECT DISTINCT hashtext(k.kind || ' ' || k.name) AS number \
    FROM unnest($1::smallint[], $2::text[]) AS k(kind, name) ORDER BY 1) AS n";

/// In rows of what it is, a number, two texts, another number, bytes. What is kept comes as it is written last;
/// counters are those that were folded and those that were not yet, of one snapshot.
const READ: &str = "WITH kept AS MATERIALIZED (SELECT r.kind, r.name, r.revision, r.body \
    FROM unnest($1::smallint[], $2::text[]) AS w(kind, name) \
    JOIN rules AS r ON r.kind = w.kind AND r.name = w.name \
    ORDER BY r.kind, r.name FOR UPDATE OF r), \
    pending AS MATERIALIZED (SELECT job_type, queue, stored FROM stat_deltas WHERE state = 1 \
    AND ($5 OR queue = ANY($6::text[]) OR job_type = ANY($7::text[]))) \
    SELECT 0, kind::int, name, '', revision, body FROM kept UNION ALL \
    SELECT 0, r.kind::int, r.name, '', r.revision, r.body \
    FROM unnest($3::smallint[], $4::text[]) AS w(kind, name) \
    JOIN rules AS r ON r.kind = w.kind AND r.name = w.name UNION ALL \
    SELECT 1, 0, '', '', coalesce(sum(f.stored), 0)::bigint, NULL FROM (\
    SELECT stored FROM stat_totals WHERE state = 1 AND $5 UNION ALL \
    SELECT stored FROM pending WHERE $5) AS f UNION ALL \
    SELECT 2, 0, f.queue, '', sum(f.stored)::bigint, NULL FROM (\
    SELECT queue, stored FROM stat_totals WHERE state = 1 AND queue = ANY($6) UNION ALL \
    SELECT queue, stored FROM pending WHERE queue = ANY($6)) AS f GROUP BY f.queue UNION ALL \
    SELECT 3, 0, f.job_type, '', sum(f.stored)::bigint, NULL FROM (\
    SELECT job_type, stored FROM stat_totals WHERE state = 1 AND job_type = ANY($7) UNION ALL \
    SELECT job_type, stored FROM pending WHERE job_type = ANY($7)) AS f GROUP BY f.job_type \
    UNION ALL SELECT 4, 0, v.job_type, v.value, (SELECT count(*) FROM job_status AS s \
    WHERE s.state = 1 AND s.concurrency_key IS NOT NULL AND s.job_type = v.job_type \
    AND s.concurrency_key = v.value), NULL \
    FROM unnest($8::text[], $9::text[]) AS v(job_type, value)";

/// What, kind, name, value, number, body.
type Row = (i32, i32, String, String, i64, Option<Vec<u8>>);

/// Waits for whoever holds what is claimed.
pub(super) async fn keep(link: &mut Link, claims: &Claims) -> Result<()> {
    if claims.keys.is_empty() {
        return Ok(());
    }
    let (kinds, names) = columns(claims.keys.iter());
    let query = link.query(KEEP).bind(kinds).bind(names);
    query.execute(&mut **link).await.map_err(from_sqlx)?;
    Ok(())
}

/// How it stands: in a statement of its own, for one sees nothing of what was committed while it waited.
pub(super) async fn stand(link: &mut Link, kept: bool, claims: &Claims) -> Result<Standing> {
    let read_only = claims.keys.iter().filter(|_| !kept).chain(&claims.rules);
    let (read_kinds, read_names) = columns(read_only);
    let (kinds, names) = columns(claims.keys.iter().filter(|_| kept));
    let queues: Vec<&str> = claims.queues.iter().map(QueueName::as_str).collect();
    let types: Vec<&str> = claims.types.iter().map(JobType::as_str).collect();
    let (of, values): (Vec<&str>, Vec<&str>) =
        claims.values.iter().map(|(of, value)| (of.as_str(), value.as_str())).unzip();
    let rows: Vec<Row> = link
        .query_as(READ)
        .bind(kinds)
        .bind(names)
        .bind(read_kinds)
        .bind(read_names)
        .bind(claims.running)
        .bind(queues)
        .bind(types)
        .bind(of)
        .bind(values)
        .fetch_all(&mut **link)
        .await
        .map_err(from_sqlx)?;
    standing(rows)
}

fn standing(rows: Vec<Row>) -> Result<Standing> {
    let mut standing = Standing::default();
    for (what, kind, name, value, number, body) in rows {
        let count = u64::try_from(number).unwrap_or(0);
        match what {
            0 => {
                let kind = RuleKind::of_code("rules.kind", kind.into())?;
                let key = RuleKey { kind, name };
                let rule = Rule { key, revision: number, body: body.unwrap_or_default() };
                standing.rules.insert(rule.key.clone(), rule);
            }
            1 => standing.running = count,
            2 => {
                standing.queues.insert(queue("stat_totals.queue", &name)?, count);
            }
            3 => {
                standing.types.insert(job_type("stat_totals.job_type", &name)?, count);
            }
            4 if count > 0 => {
                let job_type = job_type("job_status.job_type", &name)?;
                standing.values.insert((job_type, value), count);
            }
            4 => {}
            other => return Err(corrupt("standing", format!("nothing is called {other}"))),
        }
    }
    Ok(standing)
}

/// The same without keeping anything.
pub(super) async fn read(pool: &Pool, claims: &Claims) -> Result<Standing> {
    let mut link = pool.read().await?;
    let standing = stand(&mut link, false, claims).await?;
    link.done().await?;
    Ok(standing)
}
