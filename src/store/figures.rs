//! What a batch adds to counters and minute buckets, summed before it is written.

use std::collections::BTreeMap;

use crate::domain::stats::{Changes, StatKey, Tally};
use crate::domain::status::StateKind;
use crate::domain::{Job, QueueName};

use super::{JobDelete, JobWrite, NewJob};

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
pub(super) struct Figures {
    /// By key and state.
    pub counts: BTreeMap<(StatKey, StateKind), Delta>,
    /// By minute and key.
    pub tallies: BTreeMap<(i64, StatKey), Tally>,
}

impl Figures {
    /// What these add.
    pub(super) fn of<'a>(
        creates: impl Iterator<Item = &'a NewJob>,
        writes: impl Iterator<Item = &'a JobWrite>,
        deletes: impl Iterator<Item = &'a JobDelete>,
    ) -> Self {
        let mut figures = Self::default();
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
        self.delta(key(&write.job, Some(&write.queue_before)), write.state_before).stored -= 1;
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
        }
    }
}

fn key(job: &Job, queue: Option<&QueueName>) -> StatKey {
    StatKey {
        job_type: job.spec.job_type.clone(),
        queue: queue.unwrap_or(&job.status.effective.queue).clone(),
    }
}
