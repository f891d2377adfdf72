//! `jobplane history`: how jobs ended, and whether they took as long as usual.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::filter::Filter;
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{Context, describe, format, live, pages};
use crate::domain::Timestamp;
use crate::proto::v1::{
    GetSummaryRequest, Job, JobFilter, JobState, JobStatus, ListJobsRequest, Progress,
};

#[cfg(test)]
mod tests;

/// Jobs that are shown if nobody says how many.
const USUAL: usize = 20;
/// A run that takes so much longer than usual stands out.
const SLOW: f64 = 50.0;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of this type; more with --type
    #[arg(value_name = "TYPE")]
    job_type: Option<String>,
    /// Only those that failed
    #[arg(long, conflicts_with = "states")]
    failed: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    time: Limit,
}

/// Shows the jobs, the newest first.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    if args.failed {
        args.filter.without_states("--failed")?;
    }
    let filter = Some(filter(&args, context.now())?);
    let client = context.connect(args.time.timeout).await?;
    let wanted = args.filter.at_most(USUAL);
    let request = ListJobsRequest { filter, ..ListJobsRequest::default() };
    let answer = pages::first(&client, request, wanted).await?;
    match out.format() {
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.jobs.iter().try_for_each(|job| out.message(job))?,
        Format::Table if answer.jobs.is_empty() => out.note(&nothing(&args))?,
        Format::Table => {
            let typical = typical(&client, &answer.jobs).await?;
            let rows: Vec<_> = answer.jobs.iter().map(|job| row(job, &typical, out)).collect();
            table(out.wide()).write(&rows, out)?;
            pages::tell_more(&answer, out)?;
        }
    }
    Ok(Exit::Ok)
}

/// Jobs that are over; since means since when they are.
fn filter(args: &Args, now: Timestamp) -> Result<JobFilter, Failure> {
    let mut filter = args.filter.wire_ended(now)?;
    filter.types.extend(args.job_type.clone());
    if args.failed {
        filter.states = vec![JobState::Failed.into()];
    } else if filter.states.is_empty() {
        let over = [JobState::Succeeded, JobState::Failed, JobState::Cancelled, JobState::Skipped];
        filter.states = over.map(i32::from).to_vec();
    }
    Ok(filter)
}

fn nothing(args: &Args) -> String {
    let mut filter = args.filter.clone();
    filter.types.extend(args.job_type.clone());
    filter.states.extend(args.failed.then_some(JobState::Failed));
    let next = "see what runs with `jobplane active`, or ask for more with fewer flags";
    format!("jobplane: no job that is over{}; {next}", filter.words())
}

/// How long each type usually runs: the median of its last 20 jobs that succeeded.
pub(super) async fn typical(
    client: &Client,
    jobs: &[Job],
) -> Result<BTreeMap<String, Duration>, Failure> {
    let types: BTreeSet<String> = jobs.iter().map(|job| job_type(job).to_owned()).collect();
    let request =
        GetSummaryRequest { types: types.into_iter().collect(), ..GetSummaryRequest::default() };
    let call = client.request(request);
    let answer = client.ask("get the usual run times", client.jobs().get_summary(call)).await?;
    let known = answer.summaries.into_iter().filter_map(|summary| {
        let usual = format::duration(&summary.typical_run_duration?);
        Some((summary.r#type, usual))
    });
    Ok(known.collect())
}

fn job_type(job: &Job) -> &str {
    job.spec.as_ref().map_or("", |spec| &spec.r#type)
}

pub(super) fn table(wide: bool) -> Table {
    let mut titles = vec![
        "JOB", "<TYPE", "STATE", "STARTED", ">RAN", ">CHANGE", ">ITEMS", ">OK", ">FAILED", ">RATE",
    ];
    if wide {
        titles.extend(["ENDED", ">WAITED", "ATTEMPT", "QUEUE", "OWNER", "WORKER"]);
    }
    titles.push("~WHY");
    Table::new(&titles).spare(&["RATE", "OK", "STARTED", "FAILED", "CHANGE", "ITEMS"])
}

pub(super) fn row(job: &Job, typical: &BTreeMap<String, Duration>, out: &Out) -> Vec<Cell> {
    let status = job.status.clone().unwrap_or_default();
    let progress = status.progress.clone().unwrap_or_default();
    let moment = |wire: Option<&prost_types::Timestamp>| {
        wire.map(|time| format::moment(time, 0)).unwrap_or_default()
    };
    let id = if out.room().is_some() { live::short_id(&job.id) } else { job.id.clone() };
    let change = change(&status, typical.get(job_type(job)).copied());
    let slow = change.is_some_and(|change| change >= SLOW);
    let failed = progress.failed > 0;
    let mut cells = vec![
        Cell::from(id),
        Cell::from(job_type(job)),
        Cell::from(describe::state(&status)).painted(Paint::of_state(status.state())),
        Cell::from(moment(status.start_time.as_ref())),
        Cell::from(format::span_or_nothing(status.run_duration.as_ref())),
        Cell::from(change.map(said).unwrap_or_default()).painted(slow.then_some(Paint::Yellow)),
        Cell::from(live::amount(&progress)),
        Cell::from(counted(&progress, progress.succeeded)),
        Cell::from(counted(&progress, progress.failed)).painted(failed.then_some(Paint::Red)),
        Cell::from(format::rate(progress.average_rate_per_second).unwrap_or_default()),
    ];
    if out.wide() {
        cells.extend([
            Cell::from(moment(status.end_time.as_ref())),
            Cell::from(format::span_or_nothing(status.wait_duration.as_ref())),
            Cell::from(format!("{}/{}", status.attempt, status.max_attempts)),
            Cell::from(status.effective.as_ref().map_or("", |effective| &effective.queue)),
            Cell::from(job.spec.as_ref().map_or("", |spec| &spec.owner)),
            Cell::from(&status.worker_id),
        ]);
    }
    cells.push(Cell::blank(&describe::why_ended(&status)));
    cells
}

/// A count of items; nothing if the worker tells none apart.
fn counted(progress: &Progress, count: i64) -> String {
    let told = progress.succeeded > 0 || progress.failed > 0;
    if told { count.to_string() } else { String::new() }
}

/// By how many percent a run was longer than usual; shorter is negative.
fn change(status: &JobStatus, typical: Option<Duration>) -> Option<f64> {
    let ran = format::duration(status.run_duration.as_ref()?).as_secs_f64();
    let typical = typical?.as_secs_f64();
    (typical > 0.0).then(|| (ran / typical - 1.0) * 100.0)
}

/// `+12 %`.
fn said(change: f64) -> String {
    match change.round() {
        much if much >= 10_000.0 => ">+9999 %".to_owned(),
        0.0 => "±0 %".to_owned(),
        change => format!("{change:+.0} %"),
    }
}
