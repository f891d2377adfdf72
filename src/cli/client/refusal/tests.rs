use std::collections::HashMap;

use tonic_types::{ErrorDetails, FieldViolation};

use super::*;

const AT: &str = "http://127.0.0.1:50051";

fn refusal(code: Code, reason: &str, facts: &[(&str, &str)]) -> Refusal {
    let facts: HashMap<_, _> =
        facts.iter().map(|(name, fact)| ((*name).to_owned(), (*fact).to_owned())).collect();
    let details = ErrorDetails::with_error_info(reason, "jobplane", facts);
    let status = Status::with_error_details(code, "no", details);
    Refusal::of(&status, "cancel job 1", AT)
}

#[test]
fn each_code_has_its_exit_code() {
    for (code, exit) in [
        (Code::InvalidArgument, Exit::Usage),
        (Code::NotFound, Exit::NotFound),
        (Code::FailedPrecondition, Exit::Refused),
        (Code::Aborted, Exit::Refused),
        (Code::AlreadyExists, Exit::Refused),
        (Code::ResourceExhausted, Exit::Refused),
        (Code::Unavailable, Exit::Unreachable),
        (Code::Unimplemented, Exit::Unreachable),
        (Code::DeadlineExceeded, Exit::TimedOut),
    ] {
        assert_eq!(refusal(code, "X", &[]).exit, exit, "{code:?}");
    }
}

#[test]
fn every_wrong_field_gets_a_line() {
    let violations =
        vec![FieldViolation::new("spec.type", "is empty"), FieldViolation::new("spec.queue", "no")];
    let details = ErrorDetails::with_bad_request(violations);
    let status = Status::with_error_details(Code::InvalidArgument, "invalid fields", details);
    let lines = Refusal::of(&status, "submit a job", AT).lines();
    assert_eq!(
        lines[..3],
        ["cannot submit a job: invalid fields", "spec.type: is empty", "spec.queue: no"]
    );
}

#[test]
fn reason_and_facts_are_told_with_what_to_do_next() {
    let lines = refusal(Code::AlreadyExists, "DUPLICATE_JOB", &[("job_id", "J")]).lines();
    assert_eq!(lines[1], format!("answer of {AT}: ALREADY_EXISTS, DUPLICATE_JOB (job_id=J)"));
    assert!(lines[2].contains("jobplane watch J"), "{lines:?}");
}

#[test]
fn the_wait_that_the_server_asks_for_is_told() {
    let mut details = ErrorDetails::with_error_info("RATE_LIMITED", "jobplane", HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(90)));
    let status = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
    let refusal = Refusal::of(&status, "submit", AT);
    assert_eq!(refusal.lines().last().unwrap(), "next: try again in 1m 30s");
    assert!(refusal.passing);
}

#[test]
fn a_broken_connection_passes_and_a_broken_server_does_not() {
    let broken = Status::unknown("transport error");
    let refusal = Refusal::of(&broken, "watch", AT);
    assert!(refusal.passing);
    assert!(refusal.lines().last().unwrap().contains("jobplane serve"));
    assert!(!self::refusal(Code::Internal, "INTERNAL", &[]).passing);
    assert!(!self::refusal(Code::NotFound, "JOB_NOT_FOUND", &[]).passing);
    assert!(self::refusal(Code::Unavailable, "STORE_UNAVAILABLE", &[]).passing);
}

#[test]
fn a_status_cannot_move_the_cursor() {
    let lines = Refusal::of(&Status::not_found("\x1b[2Jgone"), "get", AT).lines();
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "{lines:?}");
}

