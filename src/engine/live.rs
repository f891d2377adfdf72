//! Progress in memory: a tick changes a cell, watchers see it at once, the disk gets the newest one
//! with the next flush.

use std::collections::VecDeque;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};

use crate::domain::{Job, JobId, Progress, ResourceUsage, Timestamp};
use crate::store::ProgressWrite;
use crate::watch::{Hub, LiveProgress};

/// How a job that is worked on right now stands, ahead of the disk.
pub(super) struct Cell {
    job_id: JobId,
    lease_epoch: i64,
    start_time: Timestamp,
    state: Mutex<CellState>,
}

struct CellState {
    progress: Progress,
    usage: Option<ResourceUsage>,
    dirty: bool,
}

impl Cell {
    /// Takes up what other servers heard of it since.
    fn learn(&self, job: &Job) {
        let mut state = self.state.lock();
        if job.status.progress.sequence > state.progress.sequence {
            state.progress.clone_from(&job.status.progress);
            state.usage = job.status.resource_usage.or(state.usage);
        }
    }

    /// The newest progress and usage, to be written.
    pub(super) fn write(&self) -> ProgressWrite {
        let (progress, usage) = self.newest();
        ProgressWrite { job_id: self.job_id, lease_epoch: self.lease_epoch, progress, usage }
    }

    /// The newest progress and usage.
    pub(super) fn newest(&self) -> (Progress, Option<ResourceUsage>) {
        let state = self.state.lock();
        (state.progress.clone(), state.usage)
    }
}

/// What a tick carries.
#[expect(
    clippy::large_enum_variant,
    reason = "a tick is moved into its cell, not kept; a box would cost each one an allocation"
)]
pub(super) enum Tick {
    Progress(Progress),
    Usage(ResourceUsage),
}

/// The cells of every job this process has heard of since it started running.
#[derive(Default)]
pub(super) struct Live {
    cells: DashMap<JobId, Arc<Cell>>,
    dirty: Mutex<VecDeque<Arc<Cell>>>,
}

impl Live {
    /// The cell of a running job, made from its status if it is new.
    pub(super) fn open(&self, job: &Job) -> Arc<Cell> {
        let status = &job.status;
        let mut entry = self.cells.entry(job.id).or_insert_with(|| new_cell(job));
        if entry.lease_epoch < status.lease_epoch {
            *entry = new_cell(job);
        } else if entry.lease_epoch == status.lease_epoch {
            entry.learn(job);
        }
        Arc::clone(&entry)
    }

    /// Whether it has a cell of this job.
    pub(super) fn knows(&self, job_id: JobId) -> bool {
        self.cells.contains_key(&job_id)
    }

