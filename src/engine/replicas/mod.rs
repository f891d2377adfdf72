//! Other servers over the same store: what they do reaches this one, and the other way round.
//!
//! Owns: hints to others ([`Herald`]) and from them ([`Ears`]), the reads that they lead to (`changes`,
//! `progress`), and going by the store's clock (`time`).
//! Does not own: what the change log says (`store`), views (`watch`), what workers are told
//! (`session`).
//! Invariants: a hint is never data, and may be lost: the same reads happen once in a while without one;
//! nothing here is on the way of a commit; what does not concern this server costs it no more than its
//! name in the change log. Over a store of one server none of this runs.

mod changes;
mod ears;
mod herald;
mod progress;
mod time;

use std::sync::Arc;

use crate::runtime::{Shutdown, Tasks};
use crate::store::Store;
use crate::watch::Feed;

pub(super) use ears::Ears;
pub(super) use herald::Herald;
pub use time::set as set_clock;

/// Starts to tell other servers of what is done here, and to hear from them.
pub(super) fn exchange_news(
    store: &Arc<dyn Store>,
    herald: &Herald,
    (ears, feed): (&Arc<Ears>, &Feed),
    (tasks, writer): (&Tasks, &Tasks),
    (shutdown, closed): (&Shutdown, &Shutdown),
) {
    // It tells of the last commits, too.
    let news = herald.clone().run(Arc::clone(store), closed.clone());
    writer.spawn_vital("herald", closed, news);
    ears.start(store, feed, tasks, shutdown);
}

#[cfg(test)]
mod tests;
