//! `jobplane purge`: takes old jobs away.

use std::time::Duration;

use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, format, names};
use crate::proto::v1::{JobState, PurgeJobsRequest, PurgeJobsResponse};

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep what ended within so many days, 1 to 365, whatever types and jobs say [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=365))]
    days: Option<u16>,
    /// Only jobs in any of these states: succeeded, failed, cancelled, skipped
    #[arg(long = "state", short, value_name = "STATE", value_delimiter = ',')]
    #[arg(value_parser = names::values::<JobState>(), hide_possible_values = true)]
    states: Vec<JobState>,
    /// Count them, and take nothing away
    #[arg(long)]
    dry_run: bool,
    /// Why, for people
    #[arg(long, default_value_t, hide_default_value = true)]
    reason: String,
    /// Stop waiting after this long, exit code 124: the purge goes on [default: wait to its end]
    #[arg(long, value_name = "DURATION", value_parser = super::parse::duration)]
    #[arg(help_heading = super::GLOBAL)]
    timeout: Option<Duration>,
}

/// Asks for the purge, waits for its end, and tells what came of it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.timeout).await?;
    let dry_run = args.dry_run;
    let request = PurgeJobsRequest {
        days_to_keep: args.days.unwrap_or_default().into(),
        states: args.states.iter().map(|state| (*state).into()).collect(),
        validate_only: dry_run,
        reason: args.reason,
    };
    let doing = if dry_run { "count old jobs" } else { "take old jobs away" };
    let request = client.long_request(request);
    let mut admin = client.admin();
    let call = admin.purge_jobs(request);
    let purge = async {
        if dry_run {
            client.ask_at_length(doing, call).await
        } else {
            client.change_at_length(doing, call).await.map_err(advise)
        }
    };
    let answer = tokio::select! {
        answer = purge => answer?,
        interrupted = tokio::signal::ctrl_c(), if !dry_run => {
            interrupted.map_err(Failure::Output)?;
            out.note(&format!("jobplane: the purge goes on to its end, see `{AUDIT}`"))?;
            return Ok(Exit::Interrupted);
        }
    };
    match out.format() {
        Format::Table => out.line(&said(&answer, dry_run))?,
        Format::Json | Format::Jsonl => out.message(&answer)?,
    }
    Ok(Exit::Ok)
}

/// Where a purge that nobody saw the end of is looked up.
const AUDIT: &str = "jobplane audit --action purge_jobs";

/// What was taken away before it broke off is gone.
fn advise(mut failure: Failure) -> Failure {
    if let Failure::Refused(refusal) = &mut failure
        && refusal.exit == Exit::Unreachable
        && refusal.passing
    {
        refusal.advise(
            "part of it may have been done: see `jobplane audit --action purge_jobs`; to purge \
             again takes what is left",
        );
    }
    failure
}

fn said(answer: &PurgeJobsResponse, dry_run: bool) -> String {
    let PurgeJobsResponse { count, cutoff_time } = answer;
    let jobs = if *count == 1 { "job" } else { "jobs" };
    let would = if dry_run { "would be " } else { "" };
    let before = cutoff_time.map(|cutoff| format::moment(&cutoff, 0)).unwrap_or_default();
    format!("{count} {jobs} that ended before {before} {would}taken away")
}
