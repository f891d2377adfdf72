//! Workers with room, and which of them takes the next job.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use super::Capacity;
use super::hold::Hold;
use super::rules::Candidate;
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

/// A worker by the room it had when it was last looked at, and its index: the most room first, of as much
/// the first.
type Standing = (usize, Reverse<usize>);

/// What is left of some workers as jobs are given to them.
pub(super) struct Rooms<'a> {
    capacities: Vec<&'a Capacity>,
    free: Vec<usize>,
    /// Of all of them.
    places: usize,
    /// Which of them take a type from a queue.
    takers: HashMap<(QueueName, JobType), Takers>,
}

/// Those that take a type from a queue.
struct Takers {
    all: Rc<[usize]>,
    /// Those with room. Room only shrinks, so whoever stands in front as it really is has the most.
    roomy: BinaryHeap<Standing>,
}

impl Takers {
    fn new(all: Rc<[usize]>, free: &[usize]) -> Self {
        let roomy = all.iter().map(|index| (free[*index], Reverse(*index)));
        let roomy = roomy.filter(|(free, _)| *free > 0).collect();
        Self { all, roomy }
    }

    /// The one with the most room of which `fits` is true.
    fn roomiest(&mut self, free: &[usize], fits: impl Fn(usize) -> bool) -> Option<usize> {
        let mut unfit = Vec::new();
        let found = loop {
            let Some((then, Reverse(index))) = self.roomy.pop() else { break None };
            let now = free[index];
            if now == 0 {
                continue;
            }
            let standing = (now, Reverse(index));
            if now < then {
                self.roomy.push(standing);
            } else if fits(index) {
                self.roomy.push(standing);
                break Some(index);
            } else {
                unfit.push(standing);
            }
        };
        self.roomy.extend(unfit);
        found
    }
}

impl<'a> Rooms<'a> {
    pub(super) fn new(capacities: impl Iterator<Item = &'a Capacity>) -> Self {
        let capacities: Vec<_> = capacities.collect();
        let free: Vec<usize> = capacities.iter().map(|capacity| capacity.free).collect();
        let places = free.iter().fold(0, |all: usize, free| all.saturating_add(*free));
        Self { capacities, free, places, takers: HashMap::new() }
    }

    /// Those that take it, and what is left of everybody.
    fn takers(&mut self, queue: &QueueName, job_type: &JobType) -> (&mut Takers, &[usize]) {
        let Self { capacities, free, takers, .. } = self;
        let takers = takers.entry((queue.clone(), job_type.clone())).or_insert_with(|| {
            let all = capacities.iter().enumerate();
            let all = all.filter(|(_, capacity)| capacity.accepts(queue, job_type));
            Takers::new(all.map(|(index, _)| index).collect(), free)
        });
        (takers, free)
    }

    /// The one with the most room among those that take it and of which `fits` is true.
    fn roomiest(
        &mut self,
        queue: &QueueName,
        job_type: &JobType,
        fits: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let (takers, free) = self.takers(queue, job_type);
        takers.roomiest(free, fits)
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
        let takers = Rc::clone(&self.takers(&job.queue, &job.job_type).0.all);
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
        self.places = self.places.saturating_sub(1);
    }

    /// Whether nobody has a place left.
    pub(super) const fn are_taken(&self) -> bool {
        self.places == 0
    }
}
