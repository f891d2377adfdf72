use std::io::Write as _;

use clap::Parser as _;

use super::*;
use crate::cli::{Ask, Cli, Command};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn asked(line: &[&str]) -> Result<CreateJobRequest, Failure> {
    let cli = Cli::try_parse_from([&["jobplane", "submit"], line].concat()).unwrap();
    let Command::Ask(Ask::Submit(args)) = cli.command else { panic!("a submit") };
    request(&args, NOW)
}

#[test]
fn every_flag_has_its_field() {
    let request = asked(&[
        "backup",
        "-p",
        r#"{"a": 1}"#,
        "-q",
        "bulk",
        "--priority",
        "HIGH",
        "-l",
        "team=a",
        "-l",
        "env=b",
        "--owner",
        "o",
        "--subject",
        "s",
        "--external-id",
        "x",
        "--delay",
        "5s",
        "--timeout",
        "1m",
        "--max-attempts",
        "7",
        "--unique-key",
        "k",
        "--unique-policy",
        "return-existing",
        "--expire-in",
        "1h",
        "--request-id",
        "r",
    ])
    .unwrap();
    assert_eq!(request.request_id, "r");
    let spec = request.spec.unwrap();
    assert_eq!((spec.r#type.as_str(), spec.queue.as_str()), ("backup", "bulk"));
    assert_eq!(spec.priority(), Priority::High);
    assert_eq!(json::of_struct(&spec.payload.clone().unwrap()), serde_json::json!({"a": 1}));
    assert_eq!(spec.labels.len(), 2);
    assert_eq!(
        (spec.owner.as_str(), spec.subject.as_str(), spec.external_id.as_str()),
        ("o", "s", "x")
    );
    assert_eq!(spec.schedule_time.unwrap().seconds, 1_005);
    assert_eq!(spec.expire_time.unwrap().seconds, 4_600);
    assert_eq!(spec.timeout.unwrap().seconds, 60);
    assert_eq!(spec.retry_policy.clone().unwrap().max_attempts, 7);
    assert_eq!(spec.unique_policy(), UniquePolicy::ReturnExisting);
}

#[test]
fn what_is_not_said_is_left_to_the_server() {
    let request = asked(&["t"]).unwrap();
    let spec = JobSpec { r#type: "t".to_owned(), ..JobSpec::default() };
    assert_eq!(request.spec.unwrap(), spec);
}

#[test]
fn a_payload_may_come_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{{\"a\": 1}}").unwrap();
    let source = format!("@{}", file.path().display());
    assert!(asked(&["t", "-p", &source]).unwrap().spec.unwrap().payload.is_some());
}

#[test]
fn a_wrong_payload_is_usage() {
    for source in ["{", "[]", "@/not/there"] {
        let failure = asked(&["t", "-p", source]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.lines()[0].starts_with("--payload: "), "{:?}", failure.lines());
    }
}
