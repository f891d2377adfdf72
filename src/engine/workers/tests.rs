use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::JobSpec;
use crate::domain::job::Trigger;
use crate::domain::machine::{self, Applied, Birth, Command, Now};
use crate::domain::session::{EndReason, Session};
use crate::engine::dispatch::Waiter;
use crate::engine::session::Glance;

use super::*;

const TTL: Duration = Duration::from_secs(30);

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn id(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// The process called `name`; none if empty.
fn process(name: &str) -> InstanceId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let id = if name.is_empty() { String::new() } else { Uuid::from_bytes(bytes).to_string() };
    InstanceId::new(&id).expect("a UUID")
}

fn session(number: u128, worker: &str, instance: &str, connected: i64) -> Session {
    Session {
        id: id(number),
        worker_id: WorkerName::new(worker).expect("a name"),
        instance_id: process(instance),
        principal: "anonymous".to_owned(),
        unary: false,
        client: String::new(),
        queues: vec![QueueName::default()],
        types: Vec::new(),
        labels: BTreeMap::new(),
        slots: 4,
        ttl: TTL,
        connect_time: at(connected),
        expire_time: at(connected).plus(TTL),
        end: None,
    }
}

fn ended(mut session: Session, second: i64, reason: EndReason) -> Session {
    session.end = Some((at(second), reason));
    session
}

fn unary(session: Session) -> Session {
    Session { unary: true, slots: 1, ..session }
}

fn roster(sessions: Vec<Session>) -> Roster {
    Roster {
        now: at(1_000),
        sessions,
        attached: HashMap::new(),
        waiting: Vec::new(),
        book: std::sync::Arc::default(),
    }
}

fn glance(number: u128, slots: u32, heard_ago: u64) -> (SessionId, Glance) {
    let glance = Glance {
        session: id(number),
        slots,
        held: 2,
        heard_ago: Duration::from_secs(heard_ago),
        connect_time: at(900),
        host_usage: Some(HostUsage { cpu_percent: Some(50.0), ..HostUsage::default() }),
        memory_free: Some(1 << 30),
    };
    (id(number), glance)
}

fn running(session: u128) -> Job {
    let job_type = JobType::new("t").expect("a name");
    let spec = std::sync::Arc::new(JobSpec::new(job_type, QueueName::default()));
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let status = machine::create(&spec, birth, at(900));
    let worker_id = WorkerName::new("w").expect("a name");
    let start = Command::Start { session: id(session), worker_id };
    let Ok(Applied::Changed(started)) = machine::apply(&spec, &status, start, Now::at(at(900)))
    else {
        panic!("a waiting job starts");
    };
    Job { id: crate::domain::JobId(Uuid::now_v7()), spec, status: started.status }
}

fn waiter(worker: &str, max_jobs: usize) -> Waiter {
    Waiter {
        caller: Caller::anonymous(),
        worker_id: WorkerName::new(worker).expect("a name"),
        instance_id: InstanceId::default(),
        queues: vec![QueueName::default()],
        types: Vec::new(),
        max_jobs,
        lease_ttl: TTL,
    }
}

fn states(roster: &Roster) -> Vec<(String, WorkerState)> {
    let workers = roster.workers(&Holdings::new()).into_iter();
    workers.map(|worker| (worker.worker_id.to_string(), worker.state)).collect()
}

#[test]
fn who_is_attached_is_online_and_who_expired_is_lost() {
    let roster = roster(vec![
        session(1, "here", "i1", 900),
        ended(session(2, "lost", "i2", 800), 850, EndReason::Expired),
        ended(session(3, "left", "i3", 800), 850, EndReason::Goodbye),
    ]);
    let expected =
        [("here".to_owned(), WorkerState::Online), ("lost".to_owned(), WorkerState::Lost)];
    assert_eq!(states(&roster), expected);
}

