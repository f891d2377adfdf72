//! `jobplane status`: one job in one line, and with `--exit-code` in the exit code.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, describe, find, format, parse};
use crate::proto::v1::{GetJobRequest, Job, JobState, JobView};

#[cfg(test)]
mod tests;

/// What the exit code says of the state.
const CODES: &str = "With --exit-code: 0 succeeded, 1 failed, 10 pending, 11 running, 12 cancelled, \
     13 skipped; else as ever";

/// Which job.
#[derive(Debug, clap::Args)]
#[command(after_help = CODES)]
pub struct Args {
    /// The id of the job, or 8 letters or more of its beginning or end
    #[arg(value_name = "JOB", value_parser = parse::job_id)]
    job: String,
    /// End with a code that tells the state
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the line.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let job_id = find::job(&client, &args.job).await?;
    let doing = format!("get job {job_id}");
    let request = GetJobRequest { job_id, view: JobView::Basic.into() };
    let answer = client.ask(&doing, client.jobs().get_job(client.request(request))).await?;
    let job = answer.job.clone().unwrap_or_default();
    match out.format() {
        Format::Table => out.line(&line(&job, context, out))?,
        Format::Json => out.message(&answer)?,
        Format::Jsonl => out.message(&job)?,
    }
    Ok(if args.exit_code { exit(super::live::state(&job)) } else { Exit::Ok })
}

fn line(job: &Job, context: &Context, out: &Out) -> String {
    let status = job.status.clone().unwrap_or_default();
    let said = describe::line(&status, context.now(), out.colour());
    let job_type = job.spec.as_ref().map_or("", |spec| &spec.r#type);
    format!("{}  {}  {said}", job.id, format::plain(job_type))
}

/// The code of a state. Scripts rely on it: it never changes its meaning.
fn exit(state: JobState) -> Exit {
    match state {
        JobState::Succeeded => Exit::Ok,
        JobState::Failed => Exit::JobFailed,
        JobState::Pending => Exit::Pending,
        JobState::Running => Exit::Running,
        JobState::Cancelled => Exit::Cancelled,
        JobState::Skipped => Exit::Skipped,
        // A state of a newer server.
        JobState::Unspecified => Exit::Unreachable,
    }
}
