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

#[test]
fn what_to_do_about_a_missing_connection_depends_on_why() {
    for (cause, advice) in [
        ("Connection refused (os error 111)", "check that the server runs (`jobplane serve`)"),
        (
            "failed to lookup address information: Name or service not known",
            "how the host is written",
        ),
        ("deadline has elapsed", "firewalls"),
        ("Network is unreachable (os error 101)", "firewalls"),
        ("No route to host (os error 113)", "firewalls"),
        ("anything else", "check that the server runs"),
    ] {
        let address = "http://h:1".to_owned();
        let lines = Failure::Unreachable { address, cause: cause.to_owned() }.lines();
        assert!(lines[0].contains(cause), "{lines:?}");
        assert!(lines[1].starts_with("next: ") && lines[1].contains(advice), "{cause}: {lines:?}");
        assert!(lines[1].contains("JOBPLANE_ENDPOINT"), "{lines:?}");
    }
}

#[test]
fn every_failure_says_what_to_do_next() {
    let text = || "x".to_owned();
    let failures = [
        Failure::usage("--type", "wrong"),
        Failure::File { path: text(), problem: text() },
        Failure::NoSuchJob { written: text() },
        Failure::Ambiguous { written: text(), fits: vec![text()] },
        Failure::Unreachable { address: text(), cause: text() },
        Failure::Stranger { address: text(), doing: text(), who: text(), next: text() },
        Failure::TimedOut { doing: text(), after: Duration::ZERO, next: text() },
        Failure::Unreadable(text()),
    ];
    for failure in failures {
        let lines = failure.lines();
        assert!(lines.last().unwrap().starts_with("next: "), "{lines:?}");
        assert!(!lines[0].starts_with("next: "), "{lines:?}");
    }
}
