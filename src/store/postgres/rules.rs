//! Rules: reads, guards, writes.

use crate::store::{Batch, Error, Result, Rule, RuleKey, RuleKind, RuleWrite};

use super::commit::Failed;
use super::error::from_sqlx;
use super::pool::{Link, Pool};

pub(super) const STATEMENTS: &[&str] = &[OF_KINDS, BY_KEY, LOCK, MAKE, CHANGE, DELETE];

const OF_KINDS: &str = "SELECT kind, name, revision, body FROM rules \
    WHERE kind = ANY($1::smallint[]) ORDER BY kind, name";

const BY_KEY: &str = "SELECT r.kind, r.name, r.revision, r.body \
    FROM (SELECT DISTINCT kind, name FROM unnest($1::smallint[], $2::text[]) AS w(kind, name)) AS w \
    JOIN rules AS r ON r.kind = w.kind AND r.name = w.name ORDER BY r.kind, r.name";

/// Those of these rules that exist, which stay so until the end; locked in the order of their keys, so
/// that two servers cannot block each other.
const LOCK: &str = "SELECT r.kind, r.name, r.revision FROM unnest($1::smallint[], $2::text[]) \
    AS w(kind, name) JOIN rules AS r ON r.kind = w.kind AND r.name = w.name \
    ORDER BY r.kind, r.name FOR UPDATE OF r";

/// Waits for whoever makes one of them in this moment.
const MAKE: &str = "INSERT INTO rules (kind, name, revision, body, update_time) \
    SELECT kind, name, 1, body, $4 \
    FROM unnest($1::smallint[], $2::text[], $3::bytea[]) AS w(kind, name, body) \
    ORDER BY kind, name ON CONFLICT DO NOTHING";

const CHANGE: &str = "UPDATE rules AS r SET revision = r.revision + 1, body = w.body, \
    update_time = $4 FROM unnest($1::smallint[], $2::text[], $3::bytea[]) AS w(kind, name, body) \
    WHERE r.kind = w.kind AND r.name = w.name";

const DELETE: &str = "DELETE FROM rules AS r USING unnest($1::smallint[], $2::text[]) \
    AS w(kind, name) WHERE r.kind = w.kind AND r.name = w.name";

#[derive(Debug, thiserror::Error)]
#[error("others make the same rules again and again")]
struct MadeMeanwhile;

type RuleColumns = (i16, String, i64, Vec<u8>);

fn rule((kind, name, revision, body): RuleColumns) -> Result<Rule> {
    let kind = RuleKind::of_code("rules.kind", kind.into())?;
    Ok(Rule { key: RuleKey { kind, name }, revision, body })
}

fn code(kind: RuleKind) -> i16 {
    i16::try_from(kind.code()).unwrap_or(i16::MAX)
}

/// Every rule of these kinds, by kind and name.
pub(super) async fn of_kinds(pool: &Pool, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
    let codes: Vec<i16> = kinds.iter().map(|kind| code(*kind)).collect();
    let mut link = pool.read().await?;
    let query = link.query_as::<RuleColumns>(OF_KINDS).bind(codes);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found.into_iter().map(rule).collect()
}

/// These rules, as far as they exist, by kind and name.
pub(super) async fn by_key(pool: &Pool, keys: &[RuleKey]) -> Result<Vec<Rule>> {
    let (kinds, names) = columns(keys.iter());
    let mut link = pool.read().await?;
    let query = link.query_as::<RuleColumns>(BY_KEY).bind(kinds).bind(names);
    let found = query.fetch_all(&mut *link).await.map_err(from_sqlx)?;
    link.done().await?;
    found.into_iter().map(rule).collect()
}

pub(super) fn columns<'a>(keys: impl Iterator<Item = &'a RuleKey>) -> (Vec<i16>, Vec<String>) {
    keys.map(|key| (code(key.kind), key.name.clone())).unzip()
}

/// Writes the rules of a batch within its transaction, unless one of them is not as expected; answers
/// which are not.
pub(super) async fn write(link: &mut Link, batch: &Batch) -> Result<Vec<RuleKey>, Failed> {
    if batch.rules.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| Failed::from(from_sqlx(error));
    let (kinds, names) = columns(batch.rules.iter().map(|write| &write.key));
    let query = link.query_as::<(i16, String, i64)>(LOCK).bind(kinds).bind(names);
    let held = query.fetch_all(&mut **link).await.map_err(failed)?;
    let stands = |key: &RuleKey| {
        let row = held.iter().find(|(kind, name, _)| *kind == code(key.kind) && *name == key.name);
        row.map_or(0, |(_, _, revision)| *revision)
    };
    let missed = batch.rules.iter().filter(|write| stands(&write.key) != write.expected_revision);
    let missed: Vec<RuleKey> = missed.map(|write| write.key.clone()).collect();
    if !missed.is_empty() {
        return Ok(missed);
    }
    let now = batch.now.as_micros();
    for (statement, new) in [(MAKE, true), (CHANGE, false)] {
        let put: Vec<&RuleWrite> = batch
            .rules
            .iter()
            .filter(|write| write.body.is_some() && (write.expected_revision == 0) == new)
            .collect();
        if put.is_empty() {
            continue;
        }
        let (kinds, names) = columns(put.iter().map(|write| &write.key));
        let bodies: Vec<Vec<u8>> = put.iter().filter_map(|write| write.body.clone()).collect();
        let query = link.query(statement).bind(kinds).bind(names).bind(bodies).bind(now);
        let done = query.execute(&mut **link).await.map_err(failed)?;
        if done.rows_affected() < put.len() as u64 {
            // Somebody made one in the very moment: the next try sees it.
            return Err(Failed::Collided(Error::Unavailable(std::sync::Arc::new(MadeMeanwhile))));
        }
    }
    let gone = batch.rules.iter().filter(|write| write.body.is_none());
    let (kinds, names) = columns(gone.map(|write| &write.key));
    if !kinds.is_empty() {
        let query = link.query(DELETE).bind(kinds).bind(names);
        query.execute(&mut **link).await.map_err(failed)?;
    }
    Ok(Vec::new())
}
