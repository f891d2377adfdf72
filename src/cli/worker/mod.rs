//! A worker process as the server sees it: one session over `ReportProgress` that outlives its streams.
//!
//! Owns: what is held and not acknowledged yet ([`book`]), lines that wait for a server ([`spool`]), the stream and
//! its repair ([`session`]).
//! Does not own: how jobs are run; whoever starts a session reads its [`Event`]s and reports by its [`Handle`].
//! Entry: [`start`].
//! Invariants: reports never block and never fail: while the server is away they wait here, for as long as it takes;
//! an outcome is kept until the server has answered it and follows the lines before it; lines are dropped only when
//! the spool is full, the oldest first, and a line in their place says how many they were.

mod book;
mod entry;
mod event;
mod handle;
mod session;
mod settings;
mod spool;

#[cfg(test)]
mod tests;

pub use event::{Cause, Event, Events};
pub use handle::{Closed, Handle};
pub use session::start;
pub use settings::{Settings, default_worker_id, own_instance_id};

/// A job in the hands of this process: who reports about it says under which lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease {
    /// The job.
    pub job_id: String,
    /// The epoch it was handed out with.
    pub epoch: i64,
}