    /// The jobs it has a cell of.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.cells.iter().map(|cell| *cell.key()).collect()
    }

    /// Whether an attach of this process holds the job: then nobody knows better how far it is.
    pub(super) fn is_fed_here(&self, job_id: JobId) -> bool {
        self.cells.get(&job_id).is_some_and(|cell| Arc::strong_count(&cell) > 1)
    }

    /// The cell of a job under this lease.
    pub(super) fn find(&self, job_id: JobId, lease_epoch: i64) -> Option<Arc<Cell>> {
        let cell = self.cells.get(&job_id)?;
        (cell.lease_epoch == lease_epoch).then(|| Arc::clone(&cell))
    }

    /// Forgets a job whose lease ended.
    pub(super) fn close(&self, job_id: JobId, lease_epoch: i64) {
        self.cells.remove_if(&job_id, |_, cell| cell.lease_epoch <= lease_epoch);
    }

    /// Takes a tick: the latest wins, an older sequence is ignored.
    pub(super) fn tick(
        &self,
        cell: &Arc<Cell>,
        sequence: i64,
        tick: Tick,
        now: Timestamp,
        hub: &Hub,
    ) {
        match tick {
            Tick::Progress(progress) => self.progress(cell, sequence, progress, now, hub),
            Tick::Usage(usage) => {
                let mut state = cell.state.lock();
                let peak = state.usage.map_or(0, |known| known.peak_memory_bytes);
                let peak = peak.max(usage.peak_memory_bytes).max(usage.memory_bytes);
                state.usage = Some(ResourceUsage { peak_memory_bytes: peak, ..usage });
                self.ticked(cell, state, hub);
            }
        }
    }

    /// Takes a progress: the latest wins, an older sequence is ignored.
    pub(super) fn progress(
        &self,
        cell: &Arc<Cell>,
        sequence: i64,
        mut progress: Progress,
        now: Timestamp,
        hub: &Hub,
    ) {
        let mut state = cell.state.lock();
        let next = state.progress.sequence.saturating_add(1);
        // The worker's own count, else the number of its report, else one more.
        let given = if progress.sequence > 0 { progress.sequence } else { sequence };
        progress.sequence = if given == 0 { next } else { given };
        if progress.sequence < next {
            return;
        }
        progress.follow(&state.progress, cell.start_time, now);
        state.progress = progress;
        self.ticked(cell, state, hub);
    }

    /// A cell changed: watchers are to see it, and the disk is to get it.
    fn ticked(&self, cell: &Arc<Cell>, mut state: MutexGuard<'_, CellState>, hub: &Hub) {
        hub.publish_progress(cell.job_id, cell.lease_epoch, &state.progress, state.usage);
        let was_dirty = std::mem::replace(&mut state.dirty, true);
        drop(state);
        hub.publish_tick(cell.job_id);
        if !was_dirty {
            self.dirty.lock().push_back(Arc::clone(cell));
        }
    }

    /// What changed since the last call, newest only; what has waited longest comes first.
    pub(super) fn take_dirty(&self, limit: usize) -> Vec<ProgressWrite> {
        let cells: Vec<Arc<Cell>> = {
            let mut dirty = self.dirty.lock();
            let count = dirty.len().min(limit);
            dirty.drain(..count).collect()
        };
        let rows = cells.into_iter().map(|cell| {
            cell.state.lock().dirty = false;
            cell.write()
        });
        rows.collect()
    }

    /// Says that these were not written after all.
    pub(super) fn mark_dirty(&self, jobs: &[(JobId, i64)]) {
        for cell in jobs.iter().filter_map(|(job_id, epoch)| self.find(*job_id, *epoch)) {
            if !std::mem::replace(&mut cell.state.lock().dirty, true) {
                self.dirty.lock().push_back(Arc::clone(&cell));
            }
        }
    }

    /// Forgets cells that nobody works on: no attach holds them, nothing of them waits for the flush,
    /// and their job does not run as far as `runs` knows. One that does run after all comes back with
    /// its next report.
    pub(super) fn sweep(&self, runs: impl Fn(JobId, i64) -> bool) {
        self.cells
            .retain(|job_id, cell| Arc::strong_count(cell) > 1 || runs(*job_id, cell.lease_epoch));
    }

    /// Lays the newest progress over a job as it was read.
    pub(super) fn overlay(&self, job: &mut Job) {
        if job.status.session().is_none() {
            return;
        }
        if let Some(cell) = self.find(job.id, job.status.lease_epoch) {
            let state = cell.state.lock();
            if state.progress.sequence > job.status.progress.sequence {
                job.status.progress.clone_from(&state.progress);
            }
            // Of another server's later report nothing is known here.
            if state.progress.sequence >= job.status.progress.sequence {
                job.status.resource_usage = state.usage.or(job.status.resource_usage);
            }
        }
    }
}

impl LiveProgress for Live {
    fn newest(&self, id: JobId, lease_epoch: i64) -> Option<(Progress, Option<ResourceUsage>)> {
        self.find(id, lease_epoch).map(|cell| cell.newest())
    }

    fn reporting(&self) -> Vec<JobId> {
        self.cells.iter().map(|cell| *cell.key()).collect()
    }
}

fn new_cell(job: &Job) -> Arc<Cell> {
    let status = &job.status;
    Arc::new(Cell {
        job_id: job.id,
        lease_epoch: status.lease_epoch,
        start_time: status.execution.as_ref().map_or(status.update_time, |run| run.start_time),
        state: Mutex::new(CellState {
            progress: status.progress.clone(),
            usage: status.resource_usage,
            dirty: false,
        }),
    })
}

#[cfg(test)]
mod tests;
