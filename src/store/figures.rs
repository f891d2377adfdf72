//! What a batch adds to counters and buckets, summed before it is written; and buckets put together again
//! from their rows.

use std::collections::BTreeMap;

use crate::domain::stats::{
    Bucket, Changes, Facet, FacetPolicy, FacetTally, StatKey, Tally, hour_of, slot_of,
};
use crate::domain::status::StateKind;
use crate::domain::{Job, QueueName};

use super::{Batch, JobDelete, JobWrite, NewJob};

/// A signed change of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delta {
    /// Jobs now stored.
    pub stored: i64,
    /// Jobs that came to this state.
    pub finished: i64,
}

/// Sums of what passed.
#[derive(Debug, Default)]
pub(super) struct Figures<'a> {
    /// By key and state.
    pub counts: BTreeMap<(StatKey, StateKind), Delta>,
    /// By minute and key.
    pub tallies: BTreeMap<(i64, StatKey), Tally>,
    /// By slot and facet.
    pub facets: BTreeMap<(i64, Facet), FacetTally>,
    policy: Option<&'a FacetPolicy>,
}

impl<'a> Figures<'a> {
    /// What a batch adds of which nothing passed yet.
    pub(super) fn empty(batch: &'a Batch) -> Self {
        Self { policy: batch.facets.as_deref(), ..Self::default() }
    }

    /// What these parts of a batch add.
    pub(super) fn of<'p>(
        batch: &'a Batch,
        creates: impl Iterator<Item = &'p NewJob>,
        writes: impl Iterator<Item = &'p JobWrite>,
        deletes: impl Iterator<Item = &'p JobDelete>,
    ) -> Self {
        let mut figures = Self::empty(batch);
        creates.for_each(|new| figures.create(new));
        writes.for_each(|write| figures.write(write));
        deletes.for_each(|delete| figures.delete(delete));
        figures
    }

    /// Counts a job that was born.
    pub(super) fn create(&mut self, new: &NewJob) {
        self.delta(key(&new.job, None), new.job.status.kind()).stored += 1;
        self.changes(&new.job, &new.changes);
    }

    /// Counts a changed status.
    pub(super) fn write(&mut self, write: &JobWrite) {
        self.delta(key(&write.job, Some(&write.before.queue)), write.before.state).stored -= 1;
        self.delta(key(&write.job, None), write.job.status.kind()).stored += 1;
        self.changes(&write.job, &write.changes);
    }

    /// Counts a job that went.
    pub(super) fn delete(&mut self, delete: &JobDelete) {
        self.delta(key(&delete.job, None), delete.job.status.kind()).stored -= 1;
    }

    /// Counts a job that went, of which only this is known.
    pub(super) fn gone(&mut self, key: StatKey, state: StateKind) {
        self.delta(key, state).stored -= 1;
    }

    /// The counters that moved.
    pub(super) fn moved(&self) -> impl Iterator<Item = (&(StatKey, StateKind), &Delta)> {
        self.counts.iter().filter(|(_, delta)| **delta != Delta::default())
    }

    fn delta(&mut self, key: StatKey, state: StateKind) -> &mut Delta {
        self.counts.entry((key, state)).or_default()
    }

    fn changes(&mut self, job: &Job, changes: &Changes) {
        for (minute, tally) in changes.iter() {
            for (state, ended) in [
                (StateKind::Succeeded, tally.succeeded),
                (StateKind::Failed, tally.failed),
                (StateKind::Cancelled, tally.cancelled),
                (StateKind::Skipped, tally.skipped),
            ] {
                if ended > 0 {
                    let ended = i64::try_from(ended).unwrap_or(i64::MAX);
                    self.delta(key(job, None), state).finished += ended;
                }
            }
            self.tallies.entry((minute, key(job, None))).or_default().merge(tally);
            let small = FacetTally::from(tally);
            let facets = self.policy.map(|policy| policy.facets(&job.spec)).unwrap_or_default();
            for facet in facets.into_iter().filter(|_| small != FacetTally::default()) {
                self.facets.entry((slot_of(minute), facet)).or_default().merge(&small);
            }
        }
    }
}

fn key(job: &Job, queue: Option<&QueueName>) -> StatKey {
    StatKey {
        job_type: job.spec.job_type.clone(),
        queue: queue.unwrap_or(&job.status.effective.queue).clone(),
    }
}

/// Buckets from their rows, in any order and with several to a bucket.
pub(super) fn buckets(rows: impl IntoIterator<Item = (i64, StatKey, Tally)>) -> Vec<Bucket> {
    let mut sums: BTreeMap<(i64, StatKey), Tally> = BTreeMap::new();
    for (minute, key, tally) in rows {
        sums.entry((minute, key)).or_default().merge(&tally);
    }
    sums.into_iter().map(|((minute, key), tally)| Bucket { key, minute, tally }).collect()
}

/// Sums of minutes by the hour.
pub(super) fn hours(minutes: Vec<Bucket>) -> BTreeMap<(i64, StatKey), Tally> {
    let mut sums: BTreeMap<(i64, StatKey), Tally> = BTreeMap::new();
    for Bucket { key, minute, tally } in minutes {
        sums.entry((hour_of(minute), key)).or_default().merge(&tally);
    }
    sums
}

/// The number that stands in a column.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The numbers of a facet's tally, in the order of their columns: created, succeeded, failed, cancelled,
/// skipped, started, waited, ended, ran (times in microseconds).
pub(super) fn columns(tally: &FacetTally) -> [i64; 9] {
    let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    [
        signed(tally.created),
        signed(tally.succeeded),
        signed(tally.failed),
        signed(tally.cancelled),
        signed(tally.skipped),
        signed(tally.started),
        micros(tally.waited),
        signed(tally.ended),
        micros(tally.ran),
    ]
}

/// The tally of a facet's columns.
pub(super) fn facet_tally(columns: [i64; 9]) -> FacetTally {
    let [created, succeeded, failed, cancelled, skipped, started, waited, ended, ran] =
        columns.map(|number| u64::try_from(number).unwrap_or(0));
    let span = std::time::Duration::from_micros;
    FacetTally {
        created,
        succeeded,
        failed,
        cancelled,
        skipped,
        started,
        waited: span(waited),
        ended,
        ran: span(ran),
    }
}
