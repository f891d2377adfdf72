//! What a life leaves in the figures.

use std::time::Duration;

use super::*;
use crate::domain::job::{JobSpec, Trigger};
use crate::domain::machine::{Applied, Birth, Command, Now, ReleaseReason, apply, create};
use crate::domain::progress::Progress;
use crate::domain::status::{JobError, SkipReason};
use crate::domain::{SessionId, WorkerName};

/// Noon of some day: the start of a minute.
const START: Timestamp = Timestamp::from_micros(1_699_963_200_000_000);

/// A job whose every change is counted.
struct Life {
    spec: JobSpec,
    status: JobStatus,
    changes: Changes,
}

impl Life {
    fn new(skipped: Option<SkipReason>) -> Self {
        let spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
        let birth =
            Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped };
        let status = create(&spec, birth, START);
        let mut changes = Changes::default();
        changes.record(None, &status);
        Self { spec, status, changes }
    }

    fn run(&mut self, seconds: u64, command: Command) -> &mut Self {
        let now = Now::at(START.plus(Duration::from_secs(seconds)));
        let Ok(Applied::Changed(transition)) = apply(&self.spec, &self.status, command, now) else {
            panic!("the command changes the job");
        };
        self.changes.record(Some(&self.status), &transition.status);
        self.status = transition.status;
        self
    }

    fn start(&mut self, seconds: u64) -> &mut Self {
        let session = SessionId(uuid::Uuid::nil());
        self.run(seconds, Command::Start { session, worker_id: WorkerName::new("w").unwrap() })
    }

    fn tally(&self) -> Tally {
        self.changes.iter().fold(Tally::default(), |mut sum, (_, tally)| {
            sum.merge(tally);
            sum
        })
    }
}

fn progress(succeeded: i64, failed: i64) -> Progress {
    let counters = vec![("bytes".to_owned(), 1.5)];
    Progress { succeeded, failed, counters, ..Progress::default() }
}

fn fail(lease_epoch: i64) -> Command {
    let error = JobError::server("E", String::new());
    Command::Fail {
        lease_epoch,
        error,
        retry_delay: None,
        progress: Some(progress(1, 2)),
        usage: None,
    }
}

fn succeed(lease_epoch: i64) -> Command {
    Command::Succeed { lease_epoch, result: None, progress: Some(progress(10, 0)), usage: None }
}

#[test]
fn a_job_that_fails_once_and_then_succeeds() {
    let mut life = Life::new(None);
    life.start(2).run(5, fail(1)).start(20).run(29, succeed(2));
    let tally = life.tally();
    assert_eq!((tally.created, tally.started), (1, 2));
    assert_eq!((tally.succeeded, tally.failed, tally.attempts_failed), (1, 0, 1));
    assert_eq!((tally.items_succeeded, tally.items_failed), (11, 2));
    assert_eq!(tally.counters["bytes"].to_bits(), 3.0_f64.to_bits());
    // It waited 2 s, and 10 s beyond its back-off; it ran 3 s and 9 s.
    assert_eq!((tally.wait.count(), tally.wait.mean()), (2, Some(Duration::from_secs(6))));
    assert_eq!((tally.run.count(), tally.run.mean()), (2, Some(Duration::from_secs(6))));
    assert_eq!(tally.finished(), 1);
    // The one that failed is left out of how long the work takes.
    let succeeded = tally.run_succeeded();
    assert_eq!((succeeded.count(), succeeded.mean()), (1, Some(Duration::from_secs(9))));
}

#[test]
fn a_release_is_a_start_and_no_attempt() {
    let mut life = Life::new(None);
    let reason = ReleaseReason::NotHeld { session: SessionId(uuid::Uuid::nil()) };
    let release = Command::Release { lease_epoch: 1, delay: Duration::ZERO, reason };
    life.start(0).run(3, release);
    let tally = life.tally();
    assert_eq!((tally.started, tally.run.count(), tally.attempts_failed), (1, 0, 0));
}

#[test]
fn a_cancelled_run_is_no_failed_attempt() {
    let mut life = Life::new(None);
    let cancel = Command::Cancel {
        reason: String::new(),
        requested_by: String::new(),
        grace: Duration::from_secs(30),
    };
    life.start(0).run(1, cancel).run(3, fail(1));
    let tally = life.tally();
    assert_eq!((tally.cancelled, tally.failed, tally.attempts_failed), (1, 0, 0));
    assert_eq!((tally.run.count(), tally.finished()), (1, 1));
}

#[test]
fn a_skipped_job_is_made_and_skipped() {
    let tally = Life::new(Some(SkipReason::Overlap)).tally();
    assert_eq!((tally.created, tally.skipped, tally.finished()), (1, 1, 0));
}

#[test]
fn a_job_that_ends_twice_is_counted_twice() {
    let mut life = Life::new(None);
    let retry = Command::Retry { schedule_time: None, force: true };
    life.start(0).run(1, succeed(1)).run(2, retry).start(3).run(4, succeed(2));
    assert_eq!(life.tally().succeeded, 2);
}

#[test]
fn changes_stand_in_the_minute_they_were_made_in() {
    let mut life = Life::new(None);
    life.start(59).run(60, fail(1)).start(65).run(121, succeed(2));
    let minutes: Vec<_> = life.changes.iter().map(|(minute, _)| minute).collect();
    let first = START.minute();
    assert_eq!(minutes, [first, first + 1, first + 2]);
    let started: Vec<_> = life.changes.iter().map(|(_, tally)| tally.started).collect();
    assert_eq!(started, [1, 1, 0]);
}

#[test]
fn counts_of_a_worker_without_measure_do_not_overflow() {
    let mut life = Life::new(None);
    let succeed = |lease_epoch| Command::Succeed {
        lease_epoch,
        result: None,
        progress: Some(progress(i64::MAX, i64::MAX)),
        usage: None,
    };
    let retry = Command::Retry { schedule_time: None, force: true };
    life.start(0).run(1, succeed(1)).run(2, retry).start(3).run(4, succeed(2));
    assert_eq!(life.tally().items_succeeded, i64::MAX);
}
