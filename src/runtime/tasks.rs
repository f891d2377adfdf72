//! Named tasks, and the signal for them to stop.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::vital::{Ending, Failure, Vital};

/// Tells tasks to stop. Cheap to clone; a child stops with its parent.
#[derive(Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A signal not yet given.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A signal that is given with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Gives the signal.
    pub fn signal(&self) {
        self.0.cancel();
    }

    /// Whether it was given.
    #[must_use]
    pub fn is_signalled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for it. Safe to drop.
    pub async fn signalled(&self) {
        self.0.cancelled().await;
    }
}

/// Spawns tasks by name and waits for all of them.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    vital: Vital,
}

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tasks that are waited for separately; when a vital one of either fails, both have failed.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { tracker: TaskTracker::new(), vital: self.vital.clone() }
    }

    /// Runs `future` as a task called `name`.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::debug_span!("task", task.name = name);
        self.tracker.spawn(future.instrument(span))
    }

    /// Runs `future` as a task called `name` without which the server is of no use: that it panics,
    /// fails, or ends before `until` is signalled is the end of the server ([`failed`](Self::failed)).
    pub fn spawn_vital<F>(&self, name: &'static str, until: &Shutdown, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Ending,
    {
        let (vital, until) = (self.vital.clone(), until.clone());
        self.spawn(name, async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            vital.ended(name, ended, until.is_signalled());
        });
    }

    /// What the first vital task that failed died of.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<Failure>> {
        self.vital.failure()
    }

    /// Waits for the first vital task that fails. Safe to drop.
    pub async fn failed(&self) -> Arc<Failure> {
        self.vital.failed().await
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all have ended.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests;
