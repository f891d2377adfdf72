//! `jobplane get`: everything about one job.

use super::Context;
use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::{Paint, painted};
use super::table::{Cell, Table};
use super::{describe, find, format, json, parse};
use crate::cli::names::word;
use crate::proto::v1::{
    Attempt, AttemptOutcome, GetJobRequest, GetJobResponse, Job, ListJobAttemptsRequest,
    ListJobAttemptsResponse,
};

mod block;

/// Which job.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id of the job, or 8 letters or more of its beginning or end
    #[arg(value_name = "JOB", value_parser = parse::job_id)]
    job: String,
    /// With its attempts
    #[arg(long)]
    attempts: bool,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the job.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let job_id = find::job(&client, &args.job).await?;
    let doing = format!("get job {job_id}");
    let request = GetJobRequest { job_id: job_id.clone(), ..Default::default() };
    let answer = client.ask(&doing, client.jobs().get_job(client.request(request))).await?;
    let attempts = if args.attempts { Some(attempts(&client, job_id).await?) } else { None };
    match out.format() {
        Format::Table => {
            show(&answer.job.unwrap_or_default(), attempts.as_ref(), context, out)?;
        }
        Format::Json => print(&answer, attempts.as_ref(), out)?,
        Format::Jsonl => out.message(&answer.job.unwrap_or_default())?,
    }
    Ok(Exit::Ok)
}

async fn attempts(client: &Client, job_id: String) -> Result<ListJobAttemptsResponse, Failure> {
    let doing = format!("list the attempts of job {job_id}");
    let request = ListJobAttemptsRequest { job_id };
    client.ask(&doing, client.jobs().list_job_attempts(client.request(request))).await
}

/// One JSON document; the attempts stand beside the job.
fn print(
    answer: &GetJobResponse,
    attempts: Option<&ListJobAttemptsResponse>,
    out: &mut Out,
) -> Result<(), Failure> {
    let mut document = json::value(answer)?;
    if let Some(attempts) = attempts {
        let mut attempts = json::value(attempts)?;
        document["attempts"] = match attempts.get_mut("attempts") {
            Some(attempts) => attempts.take(),
            None => serde_json::json!([]),
        };
    }
    out.value(&document)
}

fn show(
    job: &Job,
    attempts: Option<&ListJobAttemptsResponse>,
    context: &Context,
    out: &mut Out,
) -> Result<(), Failure> {
    let status = job.status.clone().unwrap_or_default();
    for (name, text) in block::facts(job, context.now()) {
        let paint = if name == "state" { Paint::of_state(status.state()) } else { None };
        out.line(&format!("{name:<11} {}", painted(&text, paint, out.colour())))?;
    }
    for (name, value) in block::documents(job) {
        out.line(&format!("{name}:"))?;
        let text = format!("{value:#}");
        out.lines(text.lines().map(|line| format!("  {}", format::plain(line))))?;
    }
    let Some(attempts) = attempts else { return Ok(()) };
    out.line("")?;
    let mut table = Table::new(&[
        "ATTEMPT", ">EPOCH", "OUTCOME", "<WORKER", "STARTED", "RAN", "PROGRESS", "~ERROR",
    ])
    .spare(&["EPOCH", "STARTED", "WORKER"]);
    let rows: Vec<_> = attempts.attempts.iter().map(row).collect();
    table.write(&rows, out)
}

fn row(attempt: &Attempt) -> Vec<Cell> {
    let outcome = match word::<AttemptOutcome>(attempt.outcome) {
        running if running.is_empty() => "RUNNING".to_owned(),
        outcome => outcome,
    };
    let paint = match attempt.outcome() {
        AttemptOutcome::Succeeded => Some(Paint::Green),
        AttemptOutcome::Unspecified => Some(Paint::Cyan),
        AttemptOutcome::Released => Some(Paint::Dim),
        AttemptOutcome::Cancelled => Some(Paint::Yellow),
        AttemptOutcome::Failed
        | AttemptOutcome::LeaseLost
        | AttemptOutcome::TimedOut
        | AttemptOutcome::Stuck
        | AttemptOutcome::ResourceLimit => Some(Paint::Red),
    };
    let started = attempt.start_time.as_ref().map(|time| format::moment(time, 0));
    vec![
        Cell::from(attempt.number.to_string()),
        Cell::from(attempt.lease_epoch.to_string()),
        Cell::from(outcome).painted(paint),
        Cell::from(&attempt.worker_id),
        Cell::from(started.unwrap_or_default()),
        Cell::from(format::span_or_nothing(attempt.run_duration.as_ref())),
        Cell::from(attempt.progress.as_ref().and_then(describe::amount).unwrap_or_default()),
        Cell::from(attempt.error.as_ref().map(describe::error).unwrap_or_default()),
    ]
}
