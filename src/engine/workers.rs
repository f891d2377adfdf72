//! Who works here: attached streams, single calls, and workers that were lost within the hour.

use std::collections::{BTreeMap, HashMap};

use crate::auth::Caller;
use crate::domain::limits::{ENDED_SESSION_RETENTION, LOOP_ROWS_MAX, SLOTS_MAX};
use crate::domain::session::{EndReason, Session};
use crate::domain::{InstanceId, Job, JobType, QueueName, SessionId, Timestamp, WorkerName};

use super::Engine;
use super::dispatch::Waiter;
use super::error::Result;
use super::session::{Glance, HostUsage};

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

/// The jobs of each session.
pub(super) type Holdings = HashMap<SessionId, Vec<Job>>;

/// Everything that is known of workers at one moment.
pub(super) struct Roster {
    pub(super) now: Timestamp,
    /// Open sessions, and those that ended of late.
    pub(super) sessions: Vec<Session>,
    /// What the attaches of this process say.
    pub(super) attached: HashMap<SessionId, Glance>,
    /// Calls that wait for jobs at this process.
    pub(super) waiting: Vec<Waiter>,
}

type Process = (WorkerName, InstanceId);

impl Roster {
    /// The streams that are open, here or elsewhere.
    pub(super) fn open_streams(&self) -> impl Iterator<Item = SessionId> {
        let open = self.sessions.iter().filter(|session| session.end.is_none() && !session.unary);
        open.map(|session| session.id)
    }

    /// Jobs a session holds: an attach of this process counts them itself, a unary session has one.
    fn holds(&self, session: &Session, held: &Holdings) -> u64 {
        match (self.attached.get(&session.id), held.get(&session.id)) {
            (_, Some(jobs)) => jobs.len() as u64,
            (Some(glance), None) => glance.held as u64,
            (None, None) => u64::from(session.unary),
        }
    }

    fn slots(&self, session: &Session) -> u64 {
        let here = self.attached.get(&session.id).map(|glance| glance.slots);
        u64::from(here.unwrap_or(session.slots))
    }

    fn connected(&self, session: &Session) -> Timestamp {
        let here = self.attached.get(&session.id).map(|glance| glance.connect_time);
        here.unwrap_or(session.connect_time)
    }

    fn last_seen(&self, session: &Session) -> Timestamp {
        match self.attached.get(&session.id) {
            Some(glance) if session.end.is_none() => self.now.minus(glance.heard_ago),
            // A lease that was shortened would tell of a moment before its own beginning.
            Some(_) | None => session.expire_time.minus(session.ttl).max(session.connect_time),
        }
    }

    /// Sessions by process, the newest first.
    fn processes(&self) -> BTreeMap<Process, (Vec<&Session>, Vec<&Waiter>)> {
        let mut processes: BTreeMap<Process, (Vec<&Session>, Vec<&Waiter>)> = BTreeMap::new();
        for session in &self.sessions {
            let process = (session.worker_id.clone(), session.instance_id.clone());
            processes.entry(process).or_default().0.push(session);
        }
        for waiter in &self.waiting {
            let process = (waiter.worker_id.clone(), waiter.instance_id.clone());
            processes.entry(process).or_default().1.push(waiter);
        }
        for (sessions, _) in processes.values_mut() {
            sessions.sort_by_key(|session| std::cmp::Reverse((session.connect_time, session.id)));
        }
        processes
    }

    /// How many workers are there, and what they hold.
    pub(super) fn workforce(&self, held: &Holdings) -> Workforce {
        let mut workforce = Workforce::default();
        for (sessions, calls) in self.processes().into_values() {
            let open: Vec<_> =
                sessions.into_iter().filter(|session| session.end.is_none()).collect();
            if open.is_empty() && calls.is_empty() {
                continue;
            }
            workforce.workers += 1;
            workforce.slots += open.iter().map(|session| self.slots(session)).sum::<u64>();
            workforce.slots += calls.iter().map(|call| call.max_jobs as u64).sum::<u64>();
            workforce.held += open.iter().map(|session| self.holds(session, held)).sum::<u64>();
        }
        workforce
    }

    /// The workers that are there or were lost, by name.
    pub(super) fn workers(&self, held: &Holdings) -> Vec<Worker> {
        let processes = self.processes().into_iter();
        processes
            .filter_map(|(process, (sessions, calls))| {
                self.worker(process, &sessions, &calls, held)
            })
            .collect()
    }

    fn worker(
        &self,
        (worker_id, instance_id): Process,
        sessions: &[&Session],
        calls: &[&Waiter],
        held: &Holdings,
    ) -> Option<Worker> {
        let open: Vec<&Session> =
            sessions.iter().copied().filter(|session| session.end.is_none()).collect();
        let newest = open.first().or(sessions.first()).copied();
        let state = self.state(newest, &open, calls)?;
        let call = calls.first().map(|waiter| waiter.session(self.now));
        // Who waits for jobs right now says best what it serves.
        let facts = open.first().copied().or(call.as_ref()).or(newest)?;
        let shown: Vec<&Session> = if open.is_empty() { vec![facts] } else { open.clone() };
        let mut running: Vec<Job> =
            open.iter().filter_map(|session| held.get(&session.id)).flatten().cloned().collect();
        running.sort_by_key(|job| job.id);
        running.truncate(SLOTS_MAX as usize);
        let waited_for: u64 = calls.iter().map(|call| call.max_jobs as u64).sum();
        let seen = shown.iter().map(|session| self.last_seen(session)).max();
        let connect_time = shown.iter().map(|session| self.connected(session)).min();
        Some(Worker {
            worker_id,
            instance_id,
            client: facts.client.clone(),
            labels: facts.labels.clone(),
            queues: facts.queues.clone(),
            types: facts.types.clone(),
            slots: if open.is_empty() && calls.is_empty() {
                u64::from(facts.slots)
            } else {
                open.iter().map(|session| self.slots(session)).sum::<u64>() + waited_for
            },
            held: open.iter().map(|session| self.holds(session, held)).sum(),
            host_usage: open.iter().find_map(|session| self.attached.get(&session.id)?.host_usage),
            running,
            connect_time: connect_time.unwrap_or(self.now),
            last_seen_time: if calls.is_empty() { seen.unwrap_or(self.now) } else { self.now },
            state,
        })
    }

    /// Whether it is there; `None` if it left in good order.
    fn state(
        &self,
        newest: Option<&Session>,
        open: &[&Session],
        calls: &[&Waiter],
    ) -> Option<WorkerState> {
        if !open.is_empty() || !calls.is_empty() {
            return Some(self.presence(open, calls));
        }
        match newest?.end?.1 {
            EndReason::Expired => Some(WorkerState::Lost),
            EndReason::Goodbye | EndReason::Superseded | EndReason::Done => None,
        }
    }

    /// A stream that set its capacity to nothing takes no more jobs.
    fn presence(&self, open: &[&Session], calls: &[&Waiter]) -> WorkerState {
        let closed = |session: &&Session| {
            self.attached.get(&session.id).is_some_and(|glance| glance.slots == 0)
        };
        let drains = calls.is_empty() && !open.is_empty() && open.iter().all(closed);
        if drains { WorkerState::Draining } else { WorkerState::Online }
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
