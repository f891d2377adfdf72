//! Schedules: what is due becomes jobs, on every server, by no leader.
//!
//! Owns: when the next nominal time of any type is ([`Agenda`]), and what is written at it.
//! Does not own: which times those are, and which come too late (`domain::schedule`).
//! Invariants: a nominal time has one job, run or skipped: its jobs and the step of the cursor past it are one
//! commit, guarded by the cursor's revision, which also changes with the declaration; each job takes the FIRE key
//! of its time besides.

mod agenda;
mod change;
mod expected;
mod fire;

#[cfg(test)]
pub(super) mod tests;

pub(super) use agenda::Agenda;
pub(super) use change::cursor_write;
