//! What runs everything else.
//!
//! Owns: the clock ([`Clock`]), named tasks ([`Tasks`]), the signal to stop
//! ([`Shutdown`]) and the board on which loops note what they did ([`LoopBoard`]).
//! Does not own: what the tasks do.
//! Invariants: nobody else reads a clock; nobody else spawns; every task is waited for at shutdown.

mod board;
mod clock;
mod tasks;

pub use board::{LoopBoard, LoopStatus};
pub use clock::Clock;
pub use tasks::{Shutdown, Tasks};
