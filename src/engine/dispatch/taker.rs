//! Those who take jobs, and the write that starts a job for one of them.

use std::sync::Arc;

use crate::domain::admission::Capacity;
use crate::domain::machine::{self, Applied, Command, Now};
use crate::domain::stats::Changes;
use crate::domain::status::StateKind;
use crate::domain::{Job, Session, SessionId, Timestamp, WorkerName};
use crate::store::{JobWrite, KeyChange};

use super::super::session::Attach;
use super::waiter::Waiting;

/// Someone who takes jobs.
pub(super) enum Taker {
    Stream(Arc<Attach>),
    Call(Arc<Waiting>),
}

impl Taker {
    pub(super) fn capacity(&self) -> Option<Capacity> {
        match self {
            Self::Stream(attach) => attach.capacity(),
            Self::Call(waiting) => waiting.capacity(),
        }
    }

    /// The session a job is started in; for a call, one of its own that is to be opened with it.
    fn session(&self, now: Timestamp) -> (SessionId, WorkerName, Option<Session>) {
        match self {
            Self::Stream(attach) => (attach.session(), attach.worker_id().clone(), None),
            Self::Call(waiting) => {
                let row = waiting.waiter.session(now);
                (row.id, row.worker_id.clone(), Some(row))
            }
        }
    }
}

/// The write that starts a job, and the session to be opened with it.
pub(super) fn start(job: &Job, to: &Taker, now: Timestamp) -> Option<(JobWrite, Option<Session>)> {
    let (session, worker_id, opened) = to.session(now);
    let command = Command::Start { session, worker_id };
    let Ok(Applied::Changed(transition)) =
        machine::apply(&job.spec, &job.status, command, Now::at(now))
    else {
        return None;
    };
    let mut changes = Changes::default();
    changes.record(Some(&job.status), &transition.status);
    let write = JobWrite {
        expected_revision: job.status.revision,
        expected_epoch: job.status.lease_epoch,
        quiet_since: None,
        state_before: StateKind::Pending,
        queue_before: job.status.effective.queue.clone(),
        job: Job { id: job.id, spec: Arc::clone(&job.spec), status: transition.status },
        superseded: transition.superseded.into_iter().collect(),
        key: KeyChange::None,
        changes,
    };
    Some((write, opened))
}
