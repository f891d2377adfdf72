//! Against a fake server whose streams break as the test says.

use std::collections::VecDeque;

use super::*;
use crate::cli::output::Format;
use crate::cli::output::tests::captured;
use crate::cli::tests::fake::{self, Fake};
use crate::proto::v1::{Job, LogEntry};

fn event(event: Wire) -> WatchJobResponse {
    WatchJobResponse { event: Some(event) }
}

fn snapshot(state: JobState) -> WatchJobResponse {
    let status = JobStatus { state: state.into(), ..JobStatus::default() };
    let job = Job { id: "j".to_owned(), status: Some(status), spec: None };
    event(Wire::Snapshot(Snapshot { job: Some(job) }.encode_to_vec().into()))
}

fn update(state: JobState) -> WatchJobResponse {
    let status = JobStatus { state: state.into(), ..JobStatus::default() };
    let update = Update { job_id: "j".to_owned(), status: Some(status) };
    event(Wire::Update(update.encode_to_vec().into()))
}

fn logs(sequences: &[i64]) -> WatchJobResponse {
    let entry = |sequence: &i64| LogEntry { sequence: *sequence, ..LogEntry::default() };
    let next_sequence = sequences.iter().copied().max().unwrap_or_default();
    let entries = sequences.iter().map(entry).collect();
    let logs = Logs { entries, next_sequence, gaps: Vec::new() };
    event(Wire::Logs(logs.encode_to_vec().into()))
}

/// A stream that breaks after these.
fn broken(messages: Vec<WatchJobResponse>) -> fake::Stream {
    let end = Err(Status::unavailable("going away"));
    messages.into_iter().map(Ok).chain([end]).collect()
}

/// A stream that ends with OK after these.
fn whole(messages: Vec<WatchJobResponse>) -> fake::Stream {
    messages.into_iter().map(Ok).collect()
}

async fn fake(streams: Vec<fake::Stream>) -> (Fake, Client) {
    let fake = Fake::start(VecDeque::from(streams)).await;
    let client = Client::connect(&fake.address, None).await.unwrap();
    (fake, client)
}

fn request(include_logs: bool) -> WatchJobRequest {
    WatchJobRequest { job_id: "j".to_owned(), include_logs, ..WatchJobRequest::default() }
}

#[tokio::test]
async fn a_broken_stream_is_replaced_until_the_job_is_over() {
    let (fake, client) = fake(vec![
        broken(vec![snapshot(JobState::Running)]),
        broken(vec![]),
        whole(vec![snapshot(JobState::Running)]),
        whole(vec![snapshot(JobState::Running), update(JobState::Succeeded)]),
    ])
    .await;
    let mut follow = Follow::new(&client, request(false));
    let (mut out, _) = captured(Format::Table);
    let mut seen = Vec::new();
    while let Some(event) = follow.next(&mut out).await.unwrap() {
        seen.push(match event.happened {
            Happened::Snapshot(job) => job.status.unwrap().state(),
            Happened::Update(status) => status.state(),
            Happened::Logs(_) | Happened::Heartbeat => continue,
        });
    }
    let running = JobState::Running;
    assert_eq!(seen, [running, running, running, JobState::Succeeded]);
    assert_eq!(fake.watches().len(), 4);
}

#[tokio::test]
async fn lines_are_neither_repeated_nor_lost_over_a_break() {
    let (fake, client) = fake(vec![
        broken(vec![snapshot(JobState::Running), logs(&[1, 2])]),
        // This one repeats a line.
        broken(vec![snapshot(JobState::Running), logs(&[2, 3])]),
        // The job is over, but its last lines come after that.
        broken(vec![snapshot(JobState::Succeeded)]),
        whole(vec![snapshot(JobState::Succeeded), logs(&[9])]),
    ])
    .await;
    let mut follow = Follow::new(&client, request(true));
    let (mut out, _) = captured(Format::Table);
    let mut lines = Vec::new();
    while let Some(event) = follow.next(&mut out).await.unwrap() {
        if let Happened::Logs(logs) = event.happened {
            lines.extend(logs.entries.iter().map(|entry| entry.sequence));
        }
    }
    assert_eq!(lines, [1, 2, 3, 9]);
    let asked: Vec<_> = fake.watches().iter().map(|watch| watch.after_log_sequence).collect();
    assert_eq!(asked, [0, 2, 3, 3]);
}

#[tokio::test]
async fn a_job_that_is_not_there_ends_the_watch() {
    let (_fake, client) = fake(vec![vec![Err(Status::not_found("there is no job j"))]]).await;
    let (mut out, _) = captured(Format::Table);
    let Err(failure) = Follow::new(&client, request(false)).next(&mut out).await else {
        panic!("there is no such job");
    };
    assert_eq!(failure.exit(), crate::cli::exit::Exit::NotFound);
}

#[tokio::test]
async fn the_time_runs_out_while_the_job_goes_on() {
    let (_fake, client) = fake(vec![whole(vec![snapshot(JobState::Running)])]).await;
    let limit = Duration::from_millis(50);
    let mut follow = Follow::new(&client, request(false)).within(Some(limit));
    let (mut out, _) = captured(Format::Table);
    let failure = loop {
        match follow.next(&mut out).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the job is not over"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.exit(), crate::cli::exit::Exit::TimedOut);
    assert!(failure.lines()[1].contains("it goes on"));
}
