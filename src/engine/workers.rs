//! Who works here: attached streams, single calls, and workers that were lost within the hour.

mod roster;

use std::collections::BTreeMap;

use crate::auth::Caller;
use crate::domain::drain::Process;
use crate::domain::limits::{ENDED_SESSION_RETENTION, LOOP_ROWS_MAX};
use crate::domain::{InstanceId, Job, JobType, QueueName, SessionId, Timestamp, WorkerName};

use super::Engine;
use super::error::Result;
use super::session::HostUsage;

pub(super) use roster::{Holdings, Roster};

/// Whether a worker is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkerState {
    /// It takes jobs.
    Online,
    /// It is there and takes no more jobs.
    Draining,
    /// Its lease ran out.
    Lost,
}

/// Which workers are meant: OR within a field, AND between fields, an empty field does not filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerFilter {
    /// Those that serve one of these queues.
    pub queues: Vec<QueueName>,
    /// Those in one of these states.
    pub states: Vec<WorkerState>,
}

/// A process that runs jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Its name.
    pub worker_id: WorkerName,
    /// The process; empty for callers that gave none.
    pub instance_id: InstanceId,
    /// Client library and version.
    pub client: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// The types it runs, all if empty.
    pub types: Vec<JobType>,
    /// Jobs it may hold.
    pub slots: u64,
    /// Jobs it holds, in all.
    pub held: u64,
    /// How busy its machine is.
    pub host_usage: Option<HostUsage>,
    /// What its jobs leave of the memory it advertised; unset if it advertised none, or is attached to
    /// another server.
    pub memory_free: Option<u64>,
    /// The jobs it holds, the first thousand.
    pub running: Vec<Job>,
    /// When it attached.
    pub connect_time: Timestamp,
    /// When it was last heard of.
    pub last_seen_time: Timestamp,
    /// Whether it is there.
    pub state: WorkerState,
}

/// How many workers are there, and what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workforce {
    /// Workers attached or calling now.
    pub workers: u64,
    /// Jobs they can hold.
    pub slots: u64,
    /// Jobs they hold.
    pub held: u64,
}

impl Worker {
    /// Its process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process { worker_id: self.worker_id.clone(), instance_id: self.instance_id.clone() }
    }
}

impl WorkerFilter {
    fn matches(&self, worker: &Worker) -> bool {
        (self.queues.is_empty() || self.queues.iter().any(|queue| worker.queues.contains(queue)))
            && (self.states.is_empty() || self.states.contains(&worker.state))
    }
}

impl Engine {
    /// The workers that are there or were lost within the hour, by name.
    pub async fn workers(&self, _caller: &Caller, filter: WorkerFilter) -> Result<Vec<Worker>> {
        let since = self.clock.now().minus(ENDED_SESSION_RETENTION);
        if self.shared {
            self.read_drains().await?;
        }
        let roster = self.roster(since).await?;
        let open = roster.sessions.iter().filter(|session| session.end.is_none());
        let held = self.held_by(open.map(|session| session.id).collect()).await?;
        let mut workers = roster.workers(&held);
        workers.retain(|worker| filter.matches(worker));
        Ok(workers)
    }

    /// What is known of workers: sessions that are open or ended after `ended_after`.
    pub(super) async fn roster(&self, ended_after: Timestamp) -> Result<Roster> {
        let sessions =
            self.db.read(move |store| async move { store.sessions(ended_after).await }).await?;
        let attached = self.sessions.all().into_iter().map(|attach| {
            let glance = attach.glance();
            (glance.session, glance)
        });
        Ok(Roster {
            now: self.clock.now(),
            sessions,
            attached: attached.collect(),
            waiting: self.waiters.present(),
            book: self.registry.book(),
        })
    }

    /// The jobs of these sessions, with their newest progress.
    pub(super) async fn held_by(&self, sessions: Vec<SessionId>) -> Result<Holdings> {
        let mut holdings = Holdings::new();
        for some in sessions.chunks(LOOP_ROWS_MAX) {
            let some = some.to_vec();
            // A session whose jobs were looked for is in the answer, with none if it holds none.
            holdings.extend(some.iter().map(|id| (*id, Vec::new())));
            let jobs = self.db.read(move |store| async move { store.held(&some).await }).await?;
            for mut job in jobs {
                self.live.overlay(&mut job);
                if let Some(session) = job.status.session() {
                    holdings.entry(session).or_default().push(job);
                }
            }
        }
        Ok(holdings)
    }
}

/// How far a job is, 0 to 100, if it can be told.
#[must_use]
pub fn percent(job: &Job, now: Timestamp) -> Option<f64> {
    let execution = job.status.execution.as_ref()?;
    if !job.status.progress.is_reported() {
        return None;
    }
    job.status.progress.derive(execution.start_time, now).percent
}

#[cfg(test)]
mod tests;
