use crate::domain::QueueName;
use crate::domain::stats::{StatKey, Tally};

use super::*;

const NOW: Timestamp = Timestamp::from_micros((10_000 * 60 + 30) * 1_000_000);
const MINUTE_NOW: i64 = 10_000;

fn job_type(name: &str) -> JobType {
    JobType::new(name).expect("a name")
}

fn key(name: &str) -> StatKey {
    StatKey { job_type: job_type(name), queue: QueueName::default() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_median_is_the_middle_run() {
    assert_eq!(median(Vec::new()), None);
    assert_eq!(median(vec![seconds(7)]), Some(seconds(7)));
    assert_eq!(median(vec![seconds(9), seconds(1), seconds(3)]), Some(seconds(3)));
    assert_eq!(median(vec![seconds(8), seconds(2), seconds(100), seconds(4)]), Some(seconds(6)));
}

#[test]
fn one_long_run_does_not_move_what_is_typical() {
    let mut runs = vec![seconds(5); 19];
    runs.push(seconds(86_400));
    assert_eq!(median(runs), Some(seconds(5)));
}

fn counts() -> Vec<Count> {
    let count = |name, state, stored| Count { key: key(name), state, stored, finished_total: 0 };
    vec![
        count("b", StateKind::Failed, 2),
        count("a", StateKind::Pending, 1),
        count("b", StateKind::Failed, 3),
    ]
}

#[test]
fn each_known_type_has_a_summary_by_name() {
    let summaries = by_type(&SummaryQuery::default(), &counts(), &[], &Rulebook::default(), NOW);
    let types: Vec<&str> = summaries.keys().map(JobType::as_str).collect();
    assert_eq!(types, ["a", "b"]);
    assert_eq!(summaries[&job_type("b")].counts[&StateKind::Failed], 5);
}

#[test]
fn a_type_that_was_never_heard_of_has_none() {
    let query = SummaryQuery { types: vec![job_type("a"), job_type("z")], ..Default::default() };
    let summaries = by_type(&query, &counts(), &[], &Rulebook::default(), NOW);
    assert_eq!(summaries.into_keys().collect::<Vec<_>>(), [job_type("a")]);
}

#[test]
fn a_type_that_is_not_declared_has_no_category() {
    let categories = vec![Category::new("sync").expect("a name")];
    let query = SummaryQuery { categories, ..Default::default() };
    assert!(by_type(&query, &counts(), &[], &Rulebook::default(), NOW).is_empty());
}

#[test]
fn failures_are_counted_within_their_window() {
    let bucket = |ago: i64, failed| Bucket {
        key: key("b"),
        minute: MINUTE_NOW - ago,
        tally: Tally { failed, ..Tally::default() },
    };
    let buckets = [bucket(0, 1), bucket(60, 10), bucket(61, 100), bucket(1_440, 1_000)];
    let summaries =
        by_type(&SummaryQuery::default(), &counts(), &buckets, &Rulebook::default(), NOW);
    let summary = &summaries[&job_type("b")];
    assert_eq!((summary.failed_last_hour, summary.failed_last_day), (11, 1_111));
}
