//! `jobplane sweep`: finds jobs that are stuck, and has them stopped.

use std::time::Duration;

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, format, names, parse};
use crate::proto::v1::{SweepBasis, SweepStuckJobsRequest, SweepStuckJobsResponse};

/// What counts as stuck.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long is too long, in whole minutes: 30m to 24h [default: 2h]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    threshold: Option<Duration>,
    /// What running jobs are judged by: the time since their start, or since they last showed progress
    #[arg(long, value_name = "BASIS", default_value = "start")]
    #[arg(value_parser = names::values::<SweepBasis>())]
    basis: SweepBasis,
    /// Jobs that have been ready and waiting for as long fail, too
    #[arg(long)]
    include_pending: bool,
    /// Only jobs of any of these types
    #[arg(long = "type", short, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Why, for people and for the workers
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    limit: Limit,
}

/// Sweeps.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let request = client.request(SweepStuckJobsRequest {
        threshold: args.threshold.map(parse::wire_duration),
        basis: args.basis.into(),
        include_pending: args.include_pending,
        types: args.types,
        validate_only: args.dry_run,
        reason: args.reason,
    });
    let mut admin = client.admin();
    let call = admin.sweep_stuck_jobs(request);
    let answer = if args.dry_run {
        client.ask("look for stuck jobs", call).await?
    } else {
        client.change("sweep stuck jobs", call).await?
    };
    match out.format() {
        Format::Table => show(&answer, args.dry_run, context, out)?,
        Format::Json | Format::Jsonl => out.message(&answer)?,
    }
    Ok(Exit::Ok)
}

fn show(
    answer: &SweepStuckJobsResponse,
    dry_run: bool,
    context: &Context,
    out: &mut Out,
) -> Result<(), Failure> {
    out.lines(answer.job_ids.iter().cloned())?;
    out.note(&format!("jobplane: {}", said(answer, dry_run)))?;
    if let Some(cutoff) = &answer.cutoff_time {
        let (moment, age) = (format::moment(cutoff, 0), format::age(cutoff, context.now()));
        out.note(&format!("  only what stood still since {moment} ({age}) counts"))?;
    }
    Ok(())
}

fn said(answer: &SweepStuckJobsResponse, dry_run: bool) -> String {
    let jobs = |count: i64| if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") };
    let SweepStuckJobsResponse { count, failed, retried, notified, .. } = answer;
    if *count == 0 {
        return "no job is stuck".to_owned();
    }
    let parts = [
        (failed, "fails for good", "fail for good"),
        (retried, "is tried again", "are tried again"),
        (notified, "runs on, and is told of", "run on, and are told of"),
    ];
    let would_parts = ["fail for good", "be tried again", "run on, and be told of"];
    let parts = parts.iter().zip(would_parts).filter(|((count, ..), _)| **count > 0);
    let parts = parts.map(|((count, one, many), would_do)| match count {
        _ if dry_run => format!("{count} would {would_do}"),
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    });
    let parts: Vec<String> = parts.collect();
    let listed = answer.job_ids.len();
    let more = usize::try_from(*count).is_ok_and(|count| count > listed);
    let more = if more { format!(" (the first {listed} above)") } else { String::new() };
    let is = match (dry_run, *count) {
        (true, 1) => "is",
        (true, _) => "are",
        (false, 1) => "was",
        (false, _) => "were",
    };
    format!("{} {is} stuck: {}{more}", jobs(*count), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_told_by_its_parts() {
        let mut answer = SweepStuckJobsResponse {
            job_ids: vec!["a".to_owned(), "b".to_owned()],
            count: 3,
            failed: 2,
            retried: 1,
            ..SweepStuckJobsResponse::default()
        };
        let text = said(&answer, true);
        assert_eq!(
            text,
            "3 jobs are stuck: 2 would fail for good, 1 would be tried again (the first 2 above)"
        );
        (answer.count, answer.failed, answer.retried) = (1, 1, 0);
        assert_eq!(said(&answer, false), "1 job was stuck: 1 fails for good");
        assert_eq!(said(&SweepStuckJobsResponse::default(), false), "no job is stuck");
    }
}
