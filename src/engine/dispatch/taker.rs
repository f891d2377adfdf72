//! Those who take jobs, and the writes that start a job for one of them, or skip it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::admission::Room;
use crate::domain::ids::QuotaName;
use crate::domain::machine::{self, Applied, Command, Effect, Now, Transition};
use crate::domain::quota::QuotaDraw;
use crate::domain::stats::Changes;
use crate::domain::status::Skip;
use crate::domain::{Job, Session, SessionId, Timestamp, WorkerName};
use crate::store::{Counted, JobWrite, KeyChange};

use super::super::session::Attach;
use super::waiter::Waiting;

/// Someone who takes jobs.
pub(super) enum Taker {
    Stream(Arc<Attach>),
    Call(Arc<Waiting>),
}

impl Taker {
    pub(super) fn room(&self) -> Option<Room> {
        match self {
            Self::Stream(attach) => attach.room(),
            Self::Call(waiting) => waiting.room(),
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

/// The write that starts a job as it was picked, and the session to be opened with it.
pub(super) fn start(
    job: &Job,
    to: &Taker,
    draws: BTreeMap<QuotaName, QuotaDraw>,
    key: Option<String>,
    now: Timestamp,
) -> Option<(JobWrite, Option<Session>)> {
    let (session, worker_id, opened) = to.session(now);
    let transition = apply(job, Command::Start { session, worker_id }, now)?;
    Some((write(job, transition.drawing(draws).keyed(key), KeyChange::None), opened))
}

/// The write that skips a job which no rule lets start, and what follows from it.
pub(super) fn skip(job: &Job, skip: Skip, now: Timestamp) -> Option<(JobWrite, Vec<Effect>)> {
    let transition = apply(job, Command::Skip { reason: skip.reason }, now)?;
    let mut transition = transition.skipped_until(skip.until);
    let effects = std::mem::take(&mut transition.effects);
    let key = if job.spec.unique_key.is_empty() { KeyChange::None } else { KeyChange::Release };
    Some((write(job, transition, key), effects))
}

fn apply(job: &Job, command: Command, now: Timestamp) -> Option<Transition> {
    match machine::apply(&job.spec, &job.status, command, Now::at(now)) {
        Ok(Applied::Changed(transition)) => Some(*transition),
        Ok(Applied::Unchanged) | Err(_) => None,
    }
}

fn write(job: &Job, transition: Transition, key: KeyChange) -> JobWrite {
    let mut changes = Changes::default();
    changes.record(Some(&job.status), &transition.status);
    JobWrite {
        expected_revision: job.status.revision,
        expected_epoch: job.status.lease_epoch,
        quiet_since: None,
        before: Counted::of(&job.status),
        job: Job { id: job.id, spec: Arc::clone(&job.spec), status: transition.status },
        superseded: transition.superseded.into_iter().collect(),
        key,
        changes,
    }
}
