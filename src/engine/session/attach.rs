//! One attached worker process: what it holds and what it may still take.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::auth::Caller;
use crate::domain::admission::{Capacity, Room};
use crate::domain::limits::{LEASE_AFTER_CLOSE, LEASE_TTL_DEFAULT};
use crate::domain::{
    InstanceId, JobId, JobType, QueueName, Session, SessionId, Timestamp, WorkerName,
};
use crate::runtime::Clock;

use super::super::error::Error;
use super::super::pipeline::{Adoption, Lane};
use super::holding::Held;
use super::ledger::Ledger;
use super::outbox::{Outbox, ToWorker};
use super::registry::Sessions;

/// What a worker says of itself.
#[derive(Debug, Clone)]
pub struct WorkerFacts {
    /// Its name.
    pub worker_id: WorkerName,
    /// Its process.
    pub instance_id: InstanceId,
    /// Client library and version.
    pub client: String,
    /// Queues it takes from.
    pub queues: Vec<QueueName>,
    /// Types it takes, all if empty.
    pub types: Vec<JobType>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The first message of a worker.
#[derive(Debug, Clone)]
pub struct Hello {
    /// What it says of itself.
    pub worker: WorkerFacts,
    /// Jobs it can run at a time, for people; what it may hold is said by Capacity alone.
    pub slots: u32,
    /// Memory that its jobs may use together; 0 = not said.
    pub memory_bytes: u64,
    /// The lease it wants.
    pub lease_ttl: Duration,
    /// Everything whose outcome is not acked yet.
    pub running: Vec<Adoption>,
}

/// How the machine of a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostUsage {
    /// Processor time in percent of all cores.
    pub cpu_percent: Option<f64>,
    /// Memory in use, in bytes.
    pub memory_bytes: Option<i64>,
    /// Memory it has, in bytes.
    pub memory_total_bytes: Option<i64>,
}

/// What an attach looks like from outside.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Glance {
    pub(in super::super) session: SessionId,
    /// Jobs it may hold.
    pub(in super::super) slots: u32,
    /// Jobs it holds.
    pub(in super::super) held: usize,
    /// How long it was not heard of.
    pub(in super::super) heard_ago: Duration,
    /// When its stream attached; its session may be younger.
    pub(in super::super) connect_time: Timestamp,
    pub(in super::super) host_usage: Option<HostUsage>,
    /// What its jobs leave of the memory it advertised; no bound if unset.
    pub(in super::super) memory_free: Option<u64>,
}

pub(super) struct State {
    pub(super) session: SessionId,
    pub(super) slots: u32,
    pub(super) held: HashMap<JobId, Held>,
    /// The session ended while the stream goes on: the next traffic opens another one.
    pub(super) lapsed: bool,
    /// The other one is being opened: nothing may be leased to it before it exists.
    pub(super) opening: bool,
    /// The stream is over, or another one took its place.
    pub(super) over: bool,
    pub(super) heard: Instant,
    /// When it was last heard of as its lease was renewed; `None` if that did not come through.
    pub(super) renewed: Option<Instant>,
    pub(super) report_interval: Duration,
    pub(super) host_usage: Option<HostUsage>,
    /// Of the wish that it leave which it was told.
    pub(super) draining: Option<Timestamp>,
}

/// One attached worker process.
pub struct Attach {
    pub(super) caller: Caller,
    pub(super) worker: WorkerFacts,
    pub(super) lease_ttl: Duration,
    slots: u32,
    /// No bound if unset.
    memory_bytes: Option<u64>,
    connect_time: Timestamp,
    /// All that its stream says goes by it, also when it gets another session.
    pub(super) lane: Lane,
    pub(super) outbox: Outbox,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) state: Mutex<State>,
    pub(super) settled: Notify,
}

