//! Which change is told, as what, and how often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::{JobSpec, OnStuck, ResourceLimits, Trigger};
use crate::domain::machine::{Applied, Birth, Command, Now, ReleaseReason, apply, create};
use crate::domain::status::{CancelCause, JobError, SkipReason, StateKind};
use crate::domain::typical::Slow;
use crate::domain::watchdog::{Basis, Sweep};
use crate::domain::{SessionId, WorkerName};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const ALL: Wanted = Wanted { successes: true };

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn born(skipped: Option<SkipReason>) -> Job {
    let mut spec = JobSpec::new(JobType::new("hash_file").unwrap(), QueueName::default());
    spec.owner = "ann".to_owned();
    spec.retry_policy.max_attempts = 2;
    spec.limits = ResourceLimits { memory_bytes: 1_000, cpu_percent: 0.0 };
    let birth = Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped };
    let status = create(&spec, birth, START);
    Job { id: JobId(Uuid::from_u128(1)), spec: Arc::new(spec), status }
}

/// Applies a command; the event of the change, if there is one.
fn run(job: &mut Job, command: Command, now: Timestamp) -> Option<Event> {
    let Ok(Applied::Changed(change)) = apply(&job.spec, &job.status, command, Now::at(now)) else {
        panic!("nothing changed");
    };
    let before = std::mem::replace(&mut job.status, change.status);
    of_change(Some(&before), job, &change.effects, ALL)
}

fn start() -> Command {
    let worker_id = WorkerName::new("w1").unwrap();
    Command::Start { session: SessionId(Uuid::from_u128(7)), worker_id }
}

fn succeed(lease_epoch: i64) -> Command {
    Command::Succeed { lease_epoch, result: None, progress: None, usage: None }
}

fn fail(lease_epoch: i64, non_retryable: bool) -> Command {
    let error = JobError { non_retryable, ..JobError::server("DISK_FULL", "no room".to_owned()) };
    Command::Fail { lease_epoch, error, retry_delay: None, progress: None, usage: None }
}

fn cancel(grace: u64) -> Command {
    let (reason, requested_by) = ("not needed".to_owned(), "bob".to_owned());
    Command::Cancel { reason, requested_by, grace: Duration::from_secs(grace) }
}

fn running() -> Job {
    let mut job = born(None);
    assert_eq!(run(&mut job, start(), START), None);
    job
}

#[test]
fn each_end_is_told_with_its_facts() {
    let event = run(&mut running(), succeed(1), at(9)).unwrap();
    assert_eq!(event.facts, Facts::JobSucceeded { attempts: 1, run: Some(Duration::from_secs(9)) });
    assert_eq!((event.time, event.owner.as_str()), (at(9), "ann"));
    assert_eq!(event.queue, Some(QueueName::default()));
    let event = run(&mut running(), fail(1, true), at(9)).unwrap();
    let (code, message) = ("DISK_FULL".to_owned(), "no room".to_owned());
    assert_eq!(event.facts, Facts::JobFailed { attempts: 1, code, message });
    assert_eq!(event.severity(), Severity::Error);
    for event in [run(&mut running(), cancel(0), at(9)), run(&mut born(None), cancel(9), at(9))] {
        let (requested_by, reason) = ("bob".to_owned(), "not needed".to_owned());
        assert_eq!(event.unwrap().facts, Facts::JobCancelled { requested_by, reason });
    }
    let event = run(&mut born(None), Command::Skip { reason: SkipReason::CircuitOpen }, at(9));
    assert_eq!(event.unwrap().facts, Facts::JobSkipped { reason: SkipReason::CircuitOpen });
}

#[test]
fn a_job_that_was_skipped_or_missed_from_the_start_is_told() {
    let skipped = born(Some(SkipReason::Overlap));
    let event = of_change(None, &skipped, &[], Wanted::default()).unwrap();
    assert_eq!(event.facts, Facts::JobSkipped { reason: SkipReason::Overlap });
    let missed = born(Some(SkipReason::Missed));
    let event = of_change(None, &missed, &[], Wanted::default()).unwrap();
    assert_eq!(event.facts, Facts::ScheduleMissed { nominal_time: START });
    assert_eq!(of_change(None, &born(None), &[], ALL), None);
}

