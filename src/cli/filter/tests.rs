use clap::Parser as _;

use super::*;

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
    let wire = filter.wire(Timestamp::from_micros(100_000_000));
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
}

#[test]
fn types_and_categories_alone_do_not_narrow_a_summary() {
    assert!(!typed("-t a --category b -n 3").narrows());
    for line in ["-s failed", "-q q", "-l a=b", "--owner o", "--since 1h"] {
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
    ] {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let error = Line::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains(said), "{line}: {error}");
    }
}
