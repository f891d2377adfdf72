//! Rules: reads, guards, writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::SqlitePool;

use crate::domain::Timestamp;
use crate::domain::limits::RULES_KNOWN_MAX;
use crate::store::{Batch, Result, Rule, RuleKey, RuleKind, RuleWrite};

use super::error::from_sqlx;
use super::input::Rows;
use super::script::{Place, Script};

pub(super) const STATEMENTS: &[&str] = &[OF_KINDS, BY_KEY, MISSES, PUT, DELETE];

const OF_KINDS: &str = "SELECT r.kind, r.name, r.revision, r.body FROM json_each(?1) AS e \
    CROSS JOIN rules AS r ON r.kind = e.value ORDER BY r.kind, r.name";

const BY_KEY: &str = "SELECT r.kind, r.name, r.revision, r.body FROM jsonb_each(?1) AS e \
    CROSS JOIN rules AS r ON r.kind = e.value ->> 0 AND r.name = e.value ->> 1";

/// The places of rows [kind, name, revision] whose rule has another revision; 0 is that of none.
const MISSES: &str = "SELECT e.key FROM jsonb_each(?1) AS e \
    LEFT JOIN rules AS r ON r.kind = e.value ->> 0 AND r.name = e.value ->> 1 \
    WHERE coalesce(r.revision, 0) <> e.value ->> 2";

const PUT: &str = "INSERT INTO rules (kind, name, revision, update_time, body) \
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, \
    substr(?2, value ->> 4, value ->> 5) FROM jsonb_each(?1) WHERE true \
    ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, \
    update_time = excluded.update_time, body = excluded.body";

const DELETE: &str = "DELETE FROM rules WHERE (kind, name) IN (\
    SELECT value ->> 0, value ->> 1 FROM jsonb_each(?1))";

/// How rules stand that rounds go by again and again; those that do not exist stand there as none. One connection writes,
/// so what it read or wrote last is what is on disk.
#[derive(Default)]
pub(super) struct KnownRules(HashMap<RuleKey, Option<Rule>>);

impl KnownRules {
    /// Those of these rules of which nothing is known: they are to be read, and learned.
    pub(super) fn unknown<'a>(&mut self, keys: &BTreeSet<&'a RuleKey>) -> BTreeSet<&'a RuleKey> {
        let unknown =
            |known: &Self| keys.iter().copied().filter(|key| !known.0.contains_key(*key)).collect();
        let some: BTreeSet<&RuleKey> = unknown(self);
        if self.0.len() + some.len() <= RULES_KNOWN_MAX {
            return some;
        }
        self.0.clear();
        unknown(self)
    }

    /// Those of these rules that exist, as far as it is known.
    pub(super) fn found(&self, keys: &BTreeSet<&RuleKey>) -> BTreeMap<RuleKey, Rule> {
        let known = |key| self.0.get(key).cloned().flatten();
        keys.iter().filter_map(|key| Some(((*key).clone(), known(*key)?))).collect()
    }

    /// Takes up how rules stand that were asked for.
    pub(super) fn learn(&mut self, asked: &BTreeSet<&RuleKey>, found: Vec<Rule>) {
        self.0.extend(asked.iter().map(|key| ((*key).clone(), None)));
        self.0.extend(found.into_iter().map(|rule| (rule.key.clone(), Some(rule))));
    }

    /// The rules of a batch whose guard misses; all of them are known.
    pub(super) fn missed(&self, batch: &Batch) -> Vec<RuleKey> {
        let stands = |key| self.0.get(key).and_then(Option::as_ref).map_or(0, |rule| rule.revision);
        let missed = batch.rules.iter().filter(|rule| stands(&rule.key) != rule.expected_revision);
        missed.map(|write| write.key.clone()).collect()
    }

    /// Takes up what was written; what nobody asks for need not be known.
    pub(super) fn wrote(&mut self, writes: &[RuleWrite]) {
        for RuleWrite { key, expected_revision, body } in writes {
            if let Some(known) = self.0.get_mut(key) {
                let (key, revision) = (key.clone(), expected_revision + 1);
                *known = body.clone().map(|body| Rule { key, revision, body });
            }
        }
    }
}

pub(super) type RuleColumns = (i64, String, i64, Vec<u8>);

fn rule((kind, name, revision, body): RuleColumns) -> Result<Rule> {
    let kind = RuleKind::of_code("rules.kind", kind)?;
    Ok(Rule { key: RuleKey { kind, name }, revision, body })
}

/// Every rule of these kinds, by kind and name.
pub(super) async fn of_kinds(readers: &SqlitePool, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
    let codes: std::collections::BTreeSet<i64> = kinds.iter().map(|kind| kind.code()).collect();
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    let found: Vec<RuleColumns> = sqlx::query_as(OF_KINDS)
        .bind(format!("[{}]", codes.join(",")))
        .fetch_all(readers)
        .await
        .map_err(from_sqlx)?;
    found.into_iter().map(rule).collect()
}

/// These rules, as far as they exist, by kind and name.
pub(super) async fn by_key(readers: &SqlitePool, keys: &[RuleKey]) -> Result<Vec<Rule>> {
    let keys: std::collections::BTreeSet<&RuleKey> = keys.iter().collect();
    let mut rows = Rows::default();
    for key in keys {
        rows.row().int(key.kind.code()).text(&key.name);
    }
    let (json, _) = rows.into_parts();
    let found: Vec<RuleColumns> =
        sqlx::query_as(BY_KEY).bind(json).fetch_all(readers).await.map_err(from_sqlx)?;
    found.into_iter().map(rule).collect()
}

/// Asks for these rules.
pub(super) fn ask_for<'a>(
    script: &mut Script,
    keys: impl Iterator<Item = &'a RuleKey>,
) -> Option<Place> {
    let mut rows = Rows::default();
    for key in keys {
        rows.row().int(key.kind.code()).text(&key.name);
    }
    script.add_rows(BY_KEY, rows)
}

/// The rules in the answer to [`ask_for`].
pub(super) fn found(rows: Vec<RuleColumns>) -> Result<Vec<Rule>> {
    rows.into_iter().map(rule).collect()
}

/// Asks for the places of those rules of a batch whose guard misses; nothing if it is known how all of them stand.
pub(super) fn ask(script: &mut Script, batch: &Batch, known: &KnownRules) -> Option<Place> {
    if batch.rules.iter().all(|write| known.0.contains_key(&write.key)) {
        return None;
    }
    let mut rows = Rows::default();
    for RuleWrite { key, expected_revision, .. } in &batch.rules {
        rows.row().int(key.kind.code()).text(&key.name).int(*expected_revision);
    }
    script.add_rows(MISSES, rows)
}

/// The rules of a batch whose guard missed, by the answer to [`ask`].
pub(super) fn missed(batch: &Batch, places: &[(i64,)]) -> Vec<RuleKey> {
    let rule = |(place,): &(i64,)| batch.rules.get(usize::try_from(*place).ok()?);
    places.iter().filter_map(rule).map(|write| write.key.clone()).collect()
}

/// Writes rules whose guards all held.
pub(super) fn write(script: &mut Script, writes: &[RuleWrite], now: Timestamp) {
    let (mut put, mut gone) = (Rows::default(), Rows::default());
    for RuleWrite { key, expected_revision, body } in writes {
        match body {
            Some(body) => {
                let row = put.row().int(key.kind.code()).text(&key.name);
                row.int(expected_revision + 1).int(now.as_micros()).slice(body);
            }
            None => {
                gone.row().int(key.kind.code()).text(&key.name);
            }
        }
    }
    script.add_rows(PUT, put);
    script.add_rows(DELETE, gone);
}
