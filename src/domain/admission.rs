//! Which waiting job goes to which worker.
//!
//! Owns: the line ([`ready_key`]), the match of jobs and workers under all rules ([`admit`]): pauses, caps, start rates, weights, memory, breakers and quotas; and why a job waits
//! ([`Hold`]).
//! Does not own: where candidates and counters come from; who writes what a round changed.
//! Invariants: no cap is passed and no token or unit taken twice within a round; whoever is asked about and not
//! picked gets a reason; nobody goes before one who may stand in front of them, if that is said of their line
//! ([`Horizons`]).

mod admit;
mod hold;
mod horizon;
mod left;
mod rooms;
mod rules;
mod share;

use std::time::Duration;

pub use admit::{Admission, Pick, Why, admit, admit_within, why};
pub use hold::Hold;
pub use horizon::Horizons;
pub use rooms::Room;
pub use rules::{Candidate, QueueRules, Rules, TypeRules};
pub use share::Shares;

use super::ids::{JobType, QueueName};
use super::job::Priority;
use super::time::Timestamp;

/// How much earlier than it became ready an URGENT job counts: a NORMAL one that waited an hour
/// longer goes first, so nothing starves.
const BOOST_URGENT: Duration = Duration::from_secs(3600);
/// The same for HIGH.
const BOOST_HIGH: Duration = Duration::from_secs(600);
/// How much later a LOW job counts.
const PENALTY_LOW: Duration = Duration::from_secs(600);

/// A job's place in line, claim order and ageing in one number: the moment it became ready less the
/// boost of its priority. The lowest goes first.
#[must_use]
pub fn ready_key(ready_time: Timestamp, priority: Priority) -> Timestamp {
    match priority {
        Priority::Urgent => ready_time.minus(BOOST_URGENT),
        Priority::High => ready_time.minus(BOOST_HIGH),
        Priority::Normal => ready_time,
        Priority::Low => ready_time.plus(PENALTY_LOW),
    }
}

/// The last place in line that a job may have which is ready at `now`.
#[must_use]
pub fn latest_key(now: Timestamp) -> Timestamp {
    ready_key(now, Priority::Low)
}

/// A worker's wish for jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Queues it takes from.
    pub queues: Vec<QueueName>,
    /// Types it takes, all if empty.
    pub types: Vec<JobType>,
    /// How many more it takes now.
    pub free: usize,
}

impl Capacity {
    /// Whether it takes jobs of this type from this queue.
    #[must_use]
    pub fn accepts(&self, queue: &QueueName, job_type: &JobType) -> bool {
        self.queues.contains(queue) && (self.types.is_empty() || self.types.contains(job_type))
    }
}

#[cfg(test)]
mod tests;
