//! When a type's jobs are due, and what becomes of each such moment.
//!
//! Owns: the definition ([`ScheduleSpec`]) and its nominal times ([`Schedule`]), up to where they are settled and
//! what a change does to that ([`Cursor`]), which of them are due and which came too late ([`Due`]), what is done when a run is still going ([`overlap`]), and
//! which runs that were expected elsewhere did not come ([`expected`]).
//! Does not own: the making of jobs, the cursor's place in the store.
//! The library of [`Cron`] is asked for wall-clock times only, and `zone` says which moments they are:
//! its own way with clocks that jump leaves out times that fall into a gap.
//! Invariants: a nominal time is a moment; a schedule has each of them once, in order, on every
//! replica; one in an hour that clocks skip is the first moment after it, one in an hour that they
//! show twice is in the first of the two; every nominal time after the cursor, and outside of its gap, is
//! handed out as a run or as missed, none is left out.

mod cron;
mod cursor;
mod due;
pub mod expected;
pub mod overlap;
mod spec;
mod timing;

pub use cron::{Cron, InvalidCron};
pub use cursor::{Cursor, Gap, Side};
pub use due::{Due, DueTime, Lateness};
pub use overlap::{Overlap, OverlapPolicy};
pub use spec::ScheduleSpec;
pub use timing::{Nominal, Schedule};

#[cfg(test)]
mod tests;
