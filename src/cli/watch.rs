//! `jobplane watch`: follows one job until it is over, or all that match.

use std::time::Duration;

use super::Context;
use super::client::{Client, Follow, Happened, Limit};
use super::exit::{Exit, Failure};
use super::filter::Filter;
use super::output::{Format, Out};
use super::{describe, find, parse};
use crate::proto::v1::{JobState, JobStatus, JobView, WatchJobRequest};

mod frame;
mod many;

/// How it ends.
const ENDS: &str = "With JOB: ends when the job is over, with 0 if it succeeded, else 1. Without: goes on until Ctrl-C, \
     which ends it with 0; with --until-done it ends with 0 when all that ended did well, else 1";

/// Which job, or which jobs.
#[derive(Debug, clap::Args)]
#[command(after_help = ENDS)]
pub struct Args {
    /// The id of a job, or 8 letters or more of its beginning or end; without it, all jobs that match
    #[arg(value_name = "JOB", value_parser = parse::job_id, conflicts_with = "Filter")]
    job: Option<String>,
    /// At most one update in this time [default: 100ms for a job, 250ms for many]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    interval: Option<Duration>,
    /// End when no job that matches is left to be done
    #[arg(long, conflicts_with = "job")]
    until_done: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    limit: Limit,
}

/// Follows the job, or all that match.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let filter = args.filter.wire(context.now())?;
    let client = context.connect(args.limit.timeout).await?;
    let Some(job) = &args.job else {
        return many::run(&args, filter, &client, context, out).await;
    };
    let job = find::job(&client, job).await?;
    let follow = follow(&client, job, args.interval, out);
    show(follow, false, context, out).await
}

/// A watch of a job's status.
pub fn follow<'a>(
    client: &'a Client,
    job_id: String,
    interval: Option<Duration>,
    out: &Out,
) -> Follow<'a> {
    // People see states and figures; programs get everything.
    let view = match out.format() {
        Format::Table => JobView::Basic,
        Format::Json | Format::Jsonl => JobView::Full,
    };
    let min_interval = interval.map(parse::wire_duration);
    let request =
        WatchJobRequest { job_id, view: view.into(), min_interval, ..WatchJobRequest::default() };
    Follow::new(client, request)
}

/// Shows what happens until the job is over; `silent` shows nothing of it.
pub async fn show(
    mut follow: Follow<'_>,
    silent: bool,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let mut last: Option<JobStatus> = None;
    let mut shown = String::new();
    while let Some(event) = follow.next(out).await? {
        if !silent && out.format() != Format::Table {
            out.message(&event.wire)?;
            out.flush()?;
        }
        let status = match event.happened {
            Happened::Snapshot(job) => job.status.unwrap_or_default(),
            Happened::Update(status) => *status,
            // Nothing new of a running job: how long that has lasted is told.
            Happened::Heartbeat => {
                match last.take_if(|status| status.state() == JobState::Running) {
                    Some(status) => status,
                    None => continue,
                }
            }
            Happened::Logs(_) => continue,
        };
        if !silent && out.format() == Format::Table {
            tell(&status, &mut shown, context, out)?;
        }
        last = Some(status);
    }
    Ok(outcome(last.as_ref()))
}

/// One line: drawn over the one before on a terminal, else below it unless it says the same.
fn tell(
    status: &JobStatus,
    shown: &mut String,
    context: &Context,
    out: &mut Out,
) -> Result<(), Failure> {
    let now = context.now();
    let goes_on = matches!(status.state(), JobState::Pending | JobState::Running);
    if out.terminal() && goes_on {
        return out.draw(&describe::drawn(status, now, out.colour()));
    }
    let line = describe::line(status, now, out.colour());
    if line != *shown {
        out.line(&line)?;
        out.flush()?;
        *shown = line;
    }
    Ok(())
}

/// The exit code that tells how the job ended.
fn outcome(status: Option<&JobStatus>) -> Exit {
    match status.map(JobStatus::state) {
        Some(JobState::Succeeded) => Exit::Ok,
        None
        | Some(
            JobState::Unspecified
            | JobState::Pending
            | JobState::Running
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Skipped,
        ) => Exit::JobFailed,
    }
}
