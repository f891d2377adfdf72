//! Which writer decides what.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::domain::{JobId, QueueName, SessionId};

/// What is submitted by the same lane is decided in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane(u64);

impl Lane {
    /// Of what is known of a job, unless its worker's stream says it.
    #[must_use]
    pub fn of_job(id: JobId) -> Self {
        Self::of(id.0.as_u128())
    }

    /// Of a session, and of all that the stream says that it was opened for.
    #[must_use]
    pub fn of_session(id: SessionId) -> Self {
        Self::of(id.0.as_u128())
    }

    /// Of a queue in which only so many jobs may wait: what is created in it.
    #[must_use]
    pub fn of_queue(queue: &QueueName) -> Self {
        let mut hasher = DefaultHasher::new();
        queue.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Of all jobs, where only so many may wait in all: what is created to wait.
    #[must_use]
    pub const fn of_waiting() -> Self {
        Self(0)
    }

    /// Ids begin with the time: only what is made of all of an id spreads.
    fn of(id: u128) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Its place among so many.
    pub(super) fn among(self, lanes: usize) -> usize {
        usize::try_from(self.0 % lanes.max(1) as u64).unwrap_or_default()
    }

    /// One for each of so many.
    pub(super) fn all(lanes: usize) -> impl Iterator<Item = Self> {
        (0..lanes as u64).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn jobs_made_at_one_moment_spread_over_all_lanes() {
        let mut jobs = [0; 4];
        for _ in 0..4_000 {
            jobs[Lane::of_job(JobId(Uuid::now_v7())).among(4)] += 1;
        }
        assert!(jobs.iter().all(|jobs| *jobs > 800), "{jobs:?}");
        let each: Vec<usize> = Lane::all(4).map(|lane| lane.among(4)).collect();
        assert_eq!(each, [0, 1, 2, 3]);
    }
}
