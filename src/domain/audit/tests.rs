//! What is audited, and what an audit event shows.

use std::collections::BTreeSet;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::job::{JobSpec, ResourceLimits, Trigger};
use crate::domain::machine::{Birth, create};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Calls that are not audited, and why.
const NOT_AUDITED: &[&str] = &[
    // They make what says by itself who made it.
    "CreateJob",
    "BatchCreateJobs",
    "StartJob",
    // A worker's reports: the history of the job.
    "ReportProgress",
    "AcquireJobs",
    "ReportJob",
    "CompleteJob",
    "FailJob",
    "ReleaseJob",
    // They change nothing.
    "GetJob",
    "ListJobs",
    "WatchJob",
    "WatchJobs",
    "ListJobLogs",
    "ListJobAttempts",
    "ExplainJob",
    "GetDefaults",
    "GetStats",
    "GetSummary",
    "GetJobType",
    "ListJobTypes",
    "PreviewSchedule",
    "ListQueues",
    "ListQuotas",
    "ListWorkers",
    "GetServerInfo",
    "ListEvents",
    "ListAuditEvents",
];

/// The calls of the API, as its definition has them.
fn calls() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/jobplane/v1");
    let mut calls = BTreeSet::new();
    for file in std::fs::read_dir(folder).expect("the API's definition is there") {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
        calls
            .extend(lines.filter_map(|line| line.split_once('(')).map(|(name, _)| name.to_owned()));
    }
    calls
}

#[test]
fn of_every_call_it_is_said_whether_it_is_audited() {
    let calls = calls();
    assert!(calls.contains("CancelJob"), "found {calls:?}");
    let audited: BTreeSet<_> = AuditAction::ALL.iter().map(|action| action.rpc()).collect();
    for call in &calls {
        let told = (audited.contains(call.as_str()), NOT_AUDITED.contains(&call.as_str()));
        assert!(told.0 != told.1, "{call}: audited {}, not audited {}", told.0, told.1);
    }
}

#[test]
fn each_action_has_a_name_of_its_own() {
    let names: BTreeSet<_> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(names.len(), AuditAction::ALL.len());
    for action in AuditAction::ALL {
        assert_eq!(AuditAction::named(action.as_str()), Some(*action));
        assert_eq!(serde_json::to_value(action).unwrap(), action.as_str());
    }
    assert_eq!(AuditAction::named("look_away"), None);
}

fn of(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn only_what_differs_is_shown() {
    let before = of(&[("paused", "false"), ("weight", "1"), ("max_running", "5")]);
    let after = of(&[("paused", "true"), ("weight", "1"), ("pause_reason", "disk")]);
    let (was, is) = difference(&before, &after);
    assert_eq!(was, of(&[("paused", "false"), ("max_running", "5")]));
    assert_eq!(is, of(&[("paused", "true"), ("pause_reason", "disk")]));
    assert_eq!(difference(&before, &before), (Fields::new(), Fields::new()));
    let (was, is) = difference(&Fields::new(), &before);
    assert_eq!((was, is), (Fields::new(), before));
}

#[test]
fn fields_within_fields_have_a_path() {
    #[derive(Serialize)]
    struct Thing {
        name: &'static str,
        limits: ResourceLimits,
        reason: Option<String>,
        delays: Vec<u32>,
    }
    let limits = ResourceLimits { memory_bytes: 7, cpu_percent: 1.5 };
    let thing = Thing { name: "sync", limits, reason: None, delays: vec![1, 2] };
    let wanted = of(&[
        ("name", "sync"),
        ("limits.memory_bytes", "7"),
        ("limits.cpu_percent", "1.5"),
        ("delays", "[1,2]"),
    ]);
    assert_eq!(fields(&thing).unwrap(), wanted);
}

#[test]
fn a_job_shows_where_it_stands_and_nothing_of_what_it_carries() {
    let spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::default());
    let birth =
        Birth { created_by: String::new(), trigger: Trigger::Api, category: None, skipped: None };
    let mut status = create(&spec, birth, START);
    status.result = Some(bytes::Bytes::from_static(b"secret"));
    let fields = job_fields(&status);
    let wanted =
        of(&[("state", "PENDING"), ("revision", "1"), ("attempt", "0"), ("max_attempts", "3")]);
    assert_eq!(fields, wanted);
}

#[test]
fn what_it_is_about_can_be_filtered_by() {
    let (id, job_type) = (JobId(Uuid::from_u128(1)), JobType::new("sync").unwrap());
    let about = |subject| AuditEvent {
        time: START,
        actor: "ann".to_owned(),
        action: AuditAction::RetryJob,
        subject,
        reason: String::new(),
        before: Fields::new(),
        after: Fields::new(),
    };
    let job = about(AuditSubject::Job { id, job_type: job_type.clone() });
    assert_eq!((job.job_id(), job.job_type()), (Some(id), Some(&job_type)));
    let stored = rmp_serde::to_vec_named(&job).unwrap();
    assert_eq!(rmp_serde::from_slice::<AuditEvent>(&stored).unwrap(), job);
    let queue = about(AuditSubject::Queue(QueueName::default()));
    assert_eq!((queue.job_id(), queue.job_type()), (None, None));
    assert_eq!(about(AuditSubject::Type(job_type.clone())).job_type(), Some(&job_type));
}

proptest! {
    #[test]
    fn an_audit_event_stays_small(
        before in prop::collection::btree_map("[a-z]{1,3}", "[a-zäß€]{0,700}", 0..100),
        after in prop::collection::btree_map("[a-z]{1,3}", "[a-zäß€]{0,700}", 0..100),
    ) {
        let (was, is) = difference(&before, &after);
        prop_assert!(was.len() <= AUDIT_FIELDS_MAX && is.len() <= AUDIT_FIELDS_MAX + 1);
        let mark = '…'.len_utf8();
        for value in was.values().chain(is.values()) {
            prop_assert!(value.len() <= AUDIT_VALUE_BYTES_MAX + mark);
        }
        for (name, value) in &was {
            prop_assert!(before[name].starts_with(value.trim_end_matches('…')));
            prop_assert_ne!(Some(&before[name]), after.get(name));
        }
    }
}
