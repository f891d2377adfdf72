//! The command line as a whole, against a fake server.

use std::collections::VecDeque;

use clap::CommandFactory as _;

use super::output::tests::captured_as;
use super::*;
use crate::proto::v1::{Job, ListJobsResponse};
use fake::Fake;

pub mod fake;

const JOB: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Runs a command line against the server.
async fn run(fake: &Fake, line: &[&str]) -> (Result<Exit, Failure>, String) {
    let cli = Cli::try_parse_from([&["jobplane"], line].concat()).unwrap();
    let Command::Ask(command) = cli.command else { panic!("asks no server") };
    let address = fake.address.clone();
    let context = Context { address, timeout: cli.timeout, clock: Clock::new() };
    let (mut out, written) = captured_as(cli.output);
    let ended = ask(command, &context, &mut out).await;
    out.flush().unwrap();
    (ended, written.text())
}

fn usage(line: &[&str]) -> String {
    let error = Cli::try_parse_from([&["jobplane"], line].concat()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_values_name_their_field() {
    assert!(usage(&["get", "17"]).contains("'<JOB>'"));
    assert!(usage(&["list", "--state", "done"]).contains("'--state <STATE>'"));
    assert!(usage(&["submit", "t", "--delay", "5"]).contains("'--delay <DURATION>'"));
    assert!(
        usage(&["submit", "t", "--delay", "5s", "--at", "2026-01-31T08:00:00Z"]).contains("--at")
    );
    assert!(usage(&["--endpoint", "https://jobs", "stats"]).contains("'--endpoint <ADDRESS>'"));
    usage(&["cancel"]);
}

#[test]
fn submit_knows_the_timeout_of_the_job_from_its_own() {
    let line = ["jobplane", "--timeout", "5s", "submit", "t", "--timeout", "5m"];
    let cli = Cli::try_parse_from(line).unwrap();
    assert_eq!(cli.timeout, Some(Duration::from_secs(5)));
}

#[tokio::test]
async fn list_takes_pages_until_it_has_enough() {
    let fake = Fake::start(VecDeque::new()).await;
    let page = |ids: &[&str], next: &str| ListJobsResponse {
        jobs: ids.iter().map(|id| Job { id: (*id).to_owned(), ..Job::default() }).collect(),
        next_page_token: next.to_owned(),
        total_size: 5,
        total_size_capped: false,
    };
    fake.pages([page(&["a", "b"], "2"), page(&["c"], "3"), page(&["d"], "4")]);
    let (ended, text) = run(&fake, &["list", "-n", "4", "-o", "jsonl"]).await;
    assert_eq!(ended.unwrap(), Exit::Ok);
    assert_eq!(text, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"c\"}\n{\"id\":\"d\"}\n");
    let asked: Vec<_> =
        fake.lists().into_iter().map(|list| (list.page_size, list.page_token)).collect();
    assert_eq!(asked, [(4, String::new()), (2, "2".to_owned()), (1, "3".to_owned())]);
}

#[tokio::test]
async fn each_job_is_tried_and_the_first_failure_decides() {
    let fake = Fake::start(VecDeque::new()).await;
    let other = "01890a5d-ac96-774b-bcce-b302099a8058";
    fake.cancels(JOB);
    let (ended, text) = run(&fake, &["cancel", other, JOB, "-o", "jsonl"]).await;
    assert_eq!(ended.unwrap(), Exit::NotFound);
    assert!(text.contains(JOB), "{text}");
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_address() {
    let address: Address = "127.0.0.1:1".parse().unwrap();
    let Err(failure) = Client::connect(&address, None).await else { panic!("somebody listens") };
    assert_eq!(failure.exit(), Exit::Unreachable);
    let lines = failure.lines();
    assert!(lines[0].starts_with("cannot reach the server at http://127.0.0.1:1: "), "{lines:?}");
    assert!(lines[1].contains("JOBPLANE_ENDPOINT"), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let fake = Fake::start(VecDeque::new()).await;
    let (ended, _) = run(&fake, &["stats", "--timeout", "50ms"]).await;
    assert_eq!(ended.unwrap_err().exit(), Exit::TimedOut);
}