impl Attach {
    pub(super) fn new(
        caller: Caller,
        hello: &Hello,
        session: SessionId,
        connect_time: Timestamp,
        outbox: Outbox,
        report_interval: Duration,
    ) -> Self {
        let now = Clock::monotonic();
        Self {
            caller,
            worker: hello.worker.clone(),
            lease_ttl: hello.lease_ttl,
            slots: hello.slots,
            memory_bytes: (hello.memory_bytes > 0).then_some(hello.memory_bytes),
            connect_time,
            lane: Lane::of_session(session),
            outbox,
            ledger: Mutex::new(Ledger::default()),
            state: Mutex::new(State {
                session,
                // Only Capacity lets the server assign.
                slots: 0,
                held: HashMap::new(),
                lapsed: false,
                opening: false,
                over: false,
                heard: now,
                renewed: Some(now),
                report_interval,
                host_usage: None,
                draining: None,
            }),
            settled: Notify::new(),
        }
    }

    /// The session its jobs are leased to.
    pub(in super::super) fn session(&self) -> SessionId {
        self.state.lock().session
    }

    /// The worker's name.
    pub(in super::super) const fn worker_id(&self) -> &WorkerName {
        &self.worker.worker_id
    }

    /// The row of a session that begins at `now`.
    pub(super) fn session_row(&self, id: SessionId, now: Timestamp) -> Session {
        Session {
            id,
            worker_id: self.worker.worker_id.clone(),
            instance_id: self.worker.instance_id.clone(),
            principal: self.caller.principal().to_owned(),
            unary: false,
            client: self.worker.client.clone(),
            queues: self.worker.queues.clone(),
            types: self.worker.types.clone(),
            labels: self.worker.labels.clone(),
            slots: self.slots,
            ttl: self.lease_ttl,
            connect_time: now,
            expire_time: now.plus(self.lease_ttl),
            end: None,
        }
    }

    /// What it may take now.
    pub(in super::super) fn room(&self) -> Option<Room> {
        let state = self.state.lock();
        let slots = usize::try_from(state.slots).unwrap_or(usize::MAX);
        let free = slots.saturating_sub(state.held.len());
        let leaves = state.over || state.lapsed || state.draining.is_some();
        if leaves || state.opening || free == 0 || !self.outbox.takes_jobs() {
            return None;
        }
        let capacity =
            Capacity { queues: self.worker.queues.clone(), types: self.worker.types.clone(), free };
        let memory_free = self.memory_left(&state);
        Some(Room { capacity, worker_id: self.worker.worker_id.clone(), memory_free })
    }

    /// What its jobs leave of the memory it advertised.
    fn memory_left(&self, state: &State) -> Option<u64> {
        let held = || state.held.values().map(|held| held.memory_bytes);
        Some(held().fold(self.memory_bytes?, u64::saturating_sub))
    }

    /// What it looks like from outside.
    pub(in super::super) fn glance(&self) -> Glance {
        let state = self.state.lock();
        Glance {
            session: state.session,
            slots: state.slots,
            held: state.held.len(),
            heard_ago: Clock::monotonic().duration_since(state.heard),
            connect_time: self.connect_time,
            host_usage: state.host_usage,
            memory_free: self.memory_left(&state),
        }
    }

    /// Takes note of how its machine does.
    pub fn host_usage(&self, usage: HostUsage) {
        self.state.lock().host_usage = Some(usage);
    }

    /// Waits until every update it sent is settled. Safe to drop.
    pub async fn all_settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.ledger.lock().is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// Tells it something.
    pub(in super::super) fn tell(&self, message: ToWorker) {
        self.outbox.push(message);
    }

    /// Ends its stream: keep every job, attach again after about `after`, not all workers at one moment.
    pub(super) fn send_away(&self, after: Duration, why: Error) {
        let after = after.mul_f64(rand::random_range(0.5..=1.5));
        self.tell(ToWorker::Reconnect { after });
        self.outbox.end(Some(why));
    }

    /// Its stream will end for its age: nothing more for it, and it may attach again at once.
    pub fn send_elsewhere(&self, sessions: &Sessions) {
        self.set_slots(sessions, 0);
        self.tell(ToWorker::Reconnect { after: Duration::ZERO });
    }

    /// The least often it must be heard of.
    pub(super) fn heartbeat_interval(&self) -> Duration {
        self.lease_ttl / 3
    }

    /// What its session keeps once its peer is gone without Goodbye.
    pub(super) fn keep_after_close(&self) -> Option<Duration> {
        (self.lease_ttl <= LEASE_TTL_DEFAULT).then_some(LEASE_AFTER_CLOSE)
    }
}
