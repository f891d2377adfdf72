//! One command for many jobs: run as a job of its own, so that it is seen, paced and stopped like any
//! other, and goes on after a crash where it was.
//!
//! Owns: what may be asked ([`BulkSpec`]), what that does to a job in each state
//! ([`BulkAction::plan`], by the machine), how fast it goes ([`Pace`]) and how far it is
//! ([`BulkState`]).
//! Does not own: which jobs match (`filter`), their pages (`store`), the job that runs it (`engine`).
//! Invariants: jobs are taken by falling id from the newest one at the start, so none is taken twice
//! and none that was made since; never are more jobs changed than were expected.

mod action;
mod pace;
mod spec;
mod state;

pub use action::{BulkAction, Planned};
pub use pace::{BulkNext, Pace};
pub use spec::{BulkAsk, BulkSpec, TooMany};
pub use state::{BulkOutcome, BulkRefused, BulkState};

#[cfg(test)]
mod tests;
