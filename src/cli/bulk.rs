//! `cancel`, `retry` and `delete` of all jobs that match a filter: counted and shown first, asked for if they are
//! many, then done by the server at a pace.

use std::time::Duration;

use serde_json::Value;

use super::client::Client;
use super::exit::{Exit, Failure};
use super::filter::{self, Term};
use super::output::{Format, Out};
use super::{Context, confirm, describe, format, json, parse, submit};
use crate::proto::v1::{
    BulkCancelJobsRequest, BulkDeleteJobsRequest, BulkRetryJobsRequest, Job, JobFilter,
};

/// More jobs than this are asked for: so many fit on a screen or two.
const ASKED_ABOVE: i64 = 100;

/// The longest pause before a command of which nobody knows whether it was begun is sent again.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Which jobs, if they are not named, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "All jobs that match")]
#[group(skip)]
pub struct Args {
    /// All jobs that match: KEY=VALUE, repeated for several, commas for any of: type, category, state, queue, label
    /// (label=env=prod), owner, subject, external-id, worker, created-by, trigger, id, since, until, ended-since,
    /// ended-until
    #[arg(long = "filter", value_name = "KEY=VALUE", value_parser = Term::parse)]
    #[arg(conflicts_with = "jobs")]
    filter: Vec<Term>,
    /// Only count and show what matches
    #[arg(long, requires = "filter")]
    dry_run: bool,
    /// Refuse if more jobs match than this [default: as many as match when it is asked]
    #[arg(long = "expect-max", value_name = "N", requires = "filter")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    expect_max: Option<u32>,
    /// At most so many jobs a second [default: 500]
    #[arg(long, value_name = "N", requires = "filter")]
    rate: Option<f64>,
    /// Do not ask before more than 100 jobs
    #[arg(long, short = 'y', requires = "filter")]
    yes: bool,
    /// Watch it until it is done
    #[arg(long, requires = "filter")]
    wait: bool,
}

/// What is done to them.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// They are told to stop, within this time if they run.
    Cancel {
        /// As long as the server thinks right if unset.
        grace: Option<Duration>,
    },
    /// They run again.
    Retry,
    /// They go.
    Delete,
}

impl Action {
    const fn verb(self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancel",
            Self::Retry => "retry",
            Self::Delete => "delete",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Cancel { .. } => "cancelled",
            Self::Retry => "retried",
            Self::Delete => "deleted",
        }
    }
}

/// What the three requests have in common.
#[derive(Clone)]
struct Wish {
    filter: JobFilter,
    reason: String,
    expected_max: i64,
    rate: f64,
    validate_only: bool,
    /// Asked again under it, it is the same command.
    request_id: String,
}

/// What the three answers have in common.
struct Answer {
    /// Jobs that match.
    count: i64,
    /// Whether there are more.
    capped: bool,
    /// Some of them.
    sample: Vec<Job>,
    /// The job that does it.
    job: Option<Job>,
    /// All of it, for programs.
    whole: Value,
}

impl Args {
    /// Whether jobs are meant by a filter.
    #[must_use]
    pub fn is_meant(&self) -> bool {
        !self.filter.is_empty()
    }
}

