//! What the statement is given: an array for each column.

mod history;
mod jobs;
mod progress;

use serde_json::json;
use uuid::Uuid;

use crate::domain::JobId;
use crate::store::figures;
use crate::store::names::Claim;
use crate::store::passed::Passed;
use crate::store::rows::{encode, key_code, state_code};
use crate::store::{Batch, KeyChange, Result};

use super::super::bound::Bound;
use super::super::changes::Entry;
use super::super::events;
use super::text::Parts;

use self::history::History;
use self::jobs::{Jobs, Statuses};
pub(super) use self::progress::FLUSH;
use self::progress::Progress;
pub(in super::super) use self::progress::flush;

/// A code as a column has it.
fn small(code: i64) -> i16 {
    i16::try_from(code).unwrap_or(i16::MAX)
}

/// What each write, delete and log batch expects of its job, in this order.
#[derive(Default)]
pub(in super::super) struct Guards {
    ids: Vec<Uuid>,
    revisions: Vec<Option<i64>>,
    epochs: Vec<Option<i64>>,
    running: Vec<bool>,
}

impl Guards {
    pub(in super::super) fn of(batch: &Batch) -> Self {
        let mut guards = Self::default();
        for write in &batch.writes {
            let (revision, epoch) = (write.expected_revision, write.expected_epoch);
            guards.push(write.job.id, Some(revision), Some(epoch), false);
        }
        for delete in &batch.deletes {
            guards.push(delete.job.id, Some(delete.expected_revision), None, false);
        }
        for log in &batch.logs {
            guards.push(log.job_id, None, Some(log.lease_epoch), true);
        }
        guards
    }

    fn push(&mut self, id: JobId, revision: Option<i64>, epoch: Option<i64>, running: bool) {
        self.ids.push(id.0);
        self.revisions.push(revision);
        self.epochs.push(epoch);
        self.running.push(running);
    }

    pub(in super::super) const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(in super::super) fn bind(&self, query: Bound) -> Bound {
        query.bind(&self.ids).bind(&self.revisions).bind(&self.epochs).bind(&self.running)
    }
}

/// Names that are to be taken, in their order.
#[derive(Default)]
pub(in super::super) struct Names<'a> {
    kinds: Vec<i16>,
    scopes: Vec<&'a str>,
    keys: Vec<&'a str>,
    job_ids: Vec<Uuid>,
    fingerprints: Vec<Option<&'a [u8]>>,
    create_times: Vec<i64>,
}

impl<'a> Names<'a> {
    pub(in super::super) fn of(claims: &[Claim<'a>]) -> Self {
        let mut names = Self::default();
        for claim in claims {
            let (kind, scope, key) = claim.name;
            names.kinds.push(small(key_code(kind)));
            names.scopes.push(scope);
            names.keys.push(key);
            names.job_ids.push(claim.job_id.0);
            names.fingerprints.push(claim.fingerprint.map(<[u8; 32]>::as_slice));
            names.create_times.push(claim.time.as_micros());
        }
        names
    }

    pub(in super::super) fn bind(&self, query: Bound) -> Bound {
        query
            .bind(&self.kinds)
            .bind(&self.scopes)
            .bind(&self.keys)
            .bind(&self.job_ids)
            .bind(&self.fingerprints)
            .bind(&self.create_times)
    }
}

/// Everything but guards and names.
pub(super) struct Input<'a> {
    jobs: Jobs<'a>,
    statuses: Statuses<'a>,
    progress: Progress,
    history: History,
    gone: Vec<Uuid>,
    released: Vec<Uuid>,
    figures: Figures,
    facets: Option<String>,
    batch: Uuid,
    time: i64,
    entry: Entry,
    told: events::Columns,
}

impl<'a> Input<'a> {
    pub(super) fn of(passed: &Passed<'a>) -> Result<Self> {
        let figures = passed.figures();
        let deletes = || passed.deletes().map(|delete| &delete.job);
        let over = passed
            .writes()
            .filter(|write| write.key == KeyChange::Release)
            .map(|write| &write.job)
            .chain(deletes())
            .filter(|job| !job.spec.unique_key.is_empty());
        Ok(Self {
            jobs: Jobs::of(passed)?,
            statuses: Statuses::of(passed)?,
            progress: Progress::of(passed)?,
            history: History::of(passed)?,
            gone: deletes().map(|job| job.id.0).collect(),
            released: over.map(|job| job.id.0).collect(),
            figures: Figures::of(&figures)?,
            facets: facets(&figures),
            batch: passed.batch.id.0,
            time: passed.batch.now.as_micros(),
            entry: Entry::of(passed)?,
            told: events::Columns::of(passed.events(), passed.audit())?,
        })
    }

