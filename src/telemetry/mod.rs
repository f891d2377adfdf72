//! What the service tells of itself.
//!
//! Owns: the form of the log ([`logs`]) and every instrument ([`Metrics`]).
//! Does not own: when something is counted or logged; that is said where it happens.
//! Invariants: logs go to stderr; every metric is declared here, and none has more label values than
//! a bound of [`limits`](crate::domain::limits).

mod chain;
mod commits;
mod connections;
mod events;
mod jobs;
mod labels;
pub mod logs;
mod metrics;
mod rpcs;
mod rules;

#[cfg(test)]
mod tests;

pub use chain::chain;
pub use jobs::{Finished, Found, QueueDepth};
pub use metrics::{CONTENT_TYPE, Metrics};
pub use rules::QuotaLevel;
