//! How long what is over is kept, and when it is taken away.
//!
//! Owns: the spans ([`RetentionPolicy`]), the time of the purge ([`PurgeTiming`]), what a purge may
//! take ([`Purge`], [`Cutoff`]) and how far it is ([`PurgeRun`]).
//! Does not own: the deleting itself (`store`), the archive, the loop.
//! Invariant: nothing here ever means a job that is not over (J13): a [`Cutoff`] cannot name such a
//! state, and the end of such a job is no time.

mod policy;
mod purge;
mod timing;

pub use policy::{Cutoff, RetentionPolicy, TypeRetention};
pub use purge::{Purge, PurgeRun, Terminal};
pub use timing::{PurgeTiming, TimeOfDay};

#[cfg(test)]
mod tests;
