//! What runs everything else.
//!
//! Owns: the clock ([`Clock`]), named tasks ([`Tasks`]) and the signal to stop ([`Shutdown`]).
//! Does not own: what the tasks do.
//! Invariants: nobody else reads a clock; nobody else spawns; every task is waited for at shutdown.

mod clock;
mod tasks;

pub use clock::Clock;
pub use tasks::{Shutdown, Tasks};
