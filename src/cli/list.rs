//! `jobplane list`: jobs, the newest first.

use super::Context;
use super::client::Limit;
use super::exit::{Exit, Failure};
use super::filter::Filter;
use super::names::word;
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{describe, format, pages};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobView, ListJobsRequest, ListJobsResponse, Priority};

#[cfg(test)]
mod tests;

/// Jobs that are shown if nobody says how many.
const USUAL: usize = 50;

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// All jobs that match [default: the newest 50]
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// With payload, result and error details, in the JSON formats
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    time: Limit,
}

/// Lists the jobs page by page.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let mut request = request(&args, context.now())?;
    let client = context.connect(args.time.timeout).await?;
    let wanted = if args.all { usize::MAX } else { args.filter.at_most(USUAL) };
    let mut listing = Listing::new(context.now(), out.wide());
    loop {
        let left = wanted - listing.shown;
        let page = pages::next(&client, &mut request, left).await?;
        listing.take(page, out)?;
        if request.page_token.is_empty() || listing.shown >= wanted {
            break;
        }
    }
    listing.end(&args.filter, out)?;
    Ok(Exit::Ok)
}

fn request(args: &Args, now: Timestamp) -> Result<ListJobsRequest, Failure> {
    let view = if args.full { JobView::Full } else { JobView::Basic };
    let filter = Some(args.filter.wire(now)?);
    Ok(ListJobsRequest { filter, view: view.into(), ..ListJobsRequest::default() })
}

/// What was listed so far.
struct Listing {
    now: Timestamp,
    wide: bool,
    table: Table,
    /// The pages as one answer; its jobs are kept for `json` alone, which is written at the end.
    answer: ListJobsResponse,
    shown: usize,
}

impl Listing {
    fn new(now: Timestamp, wide: bool) -> Self {
        let mut titles = vec![
            "JOB",
            "<TYPE",
            "STATE",
            ">PROGRESS",
            "ATTEMPT",
            "<QUEUE",
            "AGE",
            "RAN",
            "<WORKER",
        ];
        if wide {
            titles.extend(WIDE);
        }
        let table = Table::new(&titles).spare(&["QUEUE", "ATTEMPT", "WORKER", "RAN", "AGE"]);
        Self { now, wide, table, answer: ListJobsResponse::default(), shown: 0 }
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
                let rows = jobs.iter().map(|job| {
                    let mut cells = row(job, self.now);
                    if self.wide {
                        cells.extend(wide(job, self.now));
                    }
                    cells
                });
                let rows: Vec<_> = rows.collect();
                // Of nothing there is no table: the end says so.
                if !rows.is_empty() {
                    self.table.write(&rows, out)?;
                }
            }
        }
        out.flush()
    }

    fn end(self, filter: &Filter, out: &mut Out) -> Result<(), Failure> {
        match out.format() {
            Format::Json => out.message(&self.answer),
            Format::Table if self.shown == 0 => out.note(&pages::none("job", filter)),
            Format::Table if !self.answer.next_page_token.is_empty() => {
                let answer = &self.answer;
                let said = pages::more(self.shown, answer.total_size, answer.total_size_capped);
                out.note(&format!("{said} or --all"))
            }
            Format::Table | Format::Jsonl => Ok(()),
        }
    }
}

/// The further columns of the wide form.
const WIDE: [&str; 8] =
    ["CATEGORY", "PRIORITY", "OWNER", "SUBJECT", "LABELS", "CREATED", "BY", "NOW"];

fn wide(job: &Job, now: Timestamp) -> Vec<Cell> {
    let spec = job.spec.clone().unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let labels: Vec<String> =
        spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let priority = status.effective.as_ref().map_or(0, |effective| effective.priority);
    let created = status.create_time.as_ref().map(|time| format::moment(time, 0));
    vec![
        Cell::from(&status.category),
        Cell::from(word::<Priority>(priority)),
        Cell::from(&spec.owner),
        Cell::from(&spec.subject),
        Cell::from(labels.join(",")),
        Cell::from(created.unwrap_or_default()),
        Cell::from(&status.created_by),
        Cell::from(describe::rest(&status, now)),
    ]
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
