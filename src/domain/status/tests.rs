//! Names and derived times of a status.

use std::collections::BTreeSet;

use super::*;
use crate::domain::JobType;
use crate::domain::ids::WorkerName;
use crate::domain::job::JobSpec;
use crate::domain::machine::{Birth, create};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn pending() -> JobStatus {
    let spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    create(&spec, birth, at(100))
}

fn execution(end: Option<(Timestamp, Outcome)>) -> Execution {
    Execution {
        number: 1,
        worker_id: WorkerName::new("w").unwrap(),
        ready_time: at(100),
        start_time: at(110),
        end,
        report: None,
        concurrency_key: None,
    }
}

#[test]
fn every_state_has_a_name_of_its_own() {
    let names: BTreeSet<_> = StateKind::ALL.map(StateKind::as_str).into();
    assert_eq!(names.len(), StateKind::ALL.len());
    let over = StateKind::ALL.into_iter().filter(|kind| kind.is_terminal()).count();
    assert_eq!(over, 4);
}

#[test]
fn a_run_counts_up_to_its_end() {
    let mut status = pending();
    assert_eq!(status.run_duration(at(200)), None);
    status.execution = Some(execution(None));
    assert_eq!(status.run_duration(at(125)), Some(Duration::from_secs(15)));
    status.execution = Some(execution(Some((at(130), Outcome::Succeeded))));
    assert_eq!(status.run_duration(at(999)), Some(Duration::from_secs(20)));
}

#[test]
fn a_wait_counts_from_the_moment_it_was_ready() {
    let mut status = pending();
    assert_eq!(status.wait_duration(at(107)), Duration::from_secs(7));
    assert_eq!(status.wait_duration(at(50)), Duration::ZERO);
    status.state = State::Succeeded;
    status.execution = Some(execution(Some((at(130), Outcome::Succeeded))));
    assert_eq!(status.wait_duration(at(999)), Duration::from_secs(10));
    status.state = State::Skipped { reason: SkipReason::Overlap };
    (status.execution, status.end_time) = (None, Some(at(104)));
    assert_eq!(status.wait_duration(at(999)), Duration::from_secs(4));
}
