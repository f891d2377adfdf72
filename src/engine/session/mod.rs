//! Worker processes that are attached by a stream.
//!
//! Owns: what an attach holds and may still take ([`Attach`]), what is to be told to it ([`Outbox`]),
//! which of its updates are applied (`ledger`), what other servers decided (`elsewhere`), the list of all ([`Sessions`]), how they get their
//! sessions (`opening`), and what time asks of them (`keeper`).
//! Does not own: wire messages (`grpc`), states of jobs (the pipeline).
//! Entry: [`Sessions::attach`] through the engine.
//! Invariants: an attach never waits for the database while it reads; held = adopted + assigned −
//! outcomes applied; a reject precedes the ack that covers it.

mod attach;
mod draining;
mod elsewhere;
mod holding;
mod keeper;
mod ledger;
mod opening;
mod outbox;
mod registry;
mod reports;
mod update;

pub(super) use attach::Glance;
pub use attach::{Attach, Hello, HostUsage, WorkerFacts};
pub use outbox::{Outbox, ToWorker, Welcome};
pub(super) use registry::Parts;
pub use registry::Sessions;
pub use update::{Outcome, Update, UpdateKind};
