//! A batch without what did not pass.

use std::collections::HashSet;

use super::figures::Figures;
use super::{Appended, Batch, Committed, JobDelete, JobWrite, NewJob, Written};
use crate::domain::LogBatch;
use crate::domain::audit::AuditEvent;
use crate::domain::event::Event;

/// A batch, and what became of each of its parts.
pub(super) struct Passed<'a> {
    pub batch: &'a Batch,
    pub committed: &'a Committed,
}

impl<'a> Passed<'a> {
    pub(super) fn creates(&self) -> impl Iterator<Item = &'a NewJob> + use<'a> {
        done(&self.batch.creates, &self.committed.creates, |written| *written == Written::Done)
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = &'a JobWrite> + use<'a> {
        done(&self.batch.writes, &self.committed.writes, |written| *written == Written::Done)
    }

    pub(super) fn deletes(&self) -> impl Iterator<Item = &'a JobDelete> + use<'a> {
        done(&self.batch.deletes, &self.committed.deletes, |gone| *gone)
    }

    pub(super) fn logs(&self) -> impl Iterator<Item = &'a LogBatch> + use<'a> {
        done(&self.batch.logs, &self.committed.logs, |kept| *kept == Appended::Done)
    }

    /// Events as far as their cause is known to hold.
    pub(super) fn events(&self) -> impl Iterator<Item = &'a Event> + use<'a> {
        let (batch, committed) = (self.batch, self.committed);
        let written = batch.events.iter().filter(|write| write.cause.holds(committed));
        written.map(|write| &write.event)
    }

    /// Deeds as far as their cause is known to hold.
    pub(super) fn audit(&self) -> impl Iterator<Item = &'a AuditEvent> + use<'a> {
        let (batch, committed) = (self.batch, self.committed);
        let written = batch.audit.iter().filter(|write| write.cause.holds(committed));
        written.map(|write| &write.event)
    }

    /// Whether nothing was held back that the figures count.
    pub(super) fn is_all(&self) -> bool {
        let Committed { creates, writes, deletes, .. } = self.committed;
        let written = creates.iter().chain(writes).all(|written| *written == Written::Done);
        written && deletes.iter().all(|gone| *gone)
    }

    pub(super) fn figures(&self) -> Figures<'a> {
        Figures::of(self.batch, self.creates(), self.writes(), self.deletes())
    }
}

/// Which deletes are the first of their job: the same one a second time finds it gone.
pub(super) fn first_deletes(batch: &Batch) -> impl Iterator<Item = bool> + use<'_> {
    let mut seen = HashSet::new();
    batch.deletes.iter().map(move |delete| seen.insert((delete.job.id, delete.expected_revision)))
}

fn done<'a, T, O>(
    items: &'a [T],
    outcomes: &'a [O],
    passes: impl Fn(&O) -> bool,
) -> impl Iterator<Item = &'a T> {
    items.iter().zip(outcomes).filter(move |(_, outcome)| passes(outcome)).map(|(item, _)| item)
}
