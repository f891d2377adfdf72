//! The jobs that an attach holds, from the moment before they start until their lease ends.

use std::sync::Arc;

use crate::domain::{CancelRequest, Job, JobId};

use super::super::live::{Cell, Live};
use super::super::pipeline::{Adoption, Opened};
use super::attach::{Attach, State};
use super::outbox::{ToWorker, Welcome};

/// A job that an attach holds.
pub(super) struct Held {
    pub(super) lease_epoch: i64,
    pub(super) cell: Arc<Cell>,
    /// Memory that it may use.
    pub(super) memory_bytes: u64,
    /// The wish to stop that it was told last, and the revision of the job that it came with.
    told: (i64, Option<CancelRequest>),
    /// The worker said something of it: it has it.
    pub(super) heard_of: bool,
    /// There while its start is being committed.
    starting: Option<Starting>,
}

/// What came of a job before it was handed out.
#[derive(Default)]
struct Starting {
    /// To be told behind its Assignment.
    waiting: Vec<ToWorker>,
    /// Its lease ended: the worker is told nothing of it.
    closed: bool,
}

impl Held {
    fn new(job: &Job, cell: Arc<Cell>, starting: Option<Starting>) -> Self {
        let status = &job.status;
        let told = (status.revision, status.cancel_request.clone());
        let memory_bytes = status.effective.limits.memory_bytes;
        let lease_epoch = status.lease_epoch;
        Self { lease_epoch, cell, memory_bytes, told, heard_of: false, starting }
    }
}

impl State {
    /// What it holds of a job under this lease.
    fn held_under(&mut self, job_id: JobId, lease_epoch: i64) -> Option<&mut Held> {
        self.held.get_mut(&job_id).filter(|held| held.lease_epoch == lease_epoch)
    }
}

impl Attach {
    /// Its session is open: it holds what it was granted, and is welcomed. `false` if its stream is
    /// over.
    pub(super) fn open(&self, live: &Live, opened: Opened) -> bool {
        let mut state = self.state.lock();
        if state.over {
            return false;
        }
        let granted = opened.adopted.iter();
        let granted = granted.map(|job| (job.id, Held::new(job, live.open(job), None)));
        state.held = granted.collect();
        state.opening = false;
        // Within the lock, so that nothing can be told before it.
        self.outbox.push(ToWorker::Welcome(Box::new(Welcome {
            session_id: state.session,
            lease_ttl: self.lease_ttl,
            heartbeat_interval: self.heartbeat_interval(),
            report_interval: state.report_interval,
            adopted: opened.adopted,
            revoked: opened.revoked,
        })));
        true
    }

    /// Keeps a place for a job whose start is about to be committed, so that what is decided about it
    /// from then on finds its holder; `false` if it cannot take it any more.
    pub(in super::super) fn reserve(&self, job: &Job, cell: Arc<Cell>) -> bool {
        let mut state = self.state.lock();
        let open = !state.over && !state.lapsed && !state.opening;
        if !open || job.status.session() != Some(state.session) {
            return false;
        }
        state.held.insert(job.id, Held::new(job, cell, Some(Starting::default())));
        true
    }

    /// Hands it the job it has a place for. `false` if that is not told to the worker: the stream or
    /// its session is over, or the job was taken back meanwhile.
    pub(in super::super) fn assign(&self, job: &Job) -> bool {
        let mut state = self.state.lock();
        let lapsed = state.lapsed;
        let place = state.held.get_mut(&job.id);
        let Some(place) = place.filter(|held| held.lease_epoch == job.status.lease_epoch) else {
            return false;
        };
        let Some(Starting { waiting, closed }) = place.starting.take() else { return false };
        // Within the lock, so that nothing about the job can be told before it.
        let told =
            !lapsed && !closed && self.outbox.push(ToWorker::Assignment(Box::new(job.clone())));
        if told {
            for message in waiting {
                self.outbox.push(message);
            }
        } else {
            state.held.remove(&job.id);
        }
        told
    }

    /// Gives up the place of a job whose start did not happen.
    pub(in super::super) fn withdraw(&self, job: &Job) {
        let mut state = self.state.lock();
        let its =
            |held: &Held| held.lease_epoch == job.status.lease_epoch && held.starting.is_some();
        if state.held.get(&job.id).is_some_and(its) {
            state.held.remove(&job.id);
        }
    }

    /// Asks it to stop a job that it holds, unless it knows that wish or a later one: who decided it
    /// and who reads of it in the change log may both say so.
    pub(super) fn ask_to_stop(&self, job: &Job, request: &CancelRequest) {
        let (job_id, revision) = (job.id, job.status.revision);
        let mut state = self.state.lock();
        let Some(held) = state.held_under(job_id, job.status.lease_epoch) else { return };
        let knows = held.told.0 >= revision || held.told.1.as_ref() == Some(request);
        held.told.0 = revision.max(held.told.0);
        if !knows {
            held.told.1 = Some(request.clone());
            let (lease_epoch, request) = (held.lease_epoch, request.clone());
            self.tell_of(held, ToWorker::Cancel { job_id, lease_epoch, request });
        }
    }

    /// Tells it that it lost a job, if it holds it.
    pub(super) fn revoke(&self, job_id: JobId, lease_epoch: i64, reason: &str) {
        let mut state = self.state.lock();
        let Some(held) = state.held_under(job_id, lease_epoch) else { return };
        let reason = reason.to_owned();
        self.tell_of(held, ToWorker::Revoke { job_id, lease_epoch, reason });
    }

    /// Tells it something of a job: not before the job itself was handed to it.
    fn tell_of(&self, held: &mut Held, message: ToWorker) {
        match &mut held.starting {
            Some(starting) => starting.waiting.push(message),
            None => {
                self.outbox.push(message);
            }
        }
    }

    /// Forgets a job whose lease ended. Answers whether a slot became free by it.
    pub(in super::super) fn let_go(&self, job_id: JobId, lease_epoch: i64) -> bool {
        let mut state = self.state.lock();
        let held = state.held.get_mut(&job_id).filter(|held| held.lease_epoch <= lease_epoch);
        match held.map(|held| held.starting.as_mut()) {
            None => false,
            Some(Some(starting)) => {
                starting.closed = true;
                false
            }
            Some(None) => state.held.remove(&job_id).is_some(),
        }
    }

    /// What it holds and knows of.
    pub(super) fn holdings(&self) -> Vec<Adoption> {
        let state = self.state.lock();
        let held = state.held.iter().filter(|(_, held)| held.starting.is_none());
        held.map(|(job_id, held)| Adoption { job_id: *job_id, lease_epoch: held.lease_epoch })
            .collect()
    }
}
