//! What a session tells whoever runs the jobs.

use std::time::Duration;

use tokio::sync::mpsc;

use super::Lease;
use crate::cli::client::Refusal;
use crate::cli::exit::Failure;
use crate::proto::v1::{CancelCause, Job};

/// Why the server is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What the connection, or the server, said.
    pub said: String,
    /// When the next try is made.
    pub retry_after: Duration,
}

/// What a session tells whoever runs the jobs.
#[derive(Debug)]
pub enum Event {
    /// The session is open, for the first time or again.
    Connected,
    /// The server is not there; it is tried again and again. Reports wait.
    Lost(Cause),
    /// The server refused the worker for good: nothing more will happen.
    Refused(Failure),
    /// Run this job.
    Assigned {
        /// Its lease.
        lease: Lease,
        /// What it is.
        job: Box<Job>,
    },
    /// Stop this job and report its outcome. Said again when the grace gets shorter.
    Cancel {
        /// Its lease.
        lease: Lease,
        /// Who or what asked.
        cause: CancelCause,
        /// Why, for people. May be empty.
        reason: String,
        /// What is left of the time to stop.
        grace: Duration,
    },
    /// The job is no longer this worker's: stop it; reports about it go nowhere.
    Revoked {
        /// Its lease.
        lease: Lease,
        /// Why, for people.
        reason: String,
    },
    /// The server answered the outcome of a job: the worker does not hold it any more.
    Settled {
        /// Its lease.
        lease: Lease,
        /// Whether it took it, or why not.
        answer: Result<(), Box<Refusal>>,
    },
    /// The server refused a report that is no outcome; the job goes on.
    Rejected {
        /// The job.
        lease: Lease,
        /// What was refused, in a word.
        what: &'static str,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// An operator wants this worker empty: take nothing more, finish or release, close.
    Drain {
        /// How long that may take.
        grace: Duration,
        /// Why, for people. May be empty.
        reason: String,
    },
}

/// The events of a session, in order. They must be read: a session whose reader sleeps for long stands still.
pub struct Events(pub(super) mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` when the session is closed. Safe to drop.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}
