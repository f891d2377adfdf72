use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Serve {
    #[command(flatten)]
    args: Args,
}

fn said(flags: &[&str]) -> Config {
    let all = std::iter::once(&"serve").chain(flags);
    let mut config = Config::default();
    Serve::try_parse_from(all).unwrap().args.set(&mut config);
    config
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn nothing_said_is_the_default() {
    let (said, usual) = (said(&[]).retention, Retention::default());
    assert_eq!((said.policy, said.timing, said.archive), (usual.policy, usual.timing, None));
}

#[test]
fn types_and_states_have_spans_of_their_own() {
    let config = said(&[
        "--retention-jobs=10d",
        "--retention-state=failed=90d,SKIPPED=1d",
        "--retention-type=sync=7d",
        "--retention-type=sync@failed=60d",
        "--purge-every=1h",
        "--archive=/var/archive",
    ]);
    let policy = &config.retention.policy;
    let sync = JobType::new("sync").unwrap();
    let other = JobType::new("other").unwrap();
    for (job_type, state, days) in [
        (&sync, Terminal::Succeeded, 7),
        (&sync, Terminal::Failed, 60),
        (&other, Terminal::Succeeded, 10),
        (&other, Terminal::Failed, 90),
        (&other, Terminal::Skipped, 1),
    ] {
        assert_eq!(policy.span(job_type, state), DAY * days, "{job_type} {state:?}");
    }
    assert_eq!(config.retention.timing, PurgeTiming::Every(Duration::from_secs(3600)));
    assert_eq!(config.retention.archive, Some(PathBuf::from("/var/archive")));
    assert!(config.validate().is_ok());
}

#[test]
fn what_cannot_be_is_refused() {
    for flag in [
        "--retention-state=running=1d",
        "--retention-state=failed",
        "--retention-type=a b=1d",
        "--purge-time-zone=Mars/Base",
    ] {
        assert!(Serve::try_parse_from(["serve", flag]).is_err(), "{flag}");
    }
    for flag in ["--retention-jobs=1h", "--retention-type=a=400d", "--purge-every=1s"] {
        assert!(said(&[flag]).validate().is_err(), "{flag}");
    }
}