/// Counts, asks, and has it done.
pub async fn run(
    action: Action,
    args: Args,
    reason: String,
    timeout: Option<Duration>,
    context: &Context,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let filter = filter::join(&args.filter, context.now())?;
    let client = context.connect(timeout).await?;
    let rate = args.rate.unwrap_or_default();
    let wish = |filter: JobFilter, expected_max, validate_only| {
        let (reason, request_id) = (reason.clone(), uuid::Uuid::now_v7().to_string());
        Wish { filter, reason, expected_max, rate, validate_only, request_id }
    };
    let seen = ask(&client, action, wish(filter.clone(), 0, true)).await?;
    let (count, capped) = (seen.count, seen.capped);
    if args.dry_run || count == 0 {
        match out.format() {
            Format::Table if args.dry_run => {
                show(&seen.sample, count, context, out)?;
                out.line(&format!("{} would be {}", plural(count, capped), action.done()))?;
            }
            Format::Table => out.note("jobplane: no job matches: nothing was done")?,
            Format::Json | Format::Jsonl => out.value(&seen.whole)?,
        }
        return Ok(Exit::Ok);
    }
    // More than was expected the server refuses: nobody is asked about that.
    let too_many = args.expect_max.is_some_and(|most| count > most.into());
    if count > ASKED_ABOVE && !args.yes && !too_many {
        let (verb, jobs) = (action.verb(), plural(count, capped));
        if out.format() == Format::Table {
            show(&seen.sample, count, context, out)?;
            out.flush()?;
        }
        if !confirm::agreed(&format!("{verb} {jobs}"), &format!("{jobs} match"), verb)? {
            out.note("jobplane: nothing was done")?;
            return Ok(Exit::Ok);
        }
    }
    // What comes to match after it was counted is more than was agreed to, unless that was said.
    let expected = args.expect_max.map(i64::from);
    let expected = expected.or((!capped).then_some(count)).ok_or_else(|| {
        Failure::usage(
            "--expect-max",
            format!("more than {count} jobs match: say how many at most"),
        )
    })?;
    let wish = wish(filter, expected, false);
    let answer = match ask(&client, action, wish.clone()).await {
        // Nobody knows whether it was begun. It has an id, so to ask again does not begin it twice.
        Err(Failure::Refused(refusal)) if refusal.passing => {
            tokio::time::sleep(refusal.retry_after.unwrap_or_default().min(PAUSE_MAX)).await;
            ask(&client, action, wish).await?
        }
        answer => answer?,
    };
    let id = answer.job.map(|job| job.id).unwrap_or_default();
    match out.format() {
        Format::Table => {
            let jobs = plural(answer.count, false);
            out.line(&format!("{id}  {} {jobs}", action.verb()))?;
            if !args.wait {
                out.note(&format!(
                    "jobplane: follow it with `jobplane watch {id}`; see all such commands with \
                     `jobplane list -t jobplane.bulk`"
                ))?;
            }
        }
        Format::Json | Format::Jsonl if !args.wait => out.value(&answer.whole)?,
        Format::Json | Format::Jsonl => {}
    }
    out.flush()?;
    if !args.wait {
        return Ok(Exit::Ok);
    }
    tokio::select! {
        ended = submit::wait(&client, id.clone(), timeout, context, out) => ended,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(Failure::Output)?;
            out.note(&format!("jobplane: it goes on; stop it with `jobplane cancel {id}`"))?;
            Ok(Exit::Interrupted)
        }
    }
}

async fn ask(client: &Client, action: Action, wish: Wish) -> Result<Answer, Failure> {
    let Wish { filter, reason, expected_max, rate, validate_only, request_id } = wish;
    let verb = action.verb();
    let doing = if validate_only { "count jobs".to_owned() } else { format!("{verb} jobs") };
    let filter = Some(filter);
    // The three calls differ in their names, and a cancel has a grace.
    macro_rules! call {
        ($method:ident, $request:ident $(, $more:ident)?) => {{
            let request = client.request($request {
                filter,
                reason,
                expected_max,
                rate,
                validate_only,
                request_id,
                $($more,)?
            });
            let mut jobs = client.jobs();
            let call = jobs.$method(request);
            let answer = client.ask_or_change(!validate_only, &doing, call).await?;
            let whole = json::value(&answer)?;
            let (count, capped) = (answer.count, answer.count_capped);
            Answer { count, capped, sample: answer.sample, job: answer.job, whole }
        }};
    }
    Ok(match action {
        Action::Cancel { grace } => {
            let grace = grace.map(parse::wire_duration);
            call!(bulk_cancel_jobs, BulkCancelJobsRequest, grace)
        }
        Action::Retry => call!(bulk_retry_jobs, BulkRetryJobsRequest),
        Action::Delete => call!(bulk_delete_jobs, BulkDeleteJobsRequest),
    })
}

fn plural(count: i64, capped: bool) -> String {
    let more = if capped { "more than " } else { "" };
    let jobs = if count == 1 { "job" } else { "jobs" };
    format!("{more}{} {jobs}", format::count(count))
}

/// Some of those that match, and how many more there are.
fn show(sample: &[Job], count: i64, context: &Context, out: &mut Out) -> Result<(), Failure> {
    for job in sample {
        let status = job.status.clone().unwrap_or_default();
        let kind = job.spec.as_ref().map(|spec| format::plain(&spec.r#type)).unwrap_or_default();
        let line = describe::line(&status, context.now(), out.colour());
        out.line(&format!("{}  {kind}  {line}", job.id))?;
    }
    let left = usize::try_from(count).unwrap_or(usize::MAX).saturating_sub(sample.len());
    if left > 0 && !sample.is_empty() {
        out.line(&format!("… and {left} more"))?;
    }
    Ok(())
}