#[test]
fn the_newest_session_of_a_process_decides() {
    // It was lost, came back, and said Goodbye.
    let left = roster(vec![
        ended(session(1, "w", "i", 700), 750, EndReason::Expired),
        ended(session(2, "w", "i", 800), 850, EndReason::Goodbye),
    ]);
    assert_eq!(states(&left), []);
    // It was superseded by itself, and is here.
    let here = roster(vec![
        ended(session(1, "w", "i", 700), 750, EndReason::Superseded),
        session(2, "w", "i", 800),
    ]);
    assert_eq!(states(&here), [("w".to_owned(), WorkerState::Online)]);
}

#[test]
fn two_processes_of_one_name_are_two_workers() {
    let roster = roster(vec![session(1, "w", "i1", 900), session(2, "w", "i2", 900)]);
    assert_eq!(states(&roster).len(), 2);
}

#[test]
fn an_attach_of_this_process_tells_more_than_its_row() {
    let mut roster = roster(vec![session(1, "w", "i", 950)]);
    roster.attached.extend([glance(1, 7, 3)]);
    let worker = roster.workers(&Holdings::new()).remove(0);
    assert_eq!((worker.slots, worker.held), (7, 2));
    assert_eq!((worker.connect_time, worker.last_seen_time), (at(900), at(997)));
    assert!(worker.host_usage.is_some());
}

#[test]
fn an_attach_elsewhere_was_heard_of_when_its_lease_was_renewed() {
    let mut row = session(1, "w", "i", 900);
    row.expire_time = at(1_010);
    let worker = roster(vec![row]).workers(&Holdings::new()).remove(0);
    assert_eq!(worker.last_seen_time, at(980));
}

#[test]
fn a_stream_without_capacity_is_draining() {
    let mut roster = roster(vec![session(1, "w", "i", 900)]);
    roster.attached.extend([glance(1, 0, 0)]);
    assert_eq!(states(&roster), [("w".to_owned(), WorkerState::Draining)]);
}

#[test]
fn calls_of_one_worker_are_one_worker() {
    let mut roster = roster(vec![
        unary(session(1, "script", "", 900)),
        unary(session(2, "script", "", 950)),
        ended(unary(session(3, "script", "", 800)), 820, EndReason::Done),
    ]);
    roster.waiting.push(waiter("script", 3));
    let held = Holdings::from([(id(1), vec![running(1)]), (id(2), vec![running(2)])]);
    let workers = roster.workers(&held);
    assert_eq!(workers.len(), 1);
    assert_eq!((workers[0].slots, workers[0].held, workers[0].running.len()), (5, 2, 2));
    assert_eq!((workers[0].connect_time, workers[0].last_seen_time), (at(900), at(1_000)));
}

#[test]
fn a_call_that_waits_is_a_worker_without_a_session() {
    let mut roster = roster(Vec::new());
    roster.waiting.push(waiter("script", 1));
    assert_eq!(states(&roster), [("script".to_owned(), WorkerState::Online)]);
}

#[test]
fn the_workforce_counts_who_is_there() {
    let mut roster = roster(vec![
        session(1, "here", "i1", 900),
        unary(session(2, "script", "", 900)),
        ended(session(3, "lost", "i3", 800), 850, EndReason::Expired),
    ]);
    roster.attached.extend([glance(1, 7, 0)]);
    let expected = Workforce { workers: 2, slots: 8, held: 3 };
    assert_eq!(roster.workforce(&Holdings::new()), expected);
}

#[test]
fn a_filter_of_workers_names_queues_and_states() {
    let worker = roster(vec![session(1, "w", "i", 900)]).workers(&Holdings::new()).remove(0);
    let of = |queue: &str, states: Vec<WorkerState>| {
        let queues = vec![QueueName::new(queue).expect("a name")];
        WorkerFilter { queues, states }.matches(&worker)
    };
    assert!(of("default", vec![]));
    assert!(of("default", vec![WorkerState::Lost, WorkerState::Online]));
    assert!(!of("default", vec![WorkerState::Lost]));
    assert!(!of("slow", vec![]));
}
