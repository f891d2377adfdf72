//! Who is over a limit, and what becomes of it.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::{JobSpec, Trigger};
use crate::domain::machine::{Applied, Birth, Now, apply, create};
use crate::domain::status::{ErrorOrigin, JobError, JobStatus, StateKind};
use crate::domain::{JobType, QueueName, SessionId, WorkerName};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const LIMITS: ResourceLimits = ResourceLimits { memory_bytes: 1_000, cpu_percent: 150.0 };

fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

fn uses(memory_bytes: u64, cpu_percent: f64) -> ResourceUsage {
    ResourceUsage { memory_bytes, cpu_percent, peak_memory_bytes: 0 }
}

fn sample(watch: &mut UsageWatch, usage: ResourceUsage, seconds: u64) -> Option<Over> {
    watch.sample(&UsagePolicy::default(), &LIMITS, &usage, at(seconds))
}

#[test]
fn a_job_that_stays_over_its_limit_is_found() {
    let mut watch = UsageWatch::default();
    assert_eq!(sample(&mut watch, uses(1_001, 0.0), 0), None);
    assert_eq!(sample(&mut watch, uses(3_000, 0.0), 29), None);
    let over = sample(&mut watch, uses(2_000, 0.0), 30).unwrap();
    assert_eq!((over.what, over.used, over.limit), (Resource::Memory, 2_000.0, 1_000.0));
    assert_eq!((over.since, over.span), (START, Duration::from_secs(30)));
}

#[test]
fn a_peak_is_no_leak() {
    let mut watch = UsageWatch::default();
    sample(&mut watch, uses(5_000, 0.0), 0);
    sample(&mut watch, uses(1_000, 0.0), 20);
    assert_eq!(sample(&mut watch, uses(5_000, 0.0), 40), None);
    assert_eq!(sample(&mut watch, uses(5_000, 0.0), 69), None);
    assert!(sample(&mut watch, uses(5_000, 0.0), 70).is_some());
}

#[test]
fn memory_and_processor_are_watched_apart() {
    let mut watch = UsageWatch::default();
    sample(&mut watch, uses(5_000, 0.0), 0);
    sample(&mut watch, uses(0, 200.0), 20);
    assert_eq!(sample(&mut watch, uses(0, 200.0), 40), None);
    let over = sample(&mut watch, uses(0, 180.0), 50).unwrap();
    assert_eq!((over.what, over.used), (Resource::Cpu, 180.0));
    assert_eq!(over.reason(), "used 180 % of a core, more than its limit of 150 %, for 30 s");
}

#[test]
fn without_a_sustain_time_one_sample_is_enough() {
    let policy = UsagePolicy { sustain: Duration::ZERO, ..UsagePolicy::default() };
    let mut watch = UsageWatch::default();
    assert!(watch.sample(&policy, &LIMITS, &uses(1_001, 0.0), START).is_some());
    assert_eq!(watch.sample(&policy, &LIMITS, &uses(1_000, 150.0), START), None);
}

#[test]
fn what_is_no_limit_or_no_number_is_not_exceeded() {
    let policy = UsagePolicy { sustain: Duration::ZERO, ..UsagePolicy::default() };
    let mut watch = UsageWatch::default();
    let none = ResourceLimits::default();
    assert_eq!(watch.sample(&policy, &none, &uses(u64::MAX, f64::INFINITY), START), None);
    assert_eq!(watch.sample(&policy, &LIMITS, &uses(0, f64::NAN), START), None);
}

#[test]
fn the_later_sample_counts_and_the_greatest_peak() {
    let known = |usage: ResourceUsage, seconds| {
        let mut watch = UsageWatch::default();
        sample(&mut watch, usage, seconds);
        (Some(ResourceUsage { peak_memory_bytes: usage.memory_bytes, ..usage }), watch)
    };
    let (over, under) = (known(uses(5_000, 0.0), 0), known(uses(10, 0.0), 15));
    for (usage, mut watch) in [later(over, under), later(under, over)] {
        assert_eq!(usage, Some(ResourceUsage { peak_memory_bytes: 5_000, ..uses(10, 0.0) }));
        assert_eq!(sample(&mut watch, uses(5_000, 0.0), 31), None);
    }
    let nothing = (None, UsageWatch::default());
    assert_eq!((later(over, nothing), later(nothing, over)), (over, over));
}

