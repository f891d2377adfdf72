use clap::Parser as _;

use super::*;
use crate::proto::v1::JobTrigger;

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    filter: Filter,
}

fn typed(line: &str) -> Filter {
    let words = std::iter::once("x").chain(line.split_whitespace());
    Line::try_parse_from(words).unwrap().filter
}

#[test]
fn every_flag_reaches_the_wire() {
    let line = "-t a,b --type c --category k -s failed,JOB_STATE_RUNNING -q q --queue r -l a=1 \
                --label b=2 --owner o --since 1m -n 7";
    let filter = typed(line);
    let wire = filter.wire(Timestamp::from_micros(100_000_000)).unwrap();
    assert_eq!(wire.types, ["a", "b", "c"]);
    assert_eq!(wire.categories, ["k"]);
    assert_eq!(wire.states().collect::<Vec<_>>(), [JobState::Failed, JobState::Running]);
    assert_eq!(wire.queues, ["q", "r"]);
    assert_eq!(wire.labels.len(), 2);
    assert_eq!(wire.owner, "o");
    assert_eq!(wire.create_time_after.unwrap().seconds, 40);
    assert_eq!((filter.at_most(50), typed("").at_most(50)), (7, 50));
}

#[test]
fn a_filter_is_told_in_words() {
    assert_eq!(typed("").words(), "");
    let said = typed("-t a,b -s failed -l k=v --owner o --since 2h").words();
    assert_eq!(said, " of type a, b in state FAILED labelled k=v for o since 2h ago");
    assert_eq!(typed("--since 2026-01-31T08:00:00Z").words(), " since 2026-01-31T08:00:00Z");
    let said = typed("--owner o --filter worker=w --filter state=failed").words();
    assert_eq!(said, " for o with worker=w, state=failed");
}

#[test]
fn terms_are_any_of_within_a_key_and_all_of_between_keys() {
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let line = "--type sync --filter type=backup,import --filter state=failed,CANCELLED \
                --filter label=env=prod --filter label=tier=a=b --filter owner=ann --filter subject=s \
                --filter external-id=e --filter worker=w --filter created-by=c --filter queue=q \
                --filter category=k --filter id=1,2 --filter trigger=schedule,JOB_TRIGGER_API \
                --filter since=2h --filter until=1h --filter ended-since=2025-06-15T15:06:40Z \
                --filter ended-until=30m";
    let filter = typed(line).wire(now).unwrap();
    let seconds = |at: Option<prost_types::Timestamp>| at.map(|at| at.seconds - 1_750_000_000);
    assert_eq!(filter.types, ["sync", "backup", "import"]);
    assert_eq!(filter.states, [JobState::Failed, JobState::Cancelled].map(i32::from));
    assert_eq!((filter.labels["env"].as_str(), filter.labels["tier"].as_str()), ("prod", "a=b"));
    assert_eq!((filter.owner.as_str(), filter.subject.as_str()), ("ann", "s"));
    assert_eq!((filter.external_id.as_str(), filter.worker_id.as_str()), ("e", "w"));
    assert_eq!((filter.created_by.as_str(), filter.queues.concat().as_str()), ("c", "q"));
    assert_eq!(
        (filter.categories.concat().as_str(), filter.job_ids.concat().as_str()),
        ("k", "12")
    );
    assert_eq!(filter.triggers, [JobTrigger::Schedule, JobTrigger::Api].map(i32::from));
    assert_eq!(seconds(filter.create_time_after), Some(-7_200));
    assert_eq!(seconds(filter.create_time_before), Some(-3_600));
    assert_eq!(seconds(filter.end_time_after), Some(0));
    assert_eq!(seconds(filter.end_time_before), Some(-1_800));
}

#[test]
fn of_what_ended_since_means_since_when_it_is_over() {
    let now = Timestamp::from_micros(100_000_000);
    let seconds = |at: Option<prost_types::Timestamp>| at.map(|at| at.seconds);
    let filter = typed("--since 1m --filter until=30s").wire_ended(now).unwrap();
    assert_eq!((seconds(filter.end_time_after), filter.create_time_after), (Some(40), None));
    assert_eq!(seconds(filter.create_time_before), Some(70));
    let filter = typed("--since 1m --filter since=50s").wire_ended(now).unwrap();
    assert_eq!(
        (seconds(filter.end_time_after), seconds(filter.create_time_after)),
        (Some(40), Some(50))
    );
    let refused = typed("--since 1m --filter ended-since=20s").wire_ended(now).unwrap_err();
    assert!(
        refused.lines()[0].contains("--filter ended-since=20s: cannot be used with --since 1m")
    );
}

