//! What a command is given.

use super::*;

#[test]
fn a_program_is_looked_for_before_the_first_job() {
    assert!(find(OsStr::new("sh")).is_ok());
    assert!(find(OsStr::new("/bin/sh")).is_ok());
    assert!(find(OsStr::new("no-such-program-here")).unwrap_err().contains("not found"));
    assert!(find(OsStr::new("/no/such/program")).unwrap_err().contains("not there"));
    assert!(find(OsStr::new("/")).unwrap_err().contains("cannot be executed"));
}

#[test]
fn a_command_is_given_the_job() {
    let template = Template {
        command: vec!["prog".into(), "-x".into()],
        progress: Mode::Json,
        address: "127.0.0.1:7".parse().unwrap(),
        folder: "/results".into(),
    };
    let spec = JobSpec {
        r#type: "sync".to_owned(),
        queue: "slow".to_owned(),
        owner: "o".to_owned(),
        payload: Some(json::to_struct(r#"{"path": "/data", "n": 3}"#).unwrap()),
        labels: [("app/na-me".to_owned(), "v".to_owned()), ("b".to_owned(), "\0".to_owned())]
            .into(),
        limits: Some(ResourceLimits { memory_bytes: 1_000, cpu_percent: 0.0 }),
        ..JobSpec::default()
    };
    let status = JobStatus { attempt: 2, max_attempts: 5, ..JobStatus::default() };
    let job = Job { id: "j".to_owned(), spec: Some(spec), status: Some(status) };
    let made = template.spec(&job, 4);
    assert_eq!(
        (made.program.as_os_str(), &made.args[..]),
        (OsStr::new("prog"), &["-x".into()][..])
    );
    assert_eq!(made.stdin, Stdin::Bytes("{\"n\":3,\"path\":\"/data\"}\n".into()));
    assert_eq!(made.limits, Limits { memory_bytes: Some(1_000), cpu_percent: None });
    let var = |name: &str| {
        let found = made.env.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| value.to_str().unwrap())
    };
    let expected = [
        ("JOBPLANE_JOB_ID", "j"),
        ("JOBPLANE_JOB_TYPE", "sync"),
        ("JOBPLANE_QUEUE", "slow"),
        ("JOBPLANE_ATTEMPT", "2"),
        ("JOBPLANE_MAX_ATTEMPTS", "5"),
        ("JOBPLANE_LEASE_EPOCH", "4"),
        ("JOBPLANE_OWNER", "o"),
        ("JOBPLANE_LABEL_APP_NA_ME", "v"),
        ("JOBPLANE_ENDPOINT", "http://127.0.0.1:7"),
        ("JOBPLANE_RESULT_FILE", "/results/j-4.json"),
    ];
    for (name, value) in expected {
        assert_eq!(var(name), Some(value), "{name}");
    }
    assert_eq!((var("JOBPLANE_LABEL_B"), var("TRACEPARENT")), (None, None));
    let bare = template.spec(&Job::default(), 1);
    assert_eq!(bare.stdin, Stdin::Bytes("{}\n".into()));
}
