//! Fan-out: who watches a job, and what they have not seen yet.
//!
//! Owns: one [`Slot`] for each job that somebody watches (its latest snapshot, its newest progress,
//! each encoding of them made once), the [`Hub`] that finds it, and a [`Subscription`] for each
//! watcher.
//! Does not own: encodings (`grpc` supplies them), reads of the store, pace (the watcher's stream).
//! Entry: [`Hub::subscribe`].
//! Invariants: a slot never goes back in revision nor, within it, in (lease epoch, progress sequence);
//! a watcher has no queue, only the version it saw last: that is the conflation.

mod hub;
mod slot;

#[cfg(test)]
mod tests;

pub use hub::{Hub, Subscription};
pub use slot::{Encoding, Slot, Snapshot};
