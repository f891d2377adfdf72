//! Jobs whose worker is there and whose work is not: found by what they show, not by their lease.
//!
//! Owns: what a job is judged by ([`Basis`], [`Watch`]), how long is too long (its own `stuck_after`,
//! [`SweepPolicy`] or a [`Sweep`] by hand), and what is to be done with what is found ([`Finding`]).
//! Does not own: leases and timeouts (`machine`), who looks and when (`loops`).
//! Invariants: a job that never reported anything is judged by its lease and timeout alone, unless a
//! sweep goes by its start; a finding carries the revision, the epoch and the moment after which any
//! activity spares the job, so that it can be acted on late.

mod finding;
mod sweep;

pub use finding::{Finding, Forecast, Verdict};
pub use sweep::{Basis, Sweep, SweepPolicy, Watch};

#[cfg(test)]
mod tests;