#[test]
fn a_failure_that_is_tried_again_is_not_told() {
    let mut job = running();
    assert_eq!(run(&mut job, fail(1, false), at(1)), None);
    assert_eq!(run(&mut job, start(), at(60)), None);
    let event = run(&mut job, fail(2, false), at(61)).unwrap();
    assert!(matches!(event.facts, Facts::JobFailed { attempts: 2, .. }));
    let retry = Command::Retry { schedule_time: None, force: false };
    assert_eq!(run(&mut job, retry, at(70)), None);
}

#[test]
fn plain_successes_are_written_only_if_wanted() {
    let mut job = running();
    let before = job.status.clone();
    run(&mut job, succeed(1), at(1));
    assert!(of_change(Some(&before), &job, &[], ALL).is_some());
    assert_eq!(of_change(Some(&before), &job, &[], Wanted::default()), None);
}

#[test]
fn a_stuck_job_is_told_once_when_it_is_asked_to_stop() {
    let mut job = running();
    let sweep = Sweep {
        threshold: Duration::from_secs(1_800),
        basis: Basis::Start,
        include_pending: false,
        types: Vec::new(),
    };
    // It was active just now: what counts is by what it was found.
    job.status.progress = job.status.progress.clone().active_at(at(2_390));
    let found = sweep.look(&job, at(2_400)).unwrap();
    let event = run(&mut job, found.command("", ""), at(2_400)).unwrap();
    let action = StuckAction::Stop;
    let wanted = Facts::JobStuck { minutes: 40, since: START, lease_epoch: 1, action };
    assert_eq!((&event.facts, Facts::of_finding(&found).as_ref()), (&wanted, Some(&wanted)));
    assert_eq!(event.once(), None);
    let event = run(&mut job, cancel(5), at(2_401));
    assert_eq!(event, None, "another cause, and no rule's");
}

#[test]
fn a_stuck_job_that_runs_on_is_told_once() {
    let mut job = running();
    Arc::make_mut(&mut job.spec).on_stuck = OnStuck::Notify;
    let sweep = Sweep {
        threshold: Duration::from_secs(1_800),
        basis: Basis::Progress,
        include_pending: true,
        types: Vec::new(),
    };
    job.status.progress = job.status.progress.clone().active_at(at(10));
    let found = sweep.look(&job, at(2_410)).unwrap();
    let event = run(&mut job, found.command("ann", ""), at(2_410)).unwrap();
    let action = StuckAction::Notify;
    let wanted = Facts::JobStuck { minutes: 40, since: at(10), lease_epoch: 1, action };
    assert_eq!((&event.facts, Facts::of_finding(&found).as_ref()), (&wanted, Some(&wanted)));
    job.status.progress = job.status.progress.clone().active_at(at(9_001));
    assert_eq!(sweep.look(&job, at(20_000)), None);
    let waiting = sweep.look(&born(None), at(9_000)).unwrap();
    assert_eq!(Facts::of_finding(&waiting), None, "its failure is told");
}

#[test]
fn a_job_over_its_limit_is_told_when_it_is_asked_to_stop() {
    let mut job = running();
    let stop = Command::RequestStop {
        lease_epoch: 1,
        cause: CancelCause::ResourceLimit,
        reason: "used too much".to_owned(),
        grace: Duration::from_secs(30),
    };
    let event = run(&mut job, stop, at(1)).unwrap();
    let (reason, limits) = ("used too much".to_owned(), job.status.effective.limits);
    assert_eq!(event.facts, Facts::ResourceLimit { reason, limits, usage: None });
    let confirm = Command::ConfirmCancelled { lease_epoch: 1, progress: None, usage: None };
    assert_eq!(run(&mut job, confirm, at(2)), None, "it is tried again");
}

