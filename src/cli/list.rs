//! `jobplane list`: jobs, the newest first.

use super::Context;
use super::client::{Client, Limit};
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{describe, format, names, parse};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobFilter, JobState, JobView, ListJobsRequest, ListJobsResponse};

#[cfg(test)]
mod tests;

/// The server gives no larger pages.
const PAGE_MAX: usize = 1_000;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of any of these types; may be repeated, or separated by commas
    #[arg(long = "type", short, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Of any of these categories
    #[arg(long = "category", value_name = "CATEGORY", value_delimiter = ',')]
    categories: Vec<String>,
    /// In any of these states: pending, running, succeeded, failed, cancelled, skipped
    #[arg(long = "state", short, value_name = "STATE", value_delimiter = ',')]
    #[arg(value_parser = names::parse::<JobState>)]
    states: Vec<JobState>,
    /// In any of these queues
    #[arg(long = "queue", short, value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// With every one of these labels
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    labels: Vec<(String, String)>,
    /// For this owner
    #[arg(long, default_value_t, hide_default_value = true)]
    owner: String,
    /// Created since: so long ago (2h, 7d), or a moment (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = parse::since)]
    since: Option<parse::Since>,
    /// At most so many jobs
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// All jobs that match
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// With payload, result and error details, in the JSON formats
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    time: Limit,
}

/// Lists the jobs page by page.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.time.timeout).await?;
    let wanted = if args.all { usize::MAX } else { args.limit as usize };
    let mut listing = Listing::new(context.now());
    let mut request = request(&args, context.now());
    loop {
        let left = wanted - listing.shown;
        request.page_size = i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX);
        let page = page(&client, request.clone()).await?;
        request.page_token.clone_from(&page.next_page_token);
        listing.take(page, out)?;
        if request.page_token.is_empty() || listing.shown >= wanted {
            break;
        }
    }
    listing.end(out)?;
    Ok(Exit::Ok)
}

async fn page(client: &Client, request: ListJobsRequest) -> Result<ListJobsResponse, Failure> {
    client.ask("list jobs", client.jobs().list_jobs(client.request(request))).await
}

fn request(args: &Args, now: Timestamp) -> ListJobsRequest {
    let filter = JobFilter {
        types: args.types.clone(),
        categories: args.categories.clone(),
        states: args.states.iter().map(|state| (*state).into()).collect(),
        queues: args.queues.clone(),
        labels: args.labels.iter().cloned().collect(),
        owner: args.owner.clone(),
        create_time_after: args.since.map(|since| parse::wire_moment(since.moment(now))),
        ..JobFilter::default()
    };
    let view = if args.full { JobView::Full } else { JobView::Basic };
    ListJobsRequest { filter: Some(filter), view: view.into(), ..ListJobsRequest::default() }
}

/// What was listed so far.
struct Listing {
    now: Timestamp,
    table: Table,
    /// The pages as one answer; its jobs are kept for `json` alone, which is written at the end.
    answer: ListJobsResponse,
    shown: usize,
}

impl Listing {
    fn new(now: Timestamp) -> Self {
        let table = Table::new(&[
            "JOB",
            "TYPE",
            "STATE",
            ">PROGRESS",
            "ATTEMPT",
            "QUEUE",
            "AGE",
            "RAN",
            "WORKER",
        ]);
        Self { now, table, answer: ListJobsResponse::default(), shown: 0 }
    }

    fn take(&mut self, page: ListJobsResponse, out: &mut Out) -> Result<(), Failure> {
        self.shown += page.jobs.len();
        let jobs = page.jobs;
        self.answer.next_page_token = page.next_page_token;
        self.answer.total_size = page.total_size;
        self.answer.total_size_capped = page.total_size_capped;
        match out.format() {
            Format::Json => self.answer.jobs.extend(jobs),
            Format::Jsonl => jobs.iter().try_for_each(|job| out.message(job))?,
            Format::Table => {
                let rows: Vec<_> = jobs.iter().map(|job| row(job, self.now)).collect();
                self.table.write(&rows, out)?;
            }
        }
        out.flush()
    }

    fn end(self, out: &mut Out) -> Result<(), Failure> {
        match out.format() {
            Format::Json => out.message(&self.answer),
            Format::Table if !self.answer.next_page_token.is_empty() => {
                let total = format::count(self.answer.total_size);
                let more = if self.answer.total_size_capped { " or more" } else { "" };
                out.note(&format!(
                    "jobplane: {} of {total}{more} jobs shown; see more with --limit N or --all",
                    self.shown
                ))
            }
            Format::Table | Format::Jsonl => Ok(()),
        }
    }
}

fn row(job: &Job, now: Timestamp) -> Vec<Cell> {
    let status = job.status.clone().unwrap_or_default();
    let progress = status.progress.clone().unwrap_or_default();
    let far = match progress.percent {
        Some(percent) => format::percent(percent),
        None if progress.completed > 0 => format::count(progress.completed),
        None => String::new(),
    };
    let far = match describe::silence(&status, now) {
        Some(silent) => format!("{silent}  {far}").trim_end().to_owned(),
        None => far,
    };
    let queue = status.effective.as_ref().map_or("", |effective| effective.queue.as_str());
    let created = status.create_time.as_ref();
    let age = created.map(|time| format::span(now.since(format::timestamp(time))));
    vec![
        Cell::from(&job.id),
        Cell::from(job.spec.as_ref().map_or("", |spec| spec.r#type.as_str())),
        Cell::from(describe::state(&status)).painted(Paint::of_state(status.state())),
        Cell::from(far),
        Cell::from(format!("{}/{}", status.attempt, status.max_attempts)),
        Cell::from(queue),
        Cell::from(age.unwrap_or_default()),
        Cell::from(format::span_or_nothing(status.run_duration.as_ref())),
        Cell::from(&status.worker_id),
    ]
}
