//! The guard of a write that holds only as long as its job shows nothing.

use std::collections::HashMap;

use crate::domain::{JobId, Timestamp};

use super::flushed::Flushed;
use super::rows::id;
use super::{Batch, JobWrite, Result};

/// The writes of a batch that have such a guard, with their places.
fn guarded(batch: &Batch) -> impl Iterator<Item = (usize, &JobWrite, Timestamp)> {
    let writes = batch.writes.iter().enumerate();
    writes.filter_map(|(place, write)| Some((place, write, write.quiet_since?)))
}

/// The jobs whose flushed progress is to be looked at.
pub(super) fn asked(batch: &Batch) -> Vec<JobId> {
    guarded(batch).map(|(_, write, _)| write.job.id).collect()
}

/// The places of writes whose job has shown activity since, by the rows (id, columns) of their progress.
pub(super) fn moved(batch: &Batch, found: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<usize>> {
    let mut flushed: HashMap<JobId, Flushed> = HashMap::with_capacity(found.len());
    for (job_id, columns) in found {
        let job_id = JobId(id("job_progress.id", &job_id)?);
        flushed.insert(job_id, Flushed::read(&columns)?);
    }
    let moved = guarded(batch).filter(|(_, write, since)| {
        let flushed = flushed.get(&write.job.id);
        flushed.is_some_and(|flushed| flushed.is_active_after(write.expected_epoch, *since))
    });
    Ok(moved.map(|(place, _, _)| place).collect())
}
