//! Progress in memory: a tick changes a cell, watchers see it at once, the disk gets the newest one
//! with the next flush.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::config::House;
use crate::domain::job::ResourceLimits;
use crate::domain::limits::ACTIVITY_EXACT;
use crate::domain::usage::{KnownUsage, Over, UsagePolicy, UsageWatch, later};
use crate::domain::{Job, JobId, JobType, Progress, ResourceUsage, Timestamp};
use crate::store::ProgressWrite;
use crate::watch::{Hub, LiveProgress};

/// How a job that is worked on right now stands, ahead of the disk.
pub(super) struct Cell {
    job_id: JobId,
    lease_epoch: i64,
    job_type: JobType,
    start_time: Timestamp,
    limits: ResourceLimits,
    state: Mutex<CellState>,
}

struct CellState {
    progress: Progress,
    usage: Option<ResourceUsage>,
    /// Since when it uses more than it may.
    usage_watch: UsageWatch,
    /// That it does so for too long was told.
    is_over: bool,
    /// That it takes unusually long was told.
    is_slow: bool,
    /// The activity that was last written.
    kept_activity: Option<Timestamp>,
    dirty: bool,
}

/// A job that used more than it may for too long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exceeded {
    pub(super) job_id: JobId,
    pub(super) lease_epoch: i64,
    pub(super) over: Over,
}

impl CellState {
    fn learn_usage(&mut self, theirs: KnownUsage) {
        (self.usage, self.usage_watch) = later((self.usage, self.usage_watch), theirs);
    }
}

impl Cell {
    /// Takes up what other servers heard of it since.
    fn learn(&self, job: &Job) {
        let mut state = self.state.lock();
        let theirs = &job.status.progress;
        let active = state.progress.activity_time.max(theirs.activity_time);
        if theirs.sequence > state.progress.sequence {
            state.progress.clone_from(theirs);
        }
        // Lines of the log and usage have no sequence: what is known of them is as new as their own times say.
        state.progress.activity_time = active;
        state.learn_usage((job.status.resource_usage, job.status.usage_watch));
    }

    /// The newest progress and usage, to be written.
    pub(super) fn write(&self) -> ProgressWrite {
        let state = self.state.lock();
        ProgressWrite {
            job_id: self.job_id,
            lease_epoch: self.lease_epoch,
            progress: state.progress.clone(),
            usage: state.usage,
            usage_watch: state.usage_watch,
        }
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
    usage_policy: UsagePolicy,
    /// Jobs to be asked to stop; each at most once, so there are no more of them than cells.
    exceeded: Mutex<Vec<Exceeded>>,
    /// Told when one is added.
    pub(super) exceeds: Arc<Notify>,
}

impl Live {
    /// No cells, and how limits are enforced.
    pub(super) fn new(house: &House) -> Self {
        Self { usage_policy: house.usage.clone(), ..Self::default() }
    }

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
                self.weigh(cell, &mut state, &usage, now);
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
        progress.follow(&state.progress, (cell.start_time, now));
        state.progress = progress;
        self.ticked(cell, state, hub);
    }

    /// Holds a sample of what a job uses against what it may.
    fn weigh(&self, cell: &Cell, state: &mut CellState, usage: &ResourceUsage, now: Timestamp) {
        let over = state.usage_watch.sample(&self.usage_policy, &cell.limits, usage, now);
        let Some(over) = over.filter(|_| !state.is_over) else { return };
        state.is_over = true;
        let Cell { job_id, lease_epoch, .. } = *cell;
        self.exceeded.lock().push(Exceeded { job_id, lease_epoch, over });
        self.exceeds.notify_one();
    }

    /// The jobs that used more than they may for too long, each once.
    pub(super) fn take_exceeded(&self, limit: usize) -> Vec<Exceeded> {
        let mut exceeded = self.exceeded.lock();
        let count = exceeded.len().min(limit);
        exceeded.drain(..count).collect()
    }

    /// Such a job could not be asked to stop: the next sample says so again.
    pub(super) fn still_exceeds(&self, job_id: JobId, lease_epoch: i64) {
        if let Some(cell) = self.find(job_id, lease_epoch) {
            cell.state.lock().is_over = false;
        }
    }

    /// A line in a job's log: a sign of life. The disk gets it at most once in [`ACTIVITY_EXACT`].
    pub(super) fn active(&self, cell: &Arc<Cell>, now: Timestamp) {
        let mut state = cell.state.lock();
        state.progress.activity_time = state.progress.activity_time.max(Some(now));
        let is_kept = state.kept_activity.is_some_and(|kept| now.since(kept) < ACTIVITY_EXACT);
        if !is_kept && !std::mem::replace(&mut state.dirty, true) {
            drop(state);
            self.dirty.lock().push_back(Arc::clone(cell));
        }
    }

    /// Running jobs for which `after` says that they should be done by now, each once, with their lease;
    /// what is beyond `limit` comes the next time.
    pub(super) fn take_slow(
        &self,
        now: Timestamp,
        after: impl Fn(&JobType) -> Option<Duration>,
        limit: usize,
    ) -> Vec<(JobId, i64)> {
        let mut slow = Vec::new();
        for cell in &self.cells {
            if slow.len() >= limit {
                break;
            }
            let late =
                after(&cell.job_type).is_some_and(|after| now.since(cell.start_time) > after);
            if late && !std::mem::replace(&mut cell.state.lock().is_slow, true) {
                slow.push((cell.job_id, cell.lease_epoch));
            }
        }
        slow
    }

    /// That this job is slow could not be noted.
    pub(super) fn still_slow(&self, job_id: JobId, lease_epoch: i64) {
        if let Some(cell) = self.find(job_id, lease_epoch) {
            cell.state.lock().is_slow = false;
        }
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
            {
                let mut state = cell.state.lock();
                state.dirty = false;
                state.kept_activity = state.progress.activity_time;
            }
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
            let active = state.progress.activity_time.max(job.status.progress.activity_time);
            if state.progress.sequence > job.status.progress.sequence {
                job.status.progress.clone_from(&state.progress);
            }
            job.status.progress.activity_time = active;
            let known = (job.status.resource_usage, job.status.usage_watch);
            (job.status.resource_usage, job.status.usage_watch) =
                later((state.usage, state.usage_watch), known);
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
        job_type: job.spec.job_type.clone(),
        limits: status.effective.limits,
        start_time: status.execution.as_ref().map_or(status.update_time, |run| run.start_time),
        state: Mutex::new(CellState {
            progress: status.progress.clone(),
            usage: status.resource_usage,
            usage_watch: status.usage_watch,
            is_over: false,
            is_slow: status.attention.slow_time.is_some(),
            kept_activity: status.progress.activity_time,
            dirty: false,
        }),
    })
}

#[cfg(test)]
mod tests;