#[test]
fn every_reason_and_code_says_what_to_do_next() {
    for (code, reason, advice) in [
        (Code::NotFound, "JOB_NOT_FOUND", "jobplane list"),
        (Code::NotFound, "TYPE_NOT_FOUND", "jobplane types"),
        (Code::NotFound, "WORKER_NOT_FOUND", "jobplane workers"),
        (Code::NotFound, "QUOTA_NOT_FOUND", "jobplane quota"),
        (Code::FailedPrecondition, "QUOTA_IN_USE", "without that quota"),
        (Code::FailedPrecondition, "TYPE_NOT_DECLARED", "jobplane apply"),
        (Code::FailedPrecondition, "TYPE_DISABLED", "types enable"),
        (
            Code::Aborted,
            "TYPE_CHANGED",
            "somebody changed it meanwhile: look with `jobplane types TYPE`",
        ),
        (Code::FailedPrecondition, "ALREADY_RUNNING", "jobplane active"),
        (Code::FailedPrecondition, "QUEUE_PAUSED", "queue resume"),
        (Code::InvalidArgument, "INVALID_FIELD", "--help"),
        (Code::FailedPrecondition, "ILLEGAL_TRANSITION", "jobplane get"),
        (Code::ResourceExhausted, "LIMIT_EXCEEDED", "narrow it down"),
        (Code::Unavailable, "SERVER_DRAINING", "the server stops or starts again: try in 1"),
        (Code::Unavailable, "STORE_UNAVAILABLE", "its database is not"),
        (Code::Unavailable, "OUTCOME_UNKNOWN", "jobplane list"),
        (Code::Internal, "INTERNAL", "log of the server"),
        (Code::DeadlineExceeded, "", "--timeout"),
        (Code::Unavailable, "", "jobplane serve"),
        (Code::Unimplemented, "", "same version"),
        (Code::PermissionDenied, "", "operator"),
    ] {
        let details = ErrorDetails::with_error_info(reason, "jobplane", HashMap::new());
        let told = Status::with_error_details(code, "no", details);
        let status = if reason.is_empty() { Status::new(code, "no") } else { told };
        let lines = Refusal::of(&status, "do it", AT).lines();
        assert_eq!(lines[0], "cannot do it: no");
        assert!(lines[1].contains(AT) && lines[1].contains(code_name(code)), "{lines:?}");
        let next = lines.last().unwrap();
        assert!(next.starts_with("next: ") && next.contains(advice), "{code:?} {reason}: {next}");
    }
}

#[test]
fn what_breaks_off_may_have_been_done_but_not_where_nobody_listens() {
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let nobody = Refusal::of(&Status::from_error(Box::new(Wrapped(refused))), "purge", AT);
    assert_eq!(nobody.cause(), NOBODY);
    assert!(!nobody.broke_off());
    assert!(Refusal::of(&Status::unknown("transport error"), "purge", AT).broke_off());
    assert!(!refusal(Code::Unavailable, "STORE_UNAVAILABLE", &[]).broke_off());
    let mut refusal = refusal(Code::Unavailable, "STORE_UNAVAILABLE", &[]);
    refusal.advise("look twice");
    assert_eq!(refusal.lines().last().unwrap(), "next: look twice");
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Wrapped(#[source] io::Error);

#[test]
fn nothing_is_said_twice() {
    let mut details = ErrorDetails::with_error_info(
        "LIMIT_EXCEEDED",
        "jobplane",
        HashMap::from([("what".to_owned(), EXPECTED.to_owned())]),
    );
    details.add_quota_failure_violation(EXPECTED, "jobs that were expected is limited to 50");
    let message = "130 jobs match, 50 were expected";
    let status = Status::with_error_details(Code::ResourceExhausted, message, details);
    let lines = Refusal::of(&status, "cancel jobs", AT).lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2], "next: narrow --filter, or raise --expect-max");
    let status = Status::failed_precondition("full: 1 job of it runs already");
    let lines = Refusal::of(&status, "trigger full", AT).lines();
    assert_eq!(lines[0], "cannot trigger full: 1 job of it runs already");
}

#[test]
fn a_retry_is_not_told_of_flags_that_it_does_not_have() {
    let details = ErrorDetails::with_error_info("DUPLICATE_JOB", "jobplane", HashMap::new());
    let status = Status::with_error_details(Code::AlreadyExists, "taken", details);
    let next = |doing| Refusal::of(&status, doing, AT).lines().pop().unwrap();
    assert!(next("submit a job of type sync").contains("--unique-policy"));
    assert!(!next("retry job 1").contains("--unique-policy"), "{}", next("retry job 1"));
}
