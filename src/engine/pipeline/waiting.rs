//! How many jobs wait where that is bounded: as the counters say when a batch is decided, and with those
//! that it makes.

use std::collections::HashMap;

use crate::domain::queue::room_to_wait;
use crate::domain::{Job, QueueName, StateKind};
use crate::store::{self, Store};

use super::super::error::Error;
use super::super::registry::Rulebook;
use super::work::Work;

/// See the module.
pub(in super::super) struct Waiting {
    /// What waits in each queue, and what may.
    queues: HashMap<QueueName, (u64, u32)>,
    /// What waits in all, and what may; 0 = no bound.
    all: (u64, u32),
}

/// Whether a job takes room where that is bounded: who is started or skipped at once does not.
fn takes_room(job: &Job, book: &Rulebook, max_pending: u32) -> bool {
    let waits = job.status.kind() == StateKind::Pending;
    waits && (max_pending > 0 || book.max_pending(&job.spec.queue) > 0)
}

/// Whether one of these creates asks for room that is bounded. `max_pending` is what this server was told of
/// all jobs.
pub(super) fn asks(work: &[Work], book: &Rulebook, max_pending: u32) -> bool {
    let max_pending = book.max_pending_in_all(max_pending);
    work.iter().any(|piece| match piece {
        Work::Create { new, .. } => takes_room(&new.job, book, max_pending),
        Work::Command { .. }
        | Work::Deed { .. }
        | Work::Try { .. }
        | Work::Fence { .. }
        | Work::Delete { .. }
        | Work::Logs { .. }
        | Work::Open { .. }
        | Work::Session { .. }
        | Work::Expire { .. }
        | Work::Note { .. }
        | Work::Rules { .. }
        | Work::Progress { .. } => false,
    })
}

impl Waiting {
    /// What waits now. `max_pending` is what this server was told of all jobs.
    pub(in super::super) async fn read(
        store: &dyn Store,
        book: &Rulebook,
        max_pending: u32,
    ) -> store::Result<Self> {
        let max_pending = book.max_pending_in_all(max_pending);
        let counts = store.pending().await?;
        let counted = |count: i64| u64::try_from(count).unwrap_or_default();
        let all = counts.iter().map(|(_, count)| counted(*count)).sum();
        let mut waiting = Self { queues: HashMap::new(), all: (all, max_pending) };
        for (queue, known) in &book.queues {
            let of_it = counts.iter().find(|(name, _)| name == queue);
            let pending = of_it.map_or(0, |(_, count)| counted(*count));
            waiting.queues.insert(queue.clone(), (pending, known.what.max_pending));
        }
        Ok(waiting)
    }

    /// Takes room for a job, if it needs some.
    ///
    /// # Errors
    /// [`Error::TooManyPending`] if its queue or the server is full.
    pub(in super::super) fn take(&mut self, job: &Job) -> Result<(), Error> {
        if job.status.kind() != StateKind::Pending {
            return Ok(());
        }
        let queue = self.queues.get_mut(&job.spec.queue);
        if let Some((pending, max_pending)) = &queue {
            room_to_wait(*pending, 1, *max_pending).map_err(|full| Error::TooManyPending {
                queue: Some(job.spec.queue.clone()),
                full,
            })?;
        }
        let (all, max_pending) = self.all;
        room_to_wait(all, 1, max_pending)
            .map_err(|full| Error::TooManyPending { queue: None, full })?;
        self.all.0 += 1;
        if let Some((pending, _)) = queue {
            *pending += 1;
        }
        Ok(())
    }
}
