//! Fan-out: who watches, and what they have not seen yet.
//!
//! Owns: for one job, its [`Slot`] (the latest snapshot, each encoding of it made once), the [`Hub`]
//! that finds it, and a [`Subscription`] for each watcher; for many jobs, a [`View`](view::View) for
//! each filter that is watched, the [`Feed`] that every commit goes through, in order and whole, and a
//! [`Follower`] for each watcher.
//! Does not own: encodings (`grpc` supplies them), reads of the store, pace and resume (`engine`).
//! Entry: [`Hub::subscribe`], [`Feed::follow`].
//! Invariants: a slot never goes back in revision nor, within it, in (lease epoch, progress sequence);
//! a watcher has no queue, only the version it saw last: that is the conflation. A view shows all of a
//! commit or nothing of it, and what a commit costs does not depend on the number of watchers, nor on
//! views whose filter is told from the others by something the job does not have.

mod change;
mod feed;
mod follower;
mod hub;
mod inbox;
mod index;
mod slot;
mod ticker;
mod view;

#[cfg(test)]
mod tests;

pub use change::{Before, Change, Commit};
pub use feed::{Feed, Full, Head, Repair, Tried};
pub use follower::{Follower, News};
pub use hub::{Hub, Subscription};
pub use slot::{Encoding, Glance, Slot, Snapshot};
pub use ticker::LiveProgress;
pub use view::{Event, Why};
