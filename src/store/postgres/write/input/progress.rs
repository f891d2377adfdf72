//! Columns of progress, and the statement for progress alone.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::domain::status::StateKind;
use crate::domain::{Job, JobId};
use crate::store::flushed::{Columns, Flushed, of_each_lease, only_forward};
use crate::store::passed::Passed;
use crate::store::{ProgressWrite, Result};

use super::super::super::bound::Bound;
use super::super::super::error::unsure;
use super::super::super::pool::Link;
use super::super::text::Parts;

/// A loss of the last of it is a loss of ticks, so nobody waits for the disk. A row that comes a moment after
/// its lease ended is in nobody's way and goes with the next fold.
pub(in super::super::super) const FLUSH: &str = concat!(
    "WITH lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS off) \
    INSERT INTO job_progress (id, lease_epoch, sequence, data, active, used) \
    SELECT p.id, p.lease_epoch, p.sequence, p.data, p.active, p.used FROM lazily \
    CROSS JOIN unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[]) \
    AS p(id, lease_epoch, sequence, data, active, used) JOIN job_status AS s ON s.id = p.id \
    WHERE s.state = 1 AND s.lease_epoch = p.lease_epoch ORDER BY p.id ",
    only_forward!()
);

#[derive(Default)]
pub(super) struct Progress {
    closed: Vec<Uuid>,
    ids: Vec<Uuid>,
    epochs: Vec<i64>,
    sequences: Vec<i64>,
    data: Vec<Vec<u8>>,
    active: Vec<Vec<u8>>,
    used: Vec<Vec<u8>>,
    sure: Vec<bool>,
}

fn runs(job: &Job, lease_epoch: i64) -> bool {
    job.status.kind() == StateKind::Running && job.status.lease_epoch == lease_epoch
}

impl Progress {
    /// The statement sees statuses as they were, so what it writes to them itself is looked at here.
    pub(super) fn of(passed: &Passed<'_>) -> Result<Self> {
        let born = passed.creates().map(|new| &new.job);
        let written: HashMap<JobId, &Job> =
            born.chain(passed.writes().map(|write| &write.job)).map(|job| (job.id, job)).collect();
        let gone: HashSet<JobId> = passed.deletes().map(|delete| delete.job.id).collect();
        let mut columns = Self::default();
        let mut kept = HashSet::new();
        let rows = passed.batch.progress.iter().filter(|write| !gone.contains(&write.job_id));
        for (job_id, flushed) in of_each_lease(rows) {
            match written.get(&job_id) {
                Some(job) if runs(job, flushed.lease_epoch) => {
                    kept.insert(job_id);
                    columns.push(job_id, flushed, true)?;
                }
                Some(_) => {}
                None => columns.push(job_id, flushed, false)?,
            }
        }
        // Progress belongs to a lease: it goes when the lease does.
        let closed = passed.writes().filter(|write| {
            write.before.state == StateKind::Running && !runs(&write.job, write.expected_epoch)
        });
        let closed = closed.map(|write| write.job.id).filter(|id| !kept.contains(id));
        columns.closed = closed.chain(gone.iter().copied()).map(|id| id.0).collect();
        Ok(columns)
    }

    fn push(&mut self, job_id: JobId, flushed: Flushed, sure: bool) -> Result<()> {
        self.ids.push(job_id.0);
        self.epochs.push(flushed.lease_epoch);
        let Columns { sequence, data, active, used } = flushed.columns()?;
        self.sequences.push(sequence);
        self.data.push(data);
        self.active.push(active);
        self.used.push(used);
        self.sure.push(sure);
        Ok(())
    }

    pub(super) const fn is_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    pub(super) const fn is_flushed(&self) -> bool {
        !self.ids.is_empty()
    }

    pub(super) fn bind(self, parts: Parts, mut query: Bound) -> Bound {
        if parts.has(Parts::CLOSED) {
            query = query.bind(self.closed);
        }
        if parts.has(Parts::FLUSHED) {
            query = query.bind(self.ids).bind(self.epochs).bind(self.sequences);
            query = query.bind(self.data).bind(self.active).bind(self.used).bind(self.sure);
        }
        query
    }
}

/// Writes progress and nothing else. It leaves no entry in the change log, so to look for the batch finds
/// nothing: whoever does repeats it, which changes nothing.
pub(in super::super::super) async fn flush(
    link: &mut Link,
    progress: &[ProgressWrite],
) -> Result<()> {
    let mut columns = Progress::default();
    for (job_id, flushed) in of_each_lease(progress.iter()) {
        columns.push(job_id, flushed, false)?;
    }
    let Progress { ids, epochs, sequences, data, active, used, .. } = columns;
    let query = link.query(FLUSH).bind(ids).bind(epochs).bind(sequences);
    let query = query.bind(data).bind(active).bind(used);
    query.execute(&mut **link).await.map_err(unsure)?;
    Ok(())
}