    /// What it needs of the statement.
    pub(super) fn parts(&self, names: &Names<'_>) -> Parts {
        let Self { jobs, statuses, progress, history, .. } = self;
        Parts::default()
            .with(Parts::NAMES, !names.kinds.is_empty())
            .with(Parts::BORN, !jobs.is_empty())
            .with(Parts::LABELS, jobs.are_labelled())
            .with(Parts::CHANGED, statuses.are_changed())
            .with(Parts::CLOSED, progress.is_closed())
            .with(Parts::FLUSHED, progress.is_flushed())
            .with(Parts::HISTORY, !history.is_empty())
            .with(Parts::GONE, !self.gone.is_empty())
            .with(Parts::RELEASED, !self.released.is_empty())
            .with(Parts::FACETS, self.facets.is_some())
            .with(Parts::TOLD, !self.told.is_empty())
    }

    /// Binds what these parts take.
    pub(super) fn bind(self, names: &Names<'_>, parts: Parts, mut query: Bound) -> Bound {
        if parts.has(Parts::NAMES) {
            query = names.bind(query);
        }
        query = self.jobs.bind(parts, query);
        query = self.statuses.bind(query);
        query = self.progress.bind(parts, query);
        if parts.has(Parts::HISTORY) {
            query = self.history.bind(query);
        }
        if parts.has(Parts::GONE) {
            query = query.bind(self.gone);
        }
        if parts.has(Parts::RELEASED) {
            query = query.bind(self.released);
        }
        query = self.figures.bind(query);
        if parts.has(Parts::FACETS) {
            query = query.bind(self.facets.unwrap_or_else(|| "[]".to_owned()));
        }
        let Entry { job_ids, removed, ready, rules } = self.entry;
        query = query.bind(self.batch).bind(self.time).bind(job_ids);
        query = query.bind(removed).bind(ready).bind(rules);
        if parts.has(Parts::TOLD) { self.told.bind(query) } else { query }
    }
}

/// What the batch adds to figures of facets: rarely anything, so one argument for all.
fn facets(figures: &figures::Figures<'_>) -> Option<String> {
    if figures.facets.is_empty() {
        return None;
    }
    let rows = figures.facets.iter().map(|((slot, facet), tally)| {
        let columns = figures::columns(tally);
        let [created, succeeded, failed, cancelled, skipped, started, waited, ended, ran] = columns;
        json!({
            "key": facet.key(), "value": facet.value(), "slot": slot, "created": created,
            "succeeded": succeeded, "failed": failed, "cancelled": cancelled, "skipped": skipped,
            "started": started, "waited": waited, "ended": ended, "ran": ran,
        })
    });
    Some(rows.collect::<serde_json::Value>().to_string())
}

/// What the batch adds to counters and minute buckets.
#[derive(Default)]
struct Figures {
    totals: Totals,
    buckets: Buckets,
}

#[derive(Default)]
struct Totals {
    job_types: Vec<String>,
    queues: Vec<String>,
    states: Vec<i16>,
    stored: Vec<i64>,
    finished: Vec<i64>,
}

#[derive(Default)]
struct Buckets {
    minutes: Vec<i64>,
    job_types: Vec<String>,
    queues: Vec<String>,
    tallies: Vec<Vec<u8>>,
}

impl Figures {
    fn of(figures: &figures::Figures<'_>) -> Result<Self> {
        let mut columns = Self::default();
        for ((key, state), delta) in figures.moved() {
            columns.totals.job_types.push(key.job_type.to_string());
            columns.totals.queues.push(key.queue.to_string());
            columns.totals.states.push(small(state_code(*state)));
            columns.totals.stored.push(delta.stored);
            columns.totals.finished.push(delta.finished);
        }
        for ((minute, key), tally) in &figures.tallies {
            columns.buckets.minutes.push(*minute);
            columns.buckets.job_types.push(key.job_type.to_string());
            columns.buckets.queues.push(key.queue.to_string());
            columns.buckets.tallies.push(encode(tally)?);
        }
        Ok(columns)
    }

    fn bind(self, query: Bound) -> Bound {
        let Totals { job_types, queues, states, stored, finished } = self.totals;
        let query = query.bind(job_types).bind(queues).bind(states).bind(stored).bind(finished);
        let Buckets { minutes, job_types, queues, tallies } = self.buckets;
        query.bind(minutes).bind(job_types).bind(queues).bind(tallies)
    }
}
