use clap::Parser as _;

use super::*;
use crate::cli::{Ask, Cli, Command};

fn asked(line: &[&str]) -> JobFilter {
    let cli = Cli::try_parse_from([&["jobplane", "list"], line].concat()).unwrap();
    let Command::Ask(Ask::List(args)) = cli.command else { panic!("a list") };
    request(&args, Timestamp::from_micros(100_000_000)).filter.unwrap()
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
    let mut listing = Listing::new(Timestamp::from_micros(0));
    let job = Job { id: "j".to_owned(), ..Job::default() };
    let page = ListJobsResponse { jobs: vec![job], ..ListJobsResponse::default() };
    listing.take(page, &mut out).unwrap();
    listing.end(&mut out).unwrap();
    let text = written.text();
    let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["j", "-", "-", "-", "0/0", "-", "-", "-", "-"]);
}
