//! Single calls that wait for jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::session::Sessions;
use crate::auth::Caller;
use crate::domain::admission::{Capacity, Room};
use crate::domain::drain::Process;
use crate::domain::{
    InstanceId, Job, JobType, QueueName, Session, SessionId, Timestamp, WorkerName,
};

/// What a call that asks for jobs says of itself.
#[derive(Debug, Clone)]
pub struct Waiter {
    /// Who calls.
    pub caller: Caller,
    /// The worker's name.
    pub worker_id: WorkerName,
    /// The worker's process.
    pub instance_id: InstanceId,
    /// Queues it takes from.
    pub queues: Vec<QueueName>,
    /// Types it takes, all if empty.
    pub types: Vec<JobType>,
    /// Jobs it takes at most.
    pub max_jobs: usize,
    /// The lease of each.
    pub lease_ttl: Duration,
}

impl Waiter {
    /// The process that calls.
    #[must_use]
    pub fn process(&self) -> Process {
        Process { worker_id: self.worker_id.clone(), instance_id: self.instance_id.clone() }
    }

    /// A session with exactly one job.
    #[must_use]
    pub fn session(&self, now: Timestamp) -> Session {
        Session {
            id: SessionId(Uuid::now_v7()),
            worker_id: self.worker_id.clone(),
            instance_id: self.instance_id.clone(),
            principal: self.caller.principal().to_owned(),
            unary: true,
            client: String::new(),
            queues: self.queues.clone(),
            types: self.types.clone(),
            labels: std::collections::BTreeMap::new(),
            slots: 1,
            ttl: self.lease_ttl,
            connect_time: now,
            expire_time: now.plus(self.lease_ttl),
            end: None,
        }
    }
}

/// A waiting call and the way back to it.
pub(super) struct Waiting {
    pub(super) waiter: Waiter,
    reply: Mutex<Option<oneshot::Sender<Vec<Job>>>>,
}

impl Waiting {
    pub(super) fn room(&self) -> Option<Room> {
        let gone = self.reply.lock().as_ref().is_none_or(oneshot::Sender::is_closed);
        let capacity = || Capacity {
            queues: self.waiter.queues.clone(),
            types: self.waiter.types.clone(),
            free: self.waiter.max_jobs,
        };
        let worker_id = self.waiter.worker_id.clone();
        (!gone).then(|| Room { capacity: capacity(), worker_id, memory_free: None })
    }

    /// Hands it its jobs, or gives them back if the call is gone.
    pub(super) fn answer(&self, jobs: Vec<Job>) -> Result<(), Vec<Job>> {
        match self.reply.lock().take() {
            Some(reply) => reply.send(jobs),
            None => Err(jobs),
        }
    }
}

/// Every waiting call.
#[derive(Default)]
pub(in super::super) struct Waiters {
    waiting: DashMap<u64, Arc<Waiting>>,
    next: AtomicU64,
}

/// A place among the waiting calls. Given up when dropped; what was handed to a call that went away
/// goes back to its queue.
pub(in super::super) struct Place<'a> {
    waiters: &'a Waiters,
    sessions: &'a Sessions,
    number: u64,
    answer: oneshot::Receiver<Vec<Job>>,
}

impl Waiters {
    pub(in super::super) fn join<'a>(
        &'a self,
        waiter: Waiter,
        sessions: &'a Sessions,
    ) -> Place<'a> {
        let (reply, answer) = oneshot::channel();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting { waiter, reply: Mutex::new(Some(reply)) };
        self.waiting.insert(number, Arc::new(waiting));
        Place { waiters: self, sessions, number, answer }
    }

    /// The calls that wait now.
    pub(in super::super) fn present(&self) -> Vec<Waiter> {
        self.waiting.iter().map(|entry| entry.waiter.clone()).collect()
    }

    /// Answers those calls at once, with nothing.
    pub(in super::super) fn dismiss(&self, which: impl Fn(&Process) -> bool) {
        for waiting in self.all() {
            if which(&waiting.waiter.process()) {
                // Nothing was given, so nothing comes back.
                let _ = waiting.answer(Vec::new());
            }
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Waiting>> {
        self.waiting.iter().map(|entry| Arc::clone(entry.value())).collect()
    }
}

impl Place<'_> {
    /// Waits for jobs; none after `wait`. Safe to drop.
    pub(in super::super) async fn jobs(&mut self, wait: Duration) -> Vec<Job> {
        if let Ok(Ok(jobs)) = tokio::time::timeout(wait, &mut self.answer).await {
            return jobs;
        }
        // From here on a round finds the call gone and takes its jobs back; what was handed out
        // before that is still in the channel.
        self.answer.close();
        self.answer.try_recv().unwrap_or_default()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiters.waiting.remove(&self.number);
        self.answer.close();
        for job in self.answer.try_recv().unwrap_or_default() {
            if let Some(session) = job.status.session() {
                self.sessions.take_back(job.id, job.status.lease_epoch, session);
            }
        }
    }
}
