//! A job that takes commands, and commands with everything at its plainest.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::domain::job::{JobSpec, Trigger};
use crate::domain::machine::{Applied, Birth, Command, Now, Refusal, ReleaseReason, Transition};
use crate::domain::machine::{apply, create};
use crate::domain::status::{CancelCause, ErrorOrigin, JobError, JobStatus, SkipReason, StateKind};
use crate::domain::{JobType, QueueName, QuotaName, SessionId, Timestamp, WorkerName};

/// The moment all tests start at.
pub(super) const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

pub(super) fn spec() -> JobSpec {
    JobSpec::new(JobType::new("hash_file").unwrap(), QueueName::default())
}

pub(super) fn birth() -> Birth {
    Birth {
        created_by: "anonymous".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    }
}

pub(super) fn error(code: &str) -> JobError {
    JobError {
        origin: ErrorOrigin::Worker,
        code: code.to_owned(),
        message: format!("{code} went wrong"),
        details: None,
        stack_trace: String::new(),
        non_retryable: false,
    }
}

pub(super) fn start(number: u128) -> Command {
    Command::Start { session: session(number), worker_id: WorkerName::new("worker").unwrap() }
}

pub(super) fn succeed(lease_epoch: i64) -> Command {
    let result = Some(Bytes::from_static(b"result"));
    Command::Succeed { lease_epoch, result, progress: None, usage: None }
}

pub(super) fn fail(lease_epoch: i64) -> Command {
    Command::Fail {
        lease_epoch,
        error: error("DISK_FULL"),
        retry_delay: None,
        progress: None,
        usage: None,
    }
}

pub(super) fn fail_for_good(lease_epoch: i64) -> Command {
    let error = JobError { non_retryable: true, ..error("BAD_INPUT") };
    Command::Fail { lease_epoch, error, retry_delay: None, progress: None, usage: None }
}

pub(super) fn report_use(lease_epoch: i64, units: u64) -> Command {
    let used = [(QuotaName::new("youtube").unwrap(), units)].into();
    Command::ReportUse { lease_epoch, used }
}

pub(super) fn confirm(lease_epoch: i64) -> Command {
    Command::ConfirmCancelled { lease_epoch, progress: None, usage: None }
}

pub(super) fn release(lease_epoch: i64) -> Command {
    let reason = ReleaseReason::Worker { reason: "draining".to_owned() };
    Command::Release { lease_epoch, delay: Duration::ZERO, reason }
}

pub(super) fn undelivered(lease_epoch: i64, number: u128) -> Command {
    let reason = ReleaseReason::Undelivered { session: session(number) };
    Command::Release { lease_epoch, delay: Duration::ZERO, reason }
}

pub(super) fn not_held(lease_epoch: i64, number: u128) -> Command {
    let reason = ReleaseReason::NotHeld { session: session(number) };
    Command::Release { lease_epoch, delay: Duration::ZERO, reason }
}

pub(super) fn lose_lease(lease_epoch: i64, number: u128) -> Command {
    Command::LoseLease { lease_epoch, session: session(number) }
}

pub(super) fn adopt(lease_epoch: i64, number: u128) -> Command {
    Command::Adopt { lease_epoch, session: session(number) }
}

pub(super) fn cancel(grace: Duration) -> Command {
    Command::Cancel {
        reason: "not needed any more".to_owned(),
        requested_by: "ann".to_owned(),
        grace,
    }
}

pub(super) fn request_stop(lease_epoch: i64, cause: CancelCause) -> Command {
    Command::RequestStop { lease_epoch, cause, reason: "a rule".to_owned(), grace: secs(30) }
}

pub(super) fn stop_stuck(lease_epoch: i64, revision: i64) -> Command {
    Command::StopStuck {
        lease_epoch,
        revision,
        since: START,
        spare_active: false,
        reason: "no activity".to_owned(),
        requested_by: String::new(),
        grace: secs(30),
    }
}

pub(super) fn note_stuck(lease_epoch: i64, revision: i64) -> Command {
    Command::NoteStuck { lease_epoch, revision, since: START, spare_active: false }
}

pub(super) fn note_slow(lease_epoch: i64) -> Command {
    Command::NoteSlow { lease_epoch, p95: secs(10) }
}

pub(super) fn drained(lease_epoch: i64, number: u128) -> Command {
    let reason = ReleaseReason::Drained { session: session(number) };
    Command::Release { lease_epoch, delay: Duration::ZERO, reason }
}

pub(super) fn expire(revision: i64) -> Command {
    Command::Expire { revision, reason: "waited too long".to_owned() }
}

pub(super) fn skip() -> Command {
    Command::Skip { reason: SkipReason::QuotaExhausted }
}

pub(super) fn retry() -> Command {
    Command::Retry { schedule_time: None, force: false }
}

pub(super) fn force_retry() -> Command {
    Command::Retry { schedule_time: None, force: true }
}

/// A job under test with a clock of its own.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) spec: JobSpec,
    pub(super) status: JobStatus,
    pub(super) now: Timestamp,
}

impl Bench {
    pub(super) fn new(spec: JobSpec) -> Self {
        let status = create(&spec, birth(), START);
        Self { spec, status, now: START }
    }

    /// A plain job in `state`, by the shortest way there; handed to session 1 unless it was never
    /// to run.
    pub(super) fn standing(state: StateKind) -> Self {
        let mut bench = Self::new(spec());
        match state {
            StateKind::Pending => {}
            StateKind::Running => drop(bench.run(start(1))),
            StateKind::Succeeded => drop((bench.run(start(1)), bench.run(succeed(1)))),
            StateKind::Failed => drop((bench.run(start(1)), bench.run(fail_for_good(1)))),
            StateKind::Cancelled => {
                drop((bench.run(start(1)), bench.run(cancel(secs(30))), bench.run(confirm(1))));
            }
            StateKind::Skipped => drop(bench.run(skip())),
        }
        assert_eq!(bench.kind(), state);
        bench
    }

    pub(super) fn running() -> Self {
        Self::standing(StateKind::Running)
    }

    pub(super) fn kind(&self) -> StateKind {
        self.status.kind()
    }

    pub(super) fn wait(&mut self, span: Duration) -> &mut Self {
        self.now = self.now.plus(span);
        self
    }

    pub(super) fn try_run(&self, command: Command) -> Result<Applied, Refusal> {
        apply(&self.spec, &self.status, command, Now::at(self.now))
    }

    /// Applies a command that must change the job.
    pub(super) fn run(&mut self, command: Command) -> Transition {
        let kind = command.kind();
        match self.try_run(command) {
            Ok(Applied::Changed(transition)) => {
                self.status = transition.status.clone();
                *transition
            }
            other => panic!("{kind:?} on {:?}: {other:?}", self.status),
        }
    }

    /// Applies a command that must change nothing.
    pub(super) fn unchanged(&self, command: Command) {
        assert_eq!(self.try_run(command), Ok(Applied::Unchanged));
    }

    /// The job waits for its back-off and is handed out again.
    pub(super) fn start_when_due(&mut self, number: u128) -> Transition {
        self.now = self.now.max(self.status.schedule_time);
        self.run(start(number))
    }

    pub(super) fn error_code(&self) -> &str {
        self.status.error.as_ref().map_or("", |error| &error.code)
    }

    /// How much later than now the job may run.
    pub(super) fn delay(&self) -> Duration {
        self.status.schedule_time.since(self.now)
    }
}
