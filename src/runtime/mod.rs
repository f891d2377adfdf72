//! What runs everything else.
//!
//! Owns: the clock ([`Clock`]), named tasks ([`Tasks`]) and what becomes of vital ones ([`Failure`]), the signal to stop
//! ([`Shutdown`]), the board on which loops note what they did ([`LoopBoard`]), and when trouble that comes in floods is
//! told of ([`Rarely`], [`Unreadable`]).
//! Does not own: what the tasks do.
//! Invariants: nobody else reads a clock; nobody else spawns; every task is waited for at shutdown.

mod board;
mod clock;
mod rarely;
mod tasks;
mod vital;

pub use board::{LoopBoard, LoopStatus};
pub use clock::Clock;
pub use rarely::{Rarely, Unreadable};
pub use tasks::{Shutdown, Tasks};
pub use vital::{End, Ending, Failure};
