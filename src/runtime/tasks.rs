//! Named tasks, and the signal for them to stop.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

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
pub struct Tasks(TaskTracker);

impl Tasks {
    /// No tasks yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` as a task called `name`.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::debug_span!("task", task.name = name);
        self.0.spawn(future.instrument(span))
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.len()
    }

    /// Waits until all have ended.
    pub async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
