//! Workers with room, and which of them takes the next job.

use std::collections::HashMap;
use std::rc::Rc;

use super::hold::Hold;
use super::rules::Candidate;
use super::{Capacity, Waiting};
use crate::domain::ids::{JobType, QueueName, WorkerName};
use crate::domain::time::Timestamp;

/// A worker with what it has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What it takes, and how many.
    pub capacity: Capacity,
    /// Its name.
    pub worker_id: WorkerName,
    /// What is left of the memory it advertised; no bound if it advertised none.
    pub memory_free: Option<u64>,
}

/// What is left of some workers as jobs are given to them.
pub(super) struct Rooms<'a> {
    capacities: Vec<&'a Capacity>,
    free: Vec<usize>,
    /// Which of them take a type from a queue.
    takers: HashMap<(QueueName, JobType), Rc<[usize]>>,
}

impl<'a> Rooms<'a> {
    pub(super) fn new(capacities: impl Iterator<Item = &'a Capacity>) -> Self {
        let capacities: Vec<_> = capacities.collect();
        let free = capacities.iter().map(|capacity| capacity.free).collect();
        Self { capacities, free, takers: HashMap::new() }
    }

    /// Those that take it, whether or not they have room.
    fn takers(&mut self, queue: &QueueName, job_type: &JobType) -> Rc<[usize]> {
        let capacities = &self.capacities;
        let takers = self.takers.entry((queue.clone(), job_type.clone())).or_insert_with(|| {
            let all = capacities.iter().enumerate();
            let takers = all.filter(|(_, capacity)| capacity.accepts(queue, job_type));
            takers.map(|(index, _)| index).collect()
        });
        Rc::clone(takers)
    }

    /// The one with the most room among those that take it and of which `fits` is true.
    fn roomiest(
        &mut self,
        queue: &QueueName,
        job_type: &JobType,
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let takers = self.takers(queue, job_type);
        let with_room =
            takers.iter().copied().filter(|index| self.free[*index] > 0 && fits(*index));
        with_room.max_by_key(|index| (self.free[*index], usize::MAX - index))
    }

    /// Gives a job to the roomiest that takes it.
    pub(super) fn give(&mut self, job: &Waiting) -> Option<usize> {
        let index = self.roomiest(&job.queue, &job.job_type, |_| true)?;
        self.free[index] -= 1;
        Some(index)
    }

    /// The roomiest worker that takes `job`, or why none does. Nothing is given yet.
    pub(super) fn find(
        &mut self,
        job: &Candidate,
        rooms: &[Room],
        memory: &[Option<u64>],
        now: Timestamp,
    ) -> Result<usize, Hold> {
        let remembers = |index: usize| memory[index].is_none_or(|free| job.memory_bytes <= free);
        let until = job.avoids_until();
        let avoided = job.avoid_worker.as_ref().filter(|_| now < until);
        let welcomes =
            |index: usize| avoided.is_none_or(|worker| rooms[index].worker_id != *worker);
        let fits = |index: usize| remembers(index) && welcomes(index);
        if let Some(index) = self.roomiest(&job.queue, &job.job_type, fits) {
            return Ok(index);
        }
        let takers = self.takers(&job.queue, &job.job_type);
        if takers.is_empty() {
            let (queue, job_type) = (job.queue.clone(), job.job_type.clone());
            return Err(Hold::NoWorker { queue, job_type });
        }
        let free: Vec<_> = takers.iter().copied().filter(|index| self.free[*index] > 0).collect();
        if free.is_empty() {
            let workers = u64::try_from(takers.len()).unwrap_or(u64::MAX);
            return Err(Hold::WorkersBusy { workers });
        }
        match avoided {
            Some(worker_id) if free.iter().any(|index| remembers(*index)) => {
                Err(Hold::AvoidsWorker { worker_id: worker_id.clone(), until })
            }
            Some(_) | None => {
                let most_free = free.iter().filter_map(|index| memory[*index]).max();
                let (needed, most_free) = (job.memory_bytes, most_free.unwrap_or(0));
                Err(Hold::NoMemory { needed, most_free })
            }
        }
    }

    /// Takes a place of a worker.
    pub(super) fn take(&mut self, index: usize) {
        self.free[index] = self.free[index].saturating_sub(1);
    }
}
