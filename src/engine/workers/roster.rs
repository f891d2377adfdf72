//! Everything that is known of workers at one moment, put together by process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::drain::Process;
use crate::domain::limits::SLOTS_MAX;
use crate::domain::session::{EndReason, Session};
use crate::domain::{InstanceId, Job, SessionId, Timestamp, WorkerName};

use super::super::dispatch::Waiter;
use super::super::registry::Rulebook;
use super::super::session::Glance;
use super::{Worker, WorkerState, Workforce};

/// The jobs of each session.
pub(in super::super) type Holdings = HashMap<SessionId, Vec<Job>>;

/// Everything that is known of workers at one moment.
pub(in super::super) struct Roster {
    pub(in super::super) now: Timestamp,
    /// Open sessions, and those that ended of late.
    pub(in super::super) sessions: Vec<Session>,
    /// What the attaches of this process say.
    pub(in super::super) attached: HashMap<SessionId, Glance>,
    /// Calls that wait for jobs at this process.
    pub(in super::super) waiting: Vec<Waiter>,
    /// Knows who is to leave.
    pub(in super::super) book: Arc<Rulebook>,
}

type Name = (WorkerName, InstanceId);

impl Roster {
    /// The streams that are open, here or elsewhere.
    pub(in super::super) fn open_streams(&self) -> impl Iterator<Item = SessionId> {
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
    fn processes(&self) -> BTreeMap<Name, (Vec<&Session>, Vec<&Waiter>)> {
        let mut processes: BTreeMap<Name, (Vec<&Session>, Vec<&Waiter>)> = BTreeMap::new();
        // The server's own work is none of a worker's.
        for session in self.sessions.iter().filter(|it| !it.worker_id.is_reserved()) {
            let process = (session.worker_id.clone(), session.instance_id.clone());
            processes.entry(process).or_default().0.push(session);
        }
        for waiter in self.waiting.iter().filter(|it| !it.worker_id.is_reserved()) {
            let process = (waiter.worker_id.clone(), waiter.instance_id.clone());
            processes.entry(process).or_default().1.push(waiter);
        }
        for (sessions, _) in processes.values_mut() {
            sessions.sort_by_key(|session| std::cmp::Reverse((session.connect_time, session.id)));
        }
        processes
    }

    /// The processes that are attached or call.
    pub(in super::super) fn present(&self) -> BTreeSet<Process> {
        let there = self.processes().into_iter().filter(|(_, (sessions, calls))| {
            !calls.is_empty() || sessions.iter().any(|session| session.end.is_none())
        });
        there.map(|((worker_id, instance_id), _)| process_of(&worker_id, &instance_id)).collect()
    }

    /// How many workers are there, and what they hold.
    pub(in super::super) fn workforce(&self, held: &Holdings) -> Workforce {
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
    pub(in super::super) fn workers(&self, held: &Holdings) -> Vec<Worker> {
        let processes = self.processes().into_iter();
        processes
            .filter_map(|(process, (sessions, calls))| {
                self.worker(process, &sessions, &calls, held)
            })
            .collect()
    }

    fn worker(
        &self,
        (worker_id, instance_id): Name,
        sessions: &[&Session],
        calls: &[&Waiter],
        held: &Holdings,
    ) -> Option<Worker> {
        let open: Vec<&Session> =
            sessions.iter().copied().filter(|session| session.end.is_none()).collect();
        let newest = open.first().or(sessions.first()).copied();
        let process = process_of(&worker_id, &instance_id);
        let state = self.state(&process, newest, &open, calls)?;
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
            memory_free: open
                .iter()
                .find_map(|session| self.attached.get(&session.id)?.memory_free),
            running,
            connect_time: connect_time.unwrap_or(self.now),
            last_seen_time: if calls.is_empty() { seen.unwrap_or(self.now) } else { self.now },
            state,
        })
    }

    /// Whether it is there; `None` if it left in good order.
    fn state(
        &self,
        process: &Process,
        newest: Option<&Session>,
        open: &[&Session],
        calls: &[&Waiter],
    ) -> Option<WorkerState> {
        if !open.is_empty() || !calls.is_empty() {
            let leaves = self.book.drain_of(process, self.now).is_some();
            let presence = || self.presence(open, calls);
            return Some(if leaves { WorkerState::Draining } else { presence() });
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

fn process_of(worker_id: &WorkerName, instance_id: &InstanceId) -> Process {
    Process { worker_id: worker_id.clone(), instance_id: instance_id.clone() }
}