#[test]
fn what_is_found_again_and_again_has_one_key() {
    let slow = |seconds| {
        let (run, p95) = (Duration::from_secs(seconds), Duration::from_secs(1));
        let facts = Facts::of_slow(Slow { run, p95 }, 3);
        Event::of_job(&running(), facts, at(seconds)).once().unwrap()
    };
    assert_eq!(slow(50), slow(90));
    let quota = |seconds, reset| {
        let (quota, reset_time) = ("api".to_owned(), at(reset));
        let facts = Facts::QuotaExhausted { quota, limit: 5, used: 4, cost: 2, reset_time };
        Event::plain(facts, at(seconds)).once().unwrap()
    };
    assert_eq!(quota(1, 3_600), quota(2, 3_600));
    assert_ne!(quota(1, 3_600), quota(1, 7_200));
    let age = |queue: &str, time: i64| {
        let (age, threshold) = (Duration::from_secs(9), Duration::from_secs(5));
        let time = Timestamp::from_micros(time * 1_000_000);
        let queue = QueueName::new(queue).unwrap();
        Event::of_queue(queue, Facts::QueueAge { age, threshold }, time).once().unwrap()
    };
    assert_eq!(age("a", 3_600), age("a", 7_199));
    assert_ne!(age("a", 3_600), age("a", 7_200));
    assert_ne!(age("a", 3_600), age("b", 3_600));
}

#[test]
fn the_list_is_closed_and_each_name_is_one() {
    let names: BTreeSet<_> = EventName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(names.len(), 13);
    for name in EventName::ALL {
        assert_eq!(EventName::named(name.as_str()), Some(*name));
        let stored = serde_json::to_value(name).unwrap();
        assert_eq!(stored, name.as_str());
    }
    assert_eq!(EventName::named("job_bored"), None);
}

#[test]
fn an_event_comes_back_from_the_store_as_it_was() {
    let job_type = JobType::new("hash_file").unwrap();
    let events = [
        run(&mut running(), fail(1, true), at(9)).unwrap(),
        Event::of_type(job_type.clone(), Facts::CircuitClosed, at(1)),
        Event::of_type(job_type, Facts::CircuitOpened { next_probe_time: at(9) }, at(1)),
        Event::plain(
            Facts::WorkerLost { worker_id: "w".into(), instance_id: String::new(), jobs: 3 },
            at(2),
        ),
    ];
    for event in events {
        let stored = rmp_serde::to_vec_named(&event).unwrap();
        assert_eq!(rmp_serde::from_slice::<Event>(&stored).unwrap(), event);
        let text = serde_json::to_value(&event.facts).unwrap();
        assert_eq!(text["name"], event.name().as_str());
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        3 => Just(start()),
        1 => Just(succeed(1)),
        2 => any::<bool>().prop_map(|hopeless| fail(1, hopeless)),
        1 => (0_u64..2).prop_map(cancel),
        1 => Just(Command::Skip { reason: SkipReason::QuotaExhausted }),
        1 => Just(Command::Retry { schedule_time: None, force: true }),
        1 => Just(Command::MeetDeadline),
        1 => Just(Command::Release {
            lease_epoch: 1,
            delay: Duration::ZERO,
            reason: ReleaseReason::Worker { reason: String::new() },
        }),
    ]
}

proptest! {
    /// Each way into an end is told once, and nothing but ends and stops by a rule is told.
    #[test]
    fn as_many_ends_are_told_as_there_were(commands in prop::collection::vec(any_command(), 1..40)) {
        let mut job = born(None);
        let (mut ends, mut told, mut now) = (0, 0, START);
        for command in commands {
            now = now.plus(Duration::from_secs(100));
            let epoch = job.status.lease_epoch;
            let command = if let Command::Fail { error, .. } = &command {
                fail(epoch, error.non_retryable)
            } else if command == succeed(1) {
                succeed(epoch)
            } else {
                command
            };
            let Ok(Applied::Changed(change)) =
                apply(&job.spec, &job.status, command, Now::at(now))
            else {
                continue;
            };
            let before = std::mem::replace(&mut job.status, change.status);
            let event = of_change(Some(&before), &job, &change.effects, ALL);
            let is_end = before.kind() != job.status.kind() && job.status.kind().is_terminal();
            ends += u32::from(is_end);
            told += u32::from(event.is_some());
            let name = event.map(|event| event.name());
            let wanted = match job.status.kind() {
                _ if !is_end => None,
                StateKind::Succeeded => Some(EventName::JobSucceeded),
                StateKind::Failed => Some(EventName::JobFailed),
                StateKind::Cancelled => Some(EventName::JobCancelled),
                StateKind::Skipped => Some(EventName::JobSkipped),
                StateKind::Pending | StateKind::Running => None,
            };
            prop_assert_eq!(name, wanted);
        }
        prop_assert_eq!(ends, told);
    }
}
