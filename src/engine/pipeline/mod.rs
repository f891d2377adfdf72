//! The one way in: a group commit without a timer.
//!
//! Owns: the queue of work, the writer that drains whatever queued up while the last commit ran,
//! folding several commands for one job into one row, guards that missed, repeats, bisection, and
//! what follows a commit.
//! Does not own: what a command does (`domain::machine`), how it is stored (`store`).
//! Entry: [`Pipeline::submit`].
//! Invariants: nothing is answered before it is durable; a refusal comes from a read that began after
//! the command arrived; a batch is at most [`COMMIT_COMMANDS_MAX`] commands.

mod after;
mod answer;
mod cache;
mod fold;
mod queue;
mod unheard;
mod work;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::runtime::{Clock, Shutdown, Tasks};
use crate::store::Store;
use crate::telemetry::Metrics;

use super::error::{Error, Result};
use super::health::Health;

use queue::Queue;

pub use after::After;
pub(super) use cache::Cache;
pub use work::{Adoption, Created, Opened, Reply, RuleChange, RulesChanged, Work};

/// What the writer works with.
pub(super) struct Parts {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) cache: Arc<Cache>,
    pub(super) after: Arc<After>,
    pub(super) metrics: Metrics,
    pub(super) health: Arc<Health>,
}

/// The queue into the writer. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    queue: Arc<Queue>,
    health: Arc<Health>,
    timeout: Duration,
}

impl Pipeline {
    /// Starts the writer.
    pub(super) fn start(
        parts: Parts,
        timeout: Duration,
        tasks: &Tasks,
        shutdown: Shutdown,
    ) -> Self {
        let queue = Arc::new(Queue::default());
        let (health, until) = (Arc::clone(&parts.health), shutdown.clone());
        let writer = writer::Writer::new(parts).run(Arc::clone(&queue), shutdown);
        tasks.spawn_vital("writer", &until, writer);
        Self { queue, health, timeout }
    }

    /// Queues work whose answer goes where its reply says.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too much waits already, [`Error::Draining`] after the end; the work's
    /// reply is dropped unanswered then.
    pub fn submit(&self, work: Work) -> Result<()> {
        self.queue.push(work, false).map_err(|refused| {
            self.health.trouble();
            refused.1
        })
    }

    /// Whether so many pieces of work would be taken now.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too much waits already.
    pub fn takes(&self, pieces: usize) -> Result<()> {
        if self.queue.takes(pieces) {
            return Ok(());
        }
        self.health.trouble();
        Err(Error::Overloaded)
    }

    /// Queues work that must be taken, such as the reports of workers, in its order. Whoever submits
    /// so bounds how much.
    pub fn submit_surely(&self, work: Work) {
        if let Err(refused) = self.queue.push(work, true) {
            let (work, error) = *refused;
            work.fail(error);
        }
    }

    /// Queues the work that `make` makes around a reply, and waits for the answer.
    ///
    /// # Errors
    /// What the work was answered; [`Error::OutcomeUnknown`] if the answer does not come in time.
    pub async fn ask<T: Send + 'static>(&self, make: impl FnOnce(Reply<T>) -> Work) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        self.submit(make(Reply::new(move |answer| {
            // Nobody waits any more: the answer is lost, the change is not.
            let _ = sender.send(answer);
        })))?;
        match tokio::time::timeout(self.timeout, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Draining),
            Err(_) => Err(Error::OutcomeUnknown),
        }
    }
}
