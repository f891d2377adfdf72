use std::sync::Arc;

use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::*;
use crate::domain::bulk::TooMany;
use crate::domain::ids::QuotaName;
use crate::domain::limits::VIOLATIONS_TOLD_MAX;
use crate::domain::queue::TooManyPending;
use crate::domain::{StateKind, Timestamp};
use crate::grpc::reasons::{ROWS, render};

const ID: JobId = JobId(Uuid::from_u128(7));

fn source() -> Arc<dyn std::error::Error + Send + Sync> {
    Arc::new(std::io::Error::other("disk on fire"))
}

fn violations(count: usize) -> Violations {
    let mut violations = Violations::default();
    for n in 0..count {
        violations.add(format!("spec.labels[{n}]"), "x".repeat(10_000));
    }
    violations
}

fn job_type() -> JobType {
    JobType::new("sync").expect("a name")
}

fn queue() -> QueueName {
    QueueName::new("bulk").expect("a name")
}

fn full() -> TooManyPending {
    TooManyPending { pending: 10, max_pending: 10 }
}

fn cannot(refusal: TriggerRefusal) -> engine::Error {
    engine::Error::CannotTrigger { job_type: job_type(), queue: QueueName::default(), refusal }
}

/// One of each, with the reason it is told by.
fn every_error() -> Vec<(engine::Error, &'static str)> {
    use engine::Error as E;
    let refused = |refusal| E::Refused { job_id: ID, refusal };
    let illegal =
        Refusal::IllegalTransition { state: StateKind::Cancelled, command: CommandKind::Succeed };
    let stale = Refusal::StaleLease { held: 3, presented: 2, state: StateKind::Running };
    vec![
        (E::JobNotFound(ID), "JOB_NOT_FOUND"),
        (refused(illegal), "ILLEGAL_TRANSITION"),
        (refused(stale), "STALE_LEASE"),
        (refused(Refusal::NotDue { schedule_time: Timestamp::from_micros(5) }), "NOT_DUE"),
        (E::NotOver(ID), "ILLEGAL_TRANSITION"),
        (E::DuplicateJob { holder: ID, key: "k".to_owned() }, "DUPLICATE_JOB"),
        (E::RequestIdReused { job_id: ID }, "REQUEST_ID_REUSED"),
        (E::RequestIdSpent { job_id: ID }, "REQUEST_ID_SPENT"),
        (E::TypeNotFound(job_type()), "TYPE_NOT_FOUND"),
        (E::TypeNotDeclared(job_type()), "TYPE_NOT_DECLARED"),
        (E::TypeChanged { job_type: job_type(), held: 3, presented: 2 }, "TYPE_CHANGED"),
        (cannot(TriggerRefusal::TypeNotDeclared), "TYPE_NOT_DECLARED"),
        (cannot(TriggerRefusal::TypeDisabled { reason: "no".to_owned() }), "TYPE_DISABLED"),
        (
            cannot(TriggerRefusal::AlreadyRunning { running: 1, max_concurrent: 1 }),
            "ALREADY_RUNNING",
        ),
        (cannot(TriggerRefusal::QueuePaused { reason: "no".to_owned() }), "QUEUE_PAUSED"),
        (
            cannot(TriggerRefusal::CircuitOpen {
                next_probe_time: Timestamp::from_micros(5_000_000),
                wait: Duration::from_secs(2),
            }),
            "CIRCUIT_OPEN",
        ),
        (E::QuotaNotFound(QuotaName::new("api").expect("a name")), "QUOTA_NOT_FOUND"),
        (
            E::QuotaInUse {
                quota: QuotaName::new("api").expect("a name"),
                job_type: job_type(),
                count: 2,
            },
            "QUOTA_IN_USE",
        ),
        (
            E::QuotaBelowCost {
                quota: QuotaName::new("api").expect("a name"),
                job_type: job_type(),
                cost: 3,
                limit: 2,
            },
            "QUOTA_BELOW_COST",
        ),
        (E::Invalid(violations(2)), "INVALID_FIELD"),
        (E::LimitExceeded { what: "types", limit: 10_000 }, "LIMIT_EXCEEDED"),
        (E::TooManyPending { queue: Some(queue()), full: full() }, "LIMIT_EXCEEDED"),
        (E::TooManyPending { queue: None, full: full() }, "LIMIT_EXCEEDED"),
        (E::MoreThanExpected(TooMany { count: 3, expected_max: 2 }), "LIMIT_EXCEEDED"),
        (E::RateLimited { what: "updates", limit: 1_024 }, "RATE_LIMITED"),
        (E::Archive("no space".to_owned()), "ARCHIVE_FAILED"),
        (E::SessionSuperseded, "SESSION_SUPERSEDED"),
        (E::Draining, "SERVER_DRAINING"),
        (E::StreamAged, "STREAM_AGED"),
        (E::Overloaded, "STORE_UNAVAILABLE"),
        (E::OutcomeUnknown, "OUTCOME_UNKNOWN"),
        (E::Store(store::Error::Unavailable(source())), "STORE_UNAVAILABLE"),
        (E::Store(store::Error::OutcomeUnknown(source())), "OUTCOME_UNKNOWN"),
        (E::Store(store::Error::Rejected(source())), "INTERNAL"),
        (E::Store(store::Error::Corrupt { what: "job_status.data", source: source() }), "INTERNAL"),
    ]
}

