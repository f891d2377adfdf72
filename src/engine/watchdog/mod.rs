//! Jobs that are stuck, slow, or over their limits: what is found is put to the machine, which decides.
//!
//! Owns: sweeps ([`sweep`]), what runs of a type usually take ([`Typicals`]), and asking jobs to stop that
//! use more than they may.
//! Does not own: what stuck, slow and over mean (`domain`); a job's own `stuck_after` and `timeout`, which
//! are deadlines (`machine`); how often all of this happens (`loops`).
//! Invariant: whatever is done to a job is guarded by the revision, the epoch and the activity it was
//! found with, so a step may run late, twice, or on several servers.

mod over;
mod slow;
mod sweep;

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::config::House;
use crate::domain::Timestamp;

pub use sweep::{SweepQuery, Swept};

use slow::Typicals;

/// What the keepers of the house go by, and remember.
pub(super) struct Watchdogs {
    pub(super) house: House,
    typicals: Typicals,
    /// When which worker that was to leave is looked at next, by the key of its process.
    pub(super) drain_looks: Mutex<HashMap<String, Timestamp>>,
}

impl Watchdogs {
    pub(super) fn new(house: House) -> Self {
        Self { house, typicals: Typicals::default(), drain_looks: Mutex::default() }
    }
}
