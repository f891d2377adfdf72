//! `jobplane queues`: where jobs wait.

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::Paint;
use super::queue::start_rate;
use super::table::{Cell, Table};
use super::{Context, format, stats};
use crate::proto::v1::{JobState, ListQueuesRequest, Queue};

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 6] =
    ["FINISHED", "WEIGHT", "START RATE", "MAX PENDING", "MAX RUNNING", "WHY PAUSED"];

/// All queues.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    limit: Limit,
}

/// Shows the queues.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let request = client.request(ListQueuesRequest {});
    let answer = client.ask("list queues", client.admin().list_queues(request)).await?;
    match out.format() {
        Format::Table if answer.queues.is_empty() => {
            out.note("jobplane: no queue yet; the first job makes one: `jobplane submit TYPE`")?;
        }
        Format::Table => {
            let mut table = Table::new(&[
                "<QUEUE",
                "STATE",
                ">PENDING",
                ">RUNNING",
                ">OLDEST",
                ">MAX RUNNING",
                ">MAX PENDING",
                ">START RATE",
                ">WEIGHT",
                "~FINISHED",
                "~WHY PAUSED",
            ])
            .spare(&SPARE);
            let rows: Vec<_> = answer.queues.iter().map(row).collect();
            table.write(&rows, out)?;
        }
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.queues.iter().try_for_each(|queue| out.message(queue))?,
    }
    Ok(Exit::Ok)
}

fn row(queue: &Queue) -> Vec<Cell> {
    let (state, paint) =
        if queue.paused { ("PAUSED", Some(Paint::Yellow)) } else { ("OPEN", None) };
    let bound = |bound: i64| if bound == 0 { String::new() } else { bound.to_string() };
    let live = [JobState::Pending, JobState::Running];
    let finished: Vec<_> =
        queue.counts.iter().filter(|of| !live.contains(&of.state())).copied().collect();
    vec![
        Cell::from(&queue.name),
        Cell::from(state).painted(paint),
        Cell::from(stats::count(&queue.counts, JobState::Pending).to_string()),
        Cell::from(stats::count(&queue.counts, JobState::Running).to_string()),
        Cell::from(format::span_or_nothing(queue.oldest_pending_age.as_ref())),
        Cell::from(bound(queue.max_running)),
        Cell::from(bound(queue.max_pending)),
        Cell::from(start_rate(queue).unwrap_or_default()),
        Cell::from(bound(queue.weight.into())),
        Cell::from(stats::counted(&finished)),
        Cell::from(&queue.pause_reason),
    ]
}