fn fact(status: &Status, name: &str) -> String {
    let info = status.get_details_error_info().expect("always there");
    info.metadata.get(name).cloned().unwrap_or_default()
}

#[test]
fn every_error_has_its_reason_in_the_table() {
    for (error, reason) in every_error() {
        let shown = format!("{error:?}");
        let status = to_status(error);
        let info = status.get_details_error_info().expect("always there");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, DOMAIN), "{shown}");
        let row = ROWS.iter().find(|row| row.name == reason).expect("in the table");
        assert_eq!(status.code(), row.code, "{shown}");
        assert!(!status.message().is_empty());
        let says_when = status.get_details_retry_info().is_some();
        let passes = row.code == Code::Unavailable
            || ["RATE_LIMITED", "CIRCUIT_OPEN"].contains(&reason)
            || shown.starts_with("TooManyPending");
        assert_eq!(says_when, passes, "{shown}");
    }
}

#[test]
fn every_reason_stands_at_its_place() {
    for (place, row) in ROWS.iter().enumerate() {
        assert_eq!(row.reason as usize, place, "{}", row.name);
        assert_eq!(row.reason.row().name, row.name);
        assert_eq!(ROWS.iter().filter(|other| other.name == row.name).count(), 1);
    }
    // The last of the enum is the last of the table.
    assert_eq!(ROWS.len(), Reason::Internal as usize + 1);
}

#[test]
fn the_facts_of_a_refusal_are_told() {
    let [illegal, stale, duplicate] = [1, 2, 5].map(|at| to_status(every_error().remove(at).0));
    assert_eq!(fact(&illegal, "job_id"), ID.to_string());
    assert_eq!(fact(&illegal, "state"), "CANCELLED");
    assert_eq!(fact(&illegal, "command"), "succeed");
    assert_eq!(fact(&illegal, "allowed"), "cancel,retry");
    let failure = illegal.get_details_precondition_failure().expect("there");
    assert_eq!(failure.violations[0].subject, format!("job/{ID}"));
    assert_eq!(["held", "presented", "state"].map(|f| fact(&stale, f)), ["3", "2", "RUNNING"]);
    assert_eq!(duplicate.get_details_resource_info().expect("there").resource_name, ID.to_string());
}