#[test]
fn two_that_say_different_things_of_one_are_refused_and_both_named() {
    let now = Timestamp::from_micros(100_000_000);
    for key in ["owner", "subject", "external-id", "worker", "created-by"] {
        let line = format!("--filter {key}=a --filter type=x --filter {key}=b");
        let refused = typed(&line).wire(now).unwrap_err();
        assert_eq!(refused.exit(), crate::cli::exit::Exit::Usage);
        let said = format!("--filter {key}=b: cannot be used with --filter {key}=a: only one");
        assert!(refused.lines()[0].starts_with(&said), "{:?}", refused.lines());
        let twice = format!("--filter {key}=a --filter {key}=a");
        assert!(typed(&twice).wire(now).is_ok(), "{key}: said twice it is the same");
    }
    for key in ["since", "until", "ended-since", "ended-until"] {
        let line = format!("--filter {key}=1h --filter {key}=2h");
        assert!(typed(&line).wire(now).is_err() && typed(&line).wire_ended(now).is_err(), "{key}");
        let same = format!("--filter {key}=1h --filter {key}=60m");
        assert!(typed(&same).wire(now).is_ok(), "{key}");
    }
    for (line, by, with) in [
        ("--owner ann --filter owner=bob", "--filter owner=bob", "--owner ann"),
        ("--since 2h --filter since=1h", "--filter since=1h", "--since 2h"),
        ("-l env=a --filter label=env=b", "--filter label=env=b", "--label env=a"),
        ("-l env=a --label env=b", "--label env=b", "--label env=a"),
        ("--filter label=k=a --filter label=k=b", "--filter label=k=b", "--filter label=k=a"),
    ] {
        let lines = typed(line).wire(now).unwrap_err().lines();
        assert!(lines[0].starts_with(&format!("{by}: cannot be used with {with}:")), "{lines:?}");
    }
    for line in [
        "-t a --filter type=b --filter type=c -q a --filter queue=b -s failed --filter state=pending",
        "-l env=a --filter label=tier=a -l env=a",
        "--owner ann --filter owner=ann --filter since=2h --filter ended-since=1h --filter until=1m",
    ] {
        assert!(typed(line).wire(now).is_ok(), "{line}");
    }
}

#[test]
fn states_are_found_in_flags_and_in_terms() {
    assert!(typed("-s failed").has_states() && typed("--filter state=failed").has_states());
    assert!(!typed("--filter type=failed").has_states());
    assert!(typed("--filter state=failed").without_states("--failed").is_err());
    assert!(typed("").without_states("--failed").is_ok());
}

#[test]
fn types_and_categories_alone_do_not_narrow_a_summary() {
    assert!(!typed("-t a --category b -n 3 --filter type=c --filter category=d").narrows());
    for line in ["--filter worker=w", "-s failed", "-q q", "-l a=b", "--owner o", "--since 1h"] {
        assert!(typed(line).narrows(), "{line}");
    }
}

#[test]
fn wrong_values_are_refused_with_the_right_forms() {
    for (line, said) in [
        ("--state done", "must be one of pending, running, succeeded"),
        ("--since yesterday", "such as 2h or 7d"),
        ("--label x", "key=value"),
        ("--limit 0", "0 is not in 1.."),
        ("--filter type", "want KEY=VALUE"),
        ("--filter type=", "want KEY=VALUE"),
        ("--filter colour=red", "there is no filter by \"colour\""),
        ("--filter state=asleep", "must be one of pending, running, succeeded"),
        ("--filter trigger=chance", "must be one of api, manual, schedule, worker"),
        ("--filter label=env", "key=value"),
        ("--filter since=whenever", "such as 2h or 7d"),
    ] {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let error = Line::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains(said), "{line}: {error}");
    }
}
