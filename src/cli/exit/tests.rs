use super::*;

#[test]
fn a_wrong_value_is_usage_and_names_the_field() {
    let failure = Failure::usage("--payload", "not JSON");
    assert_eq!(failure.exit(), Exit::Usage);
    assert_eq!(failure.lines()[0], "--payload: not JSON");
}

#[test]
fn no_connection_names_the_address_and_what_to_check() {
    let failure = Failure::Unreachable { address: "http://h:1".into(), cause: "refused".into() };
    assert_eq!(failure.exit(), Exit::Unreachable);
    let lines = failure.lines().join("\n");
    assert!(lines.contains("http://h:1: refused"), "{lines}");
    assert!(lines.contains("jobplane serve"), "{lines}");
}

#[test]
fn a_timeout_ends_as_that_of_coreutils() {
    let failure = Failure::TimedOut {
        doing: "waiting".into(),
        after: Duration::from_secs(90),
        next: "wait".into(),
    };
    assert_eq!(failure.exit() as u8, 124);
    assert_eq!(failure.lines()[0], "gave up after 1m 30s: waiting");
}
