//! The server as a worker of its own: it takes jobs of type `jobplane.bulk` and runs each in a task.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::auth::Caller;
use crate::domain::limits::{ACQUIRE_WAIT_MAX, BULK_AT_ONCE, BULK_LEASE};
use crate::domain::session::EndReason;
use crate::domain::{InstanceId, JobType, QueueName, WorkerName};
use crate::engine::Engine;
use crate::engine::dispatch::Waiter;
use crate::engine::error::{Error, Result};
use crate::engine::pipeline::Work;
use crate::store::SessionWrite;

/// Pause after the store did not answer.
const PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Takes bulk commands and runs them, until the server stops.
    pub async fn run_bulk(self) {
        while let Err(error) = self.end_lost_runs().await {
            if self.paused_for(&error).await {
                return;
            }
        }
        let room = Arc::new(Semaphore::new(BULK_AT_ONCE));
        while !self.shutdown.is_signalled() {
            let permit = tokio::select! {
                permit = Arc::clone(&room).acquire_owned() => permit,
                () = self.shutdown.signalled() => return,
            };
            let Ok(permit) = permit else { return };
            let taken = match self.acquire(self.bulk_waiter(), ACQUIRE_WAIT_MAX).await {
                Ok(taken) => taken,
                Err(error) => {
                    if self.paused_for(&error).await {
                        return;
                    }
                    continue;
                }
            };
            let mut permit = Some(permit);
            for assignment in taken {
                let (engine, permit) = (self.clone(), permit.take());
                self.tasks.spawn("bulk command", async move {
                    engine.run_bulk_job(assignment.job).await;
                    drop(permit);
                });
            }
        }
    }

    /// Waits a moment after an error; `true` if the server stops.
    pub(super) async fn paused_for(&self, error: &Error) -> bool {
        if !error.is_passing() {
            tracing::warn!(error = error as &dyn std::error::Error, "a bulk command is held up");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => self.shutdown.is_signalled(),
            () = self.shutdown.signalled() => true,
        }
    }

    pub(super) fn bulk_waiter(&self) -> Waiter {
        Waiter {
            caller: Caller::server(),
            worker_id: WorkerName::bulk(),
            instance_id: InstanceId::new(&self.replica.id.to_string()).unwrap_or_default(),
            queues: vec![QueueName::bulk()],
            types: vec![JobType::bulk()],
            max_jobs: 1,
            lease_ttl: BULK_LEASE,
        }
    }

    /// Whoever alone has the store knows that runs it did not begin are lost: they go on at once, and not only when
    /// their leases are over.
    async fn end_lost_runs(&self) -> Result<()> {
        if self.shared {
            return Ok(());
        }
        let now = self.clock.now();
        let sessions = self.loop_db.read(move |store| async move { store.sessions(now).await });
        for session in sessions.await? {
            if session.worker_id != WorkerName::bulk() || session.end.is_some() {
                continue;
            }
            let write = SessionWrite::End { id: session.id, reason: EndReason::Goodbye };
            self.pipeline.ask(|reply| Work::Session { write, patient: false, reply }).await?;
        }
        self.nudges.session_ended.notify_one();
        Ok(())
    }
}
