//! `jobplane active`: what runs now and how far it is.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::filter::Filter;
use super::live::{self, Row, Style};
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{Context, format, names, pages};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobFilter, JobState, ListJobsRequest};

/// Jobs that are shown if nobody says how many.
const USUAL: usize = 100;
/// The width of a bar.
const BAR: usize = 16;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also those that wait
    #[arg(long, conflicts_with = "states")]
    pending: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    time: Limit,
}

/// Shows the jobs, those that run the longest first.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    if args.pending {
        args.filter.without_states("--pending")?;
    }
    let filter = Some(filter(&args, context.now())?);
    let client = context.connect(args.time.timeout).await?;
    let request = ListJobsRequest { filter, ..ListJobsRequest::default() };
    let mut answer = pages::first(&client, request, args.filter.at_most(USUAL)).await?;
    answer.jobs.sort_by_cached_key(order);
    match out.format() {
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.jobs.iter().try_for_each(|job| out.message(job))?,
        Format::Table if answer.jobs.is_empty() => out.note(&nothing(&args))?,
        Format::Table => {
            let now = context.now();
            let rows: Vec<_> = answer.jobs.iter().map(|job| cells(job, now, out)).collect();
            table(out.wide()).write(&rows, out)?;
            pages::tell_more(&answer, out)?;
        }
    }
    Ok(Exit::Ok)
}

fn filter(args: &Args, now: Timestamp) -> Result<JobFilter, Failure> {
    let mut filter = args.filter.wire(now)?;
    if filter.states.is_empty() {
        filter.states.push(JobState::Running.into());
        filter.states.extend(args.pending.then_some(i32::from(JobState::Pending)));
    }
    Ok(filter)
}

fn nothing(args: &Args) -> String {
    let next = if args.pending || args.filter.has_states() {
        "see what ended with `jobplane history`"
    } else {
        "see what waits with `jobplane active --pending`, what ended with `jobplane history`"
    };
    format!("jobplane: no active job{}; {next}", args.filter.words())
}

/// Running ones first, by their start; then the others by their creation, which their ids follow.
fn order(job: &Job) -> (bool, Option<Timestamp>, String) {
    let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
    let running = live::state(job) == JobState::Running;
    (!running, started.filter(|_| running).map(format::timestamp), job.id.clone())
}

/// The table of jobs that are not over.
#[must_use]
pub fn table(wide: bool) -> Table {
    let mut titles = vec![
        "JOB", "<TYPE", "STATE", "DONE", ">ITEMS", ">RATE", ">ETA", ">TIME", "<WORKER", "~NOW",
    ];
    if wide {
        titles.extend(["QUEUE", "PRIORITY", "OWNER", "ATTEMPT", ">CPU", ">MEMORY"]);
    }
    Table::new(&titles).spare(&["WORKER", "TIME", "RATE", "DONE", "STATE"])
}

/// The row of a job. Where people watch its id is short; commands take that too.
pub fn cells(job: &Job, now: Timestamp, out: &Out) -> Vec<Cell> {
    let id = if out.room().is_some() { live::short_id(&job.id) } else { job.id.clone() };
    let row = Row::of(job, now);
    let bar = row.percent.map(|percent| live::bar(percent, BAR, Style::here()));
    let silent = row.state == JobState::Running && row.rate.is_empty();
    let mut cells = vec![
        Cell::from(id),
        Cell::from(row.job_type),
        Cell::from(names::word::<JobState>(row.state.into())).painted(Paint::of_state(row.state)),
        Cell::blank(&bar.unwrap_or_default()).painted(Paint::of_state(row.state)),
        Cell::blank(&row.amount),
        Cell::blank(&row.rate),
        Cell::blank(&row.eta),
        Cell::blank(&row.age),
        Cell::blank(&row.worker),
        Cell::blank(&row.doing).painted(silent.then_some(Paint::Dim)),
    ];
    if out.wide() {
        cells.extend(wide(job));
    }
    cells
}

fn wide(job: &Job) -> [Cell; 6] {
    let status = job.status.clone().unwrap_or_default();
    let effective = status.effective.clone().unwrap_or_default();
    let usage = status.resource_usage.unwrap_or_default();
    let memory = usage.memory_bytes.map(format::bytes);
    [
        Cell::from(&effective.queue),
        Cell::from(names::word::<crate::proto::v1::Priority>(effective.priority)),
        Cell::from(job.spec.as_ref().map_or("", |spec| spec.owner.as_str())),
        Cell::from(format!("{}/{}", status.attempt, status.max_attempts)),
        Cell::from(usage.cpu_percent.map(|cpu| format!("{cpu:.0}%")).unwrap_or_default()),
        Cell::from(memory.unwrap_or_default()),
    ]
}