#[test]
fn every_wrong_field_is_told() {
    let mut violations = Violations::default();
    violations.add("spec.type", "must not be empty");
    violations.add("request_id", "must have at most 128 bytes, has 129");
    let status = invalid(violations.clone());
    let told = status.get_details_bad_request().expect("there").field_violations;
    let told: Vec<_> = told.iter().map(|v| (v.field.as_str(), v.description.as_str())).collect();
    let noted = violations.as_slice().iter();
    assert_eq!(told, noted.map(|v| (&*v.field, &*v.description)).collect::<Vec<_>>());
    assert_eq!(fact(&status, "violations"), "2");
    assert_eq!(status.message(), "spec.type must not be empty, and 1 more field");
    assert_eq!(invalid_field("page_size", "is -1").message(), "page_size is -1");
}

#[test]
fn an_error_fits_into_trailers_whatever_was_wrong() {
    const TRAILERS_BYTES_MAX: usize = 8 * 1024;
    let status = invalid(violations(10_000));
    let told = status.get_details_bad_request().expect("there").field_violations;
    assert_eq!(told.len(), VIOLATIONS_TOLD_MAX + 1);
    assert_eq!(told[VIOLATIONS_TOLD_MAX].description, "and 9984 more");
    assert!(status.message().ends_with("…, and 9999 more fields"), "{}", status.message());
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).expect("a valid header");
    let size: usize = headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 32).sum();
    assert!(size < TRAILERS_BYTES_MAX, "{size} bytes");
}

#[test]
fn a_fault_of_the_service_tells_an_id_and_not_the_cause() {
    let status = to_status(engine::Error::Store(store::Error::Rejected(source())));
    let incident = fact(&status, "incident_id");
    assert!(status.message().contains(&incident));
    assert!(!status.message().contains("fire") && Uuid::try_parse(&incident).is_ok());
}

#[test]
fn the_chain_of_an_error_is_whole() {
    let error = engine::Error::Store(store::Error::Unavailable(source()));
    assert_eq!(chain(&error), "the store failed: the store is not available: disk on fire");
}

#[test]
fn a_status_in_an_answer_is_the_same_status() {
    let status = to_status(engine::Error::JobNotFound(ID));
    let message = to_rpc_status(&status);
    assert_eq!((message.code, message.message.as_str()), (5, status.message()));
    assert_eq!(message.details.len(), 2);
    let bare = to_rpc_status(&Status::unimplemented("no"));
    assert_eq!((bare.code, bare.message.as_str(), bare.details.len()), (12, "no", 0));
}

#[test]
fn too_much_at_a_time_may_be_repeated() {
    let status =
        to_status(engine::Error::RateLimited { what: "unacknowledged updates", limit: 1_024 });
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(fact(&status, "limit"), "1024");
    assert_eq!(invalid_page_token("is broken").code(), Code::InvalidArgument);
    assert_eq!(invalid_field("kind", "must be hello first").code(), Code::InvalidArgument);
}

#[test]
fn a_refusal_for_now_says_when_it_is_over() {
    let full = to_status(engine::Error::TooManyPending { queue: Some(queue()), full: full() });
    assert_eq!(["queue", "pending", "limit"].map(|name| fact(&full, name)), ["bulk", "10", "10"]);
    let failure = full.get_details_quota_failure().expect("there");
    assert_eq!(failure.violations[0].subject, "queue:bulk");
    let next_probe_time = Timestamp::from_micros(5_000_000);
    let open = TriggerRefusal::CircuitOpen { next_probe_time, wait: Duration::from_secs(2) };
    let open = to_status(cannot(open));
    assert_eq!(fact(&open, "next_probe_time"), "1970-01-01T00:00:05Z");
    let retry = open.get_details_retry_info().expect("there");
    assert_eq!(retry.retry_delay, Some(Duration::from_secs(2)));
}

#[test]
fn the_page_of_errors_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md");
    if std::env::var_os("JOBPLANE_RENDER_DOCS").is_some() {
        std::fs::write(path, render()).expect("docs/ can be written");
    }
    let page = std::fs::read_to_string(path).expect("docs/ERRORS.md is there");
    assert!(page == render(), "run the tests with JOBPLANE_RENDER_DOCS=1 to render docs/ERRORS.md");
}
