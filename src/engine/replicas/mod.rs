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

pub(super) use ears::Ears;
pub(super) use herald::Herald;
pub use time::set as set_clock;
