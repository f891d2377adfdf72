use clap::Parser as _;

use super::*;
use crate::cli::{Ask, Cli, Command};
use crate::proto::v1::{JobFilter, JobState};

fn asked(line: &[&str]) -> JobFilter {
    let cli = Cli::try_parse_from([&["jobplane", "list"], line].concat()).unwrap();
    let Command::Ask(Ask::List(args)) = cli.command else { panic!("a list") };
    request(&args, Timestamp::from_micros(100_000_000)).unwrap().filter.unwrap()
}

#[test]
fn filters_may_be_repeated_or_separated_by_commas() {
    let filter = asked(&["-t", "a,b", "-t", "c", "-s", "failed,JOB_STATE_CANCELLED", "-l", "k=v"]);
    assert_eq!(filter.types, ["a", "b", "c"]);
    assert_eq!(filter.states().collect::<Vec<_>>(), [JobState::Failed, JobState::Cancelled]);
    assert_eq!(filter.labels.get("k").map(String::as_str), Some("v"));
}

#[test]
fn since_counts_back_from_now() {
    let filter = asked(&["--since", "1m"]);
    assert_eq!(filter.create_time_after.unwrap().seconds, 40);
}

#[test]
fn a_row_shows_what_is_there_and_a_dash_for_what_is_not() {
    use crate::cli::output::tests::captured;
    let (mut out, written) = captured(Format::Table);
    let mut listing = Listing::new(Timestamp::from_micros(0), false);
    let job = Job { id: "j".to_owned(), ..Job::default() };
    let page = ListJobsResponse { jobs: vec![job], ..ListJobsResponse::default() };
    listing.take(page, &mut out).unwrap();
    listing.end(&Filter::default(), &mut out).unwrap();
    let text = written.text();
    let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["j", "-", "-", "-", "0/0", "-", "-", "-", "-"]);
}

#[test]
fn a_row_says_how_long_a_running_job_has_been_silent() {
    use crate::proto::v1::{JobStatus, Progress};
    let report_time = Some(prost_types::Timestamp { seconds: 6, nanos: 0 });
    let progress = Progress { percent: Some(45.0), report_time, ..Progress::default() };
    let running = JobState::Running.into();
    let status = JobStatus { state: running, progress: Some(progress), ..JobStatus::default() };
    let job = Job { status: Some(status), ..Job::default() };
    let far = |second: i64| row(&job, Timestamp::from_micros(second * 1_000_000)).swap_remove(3);
    assert_eq!(format!("{:?}", far(16)), format!("{:?}", Cell::from("45.0%")));
    let silent = Cell::from("last report 44s ago  45.0%");
    assert_eq!(format!("{:?}", far(50)), format!("{silent:?}"));
}
