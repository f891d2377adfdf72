//! Runs one loop: period with jitter, early runs on a nudge, and a note of each on the board.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::Result;
use crate::runtime::{Clock, LoopBoard, Shutdown};

/// One step of a loop; answers how many rows of a backlog it handled: with
/// [`LOOP_ROWS_MAX`](crate::domain::limits::LOOP_ROWS_MAX) of them there may be more at once.
pub type Step =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<u64>> + Send>> + Send + Sync + 'static>;

/// How long a loop may rest, at most the period that it is given.
pub type Rest = Box<dyn Fn(Duration) -> Duration + Send + Sync + 'static>;

/// Spread of the period, so that replicas do not run in step.
const JITTER: f64 = 0.1;
/// A step that handled a full batch is run again after this pause instead of a whole period.
const PAUSE_WHILE_BUSY: Duration = Duration::from_millis(5);
/// A step that failed is tried again after this, then after twice as long each time: what was due meanwhile is
/// not to wait for a whole period once the store is back.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What one loop goes by.
pub struct Driver {
    /// Its name.
    pub name: &'static str,
    /// How often it runs.
    pub period: Duration,
    /// Makes it run early.
    pub nudge: Arc<Notify>,
    /// How long there is nothing to do, at most a period; a whole one if it cannot be known.
    pub rest: Option<Rest>,
    /// Where it notes what it did.
    pub board: LoopBoard,
    /// The clock.
    pub clock: Clock,
}

impl Driver {
    /// Runs until `shutdown` is signalled.
    pub async fn run(self, step: Step, shutdown: Shutdown) {
        let mut failing = false;
        let mut retry = RETRY_MIN;
        while !shutdown.is_signalled() {
            // Registered before the step looks, so that a nudge during it is not lost.
            let nudged = self.nudge.notified();
            let result = step().await;
            let busy =
                matches!(result, Ok(rows) if rows >= crate::domain::limits::LOOP_ROWS_MAX as u64);
            self.note(&result, &mut failing);
            let period = || self.period.mul_f64(1.0 + JITTER * rand::random_range(-1.0..=1.0));
            let pause = match (&result, &self.rest) {
                (Ok(_), _) if busy => PAUSE_WHILE_BUSY,
                (Ok(_), Some(rest)) => rest(period()),
                (Ok(_), None) => period(),
                (Err(_), _) => period().min(retry),
            };
            retry = if result.is_ok() { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
            tokio::select! {
                () = nudged => {}
                () = tokio::time::sleep(pause) => {}
                () = shutdown.signalled() => {}
            }
        }
    }

    /// An outage is told once, and its end.
    fn note(&self, result: &Result<u64>, failing: &mut bool) {
        match result {
            Ok(_) if *failing => tracing::info!(task.name = self.name, "loop works again"),
            Err(error) if !*failing => tracing::warn!(
                task.name = self.name,
                error = error as &dyn std::error::Error,
                "loop fails"
            ),
            Ok(_) | Err(_) => {}
        }
        *failing = result.is_err();
        let told = result.as_ref().map(|rows| *rows).map_err(ToString::to_string);
        self.board.ran(self.name, self.clock.now(), told);
    }
}

#[cfg(test)]
mod tests;