#[test]
fn a_policy_out_of_bounds_is_named() {
    let mut violations = Violations::default();
    let long = Duration::from_secs(3_601);
    UsagePolicy { sustain: long, grace: long }.validate("usage.", &mut violations);
    let fields: Vec<_> = violations.as_slice().iter().map(|wrong| &wrong.field).collect();
    assert_eq!(fields, ["usage.sustain", "usage.grace"]);
}

fn running(max_attempts: u32) -> (JobSpec, JobStatus) {
    let mut spec = JobSpec::new(JobType::new("hash_file").unwrap(), QueueName::default());
    spec.limits = LIMITS;
    spec.retry_policy.max_attempts = max_attempts;
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let mut status = create(&spec, birth, START);
    let worker_id = WorkerName::new("w1").unwrap();
    let start = Command::Start { session: SessionId(Uuid::from_u128(7)), worker_id };
    run(&spec, &mut status, start, START);
    (spec, status)
}

fn run(spec: &JobSpec, status: &mut JobStatus, command: Command, now: Timestamp) {
    match apply(spec, status, command, Now::at(now)) {
        Ok(Applied::Changed(transition)) => *status = transition.status,
        other => panic!("{other:?}"),
    }
}

fn ends() -> [Command; 4] {
    let (progress, usage) = (None, None);
    let error = JobError { origin: ErrorOrigin::Worker, ..JobError::server("KILLED", "9".into()) };
    let release = crate::domain::machine::ReleaseReason::Worker { reason: String::new() };
    [
        Command::ConfirmCancelled { lease_epoch: 1, progress: None, usage },
        Command::Fail { lease_epoch: 1, error, retry_delay: None, progress, usage },
        Command::Release { lease_epoch: 1, delay: Duration::ZERO, reason: release },
        Command::MeetDeadline,
    ]
}

#[test]
fn a_job_over_its_limit_fails_and_is_never_cancelled() {
    let over = Over {
        what: Resource::Memory,
        used: 2_097_152.0,
        limit: 1_048_576.0,
        since: START,
        span: Duration::from_secs(30),
    };
    let command = over.command(&UsagePolicy::default(), 1);
    for (end, max_attempts) in ends().into_iter().flat_map(|end| [(end.clone(), 1), (end, 2)]) {
        let (spec, mut status) = running(max_attempts);
        run(&spec, &mut status, command.clone(), at(30));
        assert_eq!(status.cancel_request.as_ref().unwrap().cause, CancelCause::ResourceLimit);
        run(&spec, &mut status, end, at(60));
        let wanted = if max_attempts == 1 { StateKind::Failed } else { StateKind::Pending };
        assert_eq!(status.kind(), wanted);
        let error = status.error.unwrap();
        assert_eq!(error.code, "RESOURCE_LIMIT");
        assert!(error.message.contains("used 2.0 MiB of memory"), "{}", error.message);
    }
}

proptest! {
    /// The watch says what an exact look back over all samples says.
    #[test]
    fn it_agrees_with_a_look_back(
        samples in prop::collection::vec((1_u64..40, 900_u64..1_100), 1..40),
    ) {
        let mut watch = UsageWatch::default();
        let mut history: Vec<(Timestamp, bool)> = Vec::new();
        let mut now = START;
        for (gap, memory) in samples {
            now = now.plus(Duration::from_secs(gap));
            history.push((now, memory > LIMITS.memory_bytes));
            let run = history.iter().rev().take_while(|(_, over)| *over);
            let first = run.last().map(|(time, _)| *time);
            let wanted = first.filter(|first| now.since(*first) >= USAGE_SUSTAIN_DEFAULT);
            let found =
                watch.sample(&UsagePolicy::default(), &LIMITS, &uses(memory, 0.0), now);
            prop_assert_eq!(found.map(|over| over.since), wanted);
        }
    }
}
