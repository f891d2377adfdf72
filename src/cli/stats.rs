//! `jobplane stats`: how many jobs are where, and how the last minute, hour and day went.

use super::Context;
use super::client::Limit;
use super::exit::{Exit, Failure};
use super::format;
use super::names;
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use crate::domain::Timestamp;
use crate::proto::v1::get_stats_response::{Distribution, Stats};
use crate::proto::v1::{GetStatsRequest, GetStatsResponse, JobState, StateCount};

mod lately;

pub(super) use lately::{quota_rows, quotas};

#[cfg(test)]
mod tests;

/// The states, in the order of a job's life.
const STATES: [JobState; 6] = [
    JobState::Pending,
    JobState::Running,
    JobState::Succeeded,
    JobState::Failed,
    JobState::Cancelled,
    JobState::Skipped,
];

/// The columns that are given up first where there is no room for all.
const SPARE: [&str; 8] =
    ["P95", "MEAN", "OLDEST", "FAILED/1H", "OK/1H", "SKIPPED", "CANCELLED", "SUCCEEDED"];

/// Which jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of any of these types
    #[arg(long = "type", short, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Of any of these categories
    #[arg(long = "category", value_name = "CATEGORY", value_delimiter = ',')]
    categories: Vec<String>,
    /// In any of these queues
    #[arg(long = "queue", short, value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// For this owner
    #[arg(long, default_value_t, hide_default_value = true)]
    owner: String,
    /// With this label
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = super::parse::label)]
    label: Option<(String, String)>,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the figures by type and by queue.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let request = GetStatsRequest {
        types: args.types,
        categories: args.categories,
        queues: args.queues,
        owner: args.owner,
        label: args.label.map(|(key, value)| format!("{key}={value}")).unwrap_or_default(),
    };
    let stats =
        client.ask("get statistics", client.jobs().get_stats(client.request(request))).await?;
    match out.format() {
        Format::Table => show(&stats, context.now(), out)?,
        Format::Json => out.message(&stats)?,
        Format::Jsonl => {
            stats.by_type.iter().try_for_each(|stats| out.message(stats))?;
            stats.by_queue.iter().try_for_each(|stats| out.message(stats))?;
        }
    }
    Ok(Exit::Ok)
}

fn show(stats: &GetStatsResponse, now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    let total = stats.totals.clone().unwrap_or_default();
    if stats.by_type.is_empty() {
        out.note("jobplane: no job is known that matches; `jobplane submit TYPE` makes one")?;
    } else {
        let all: Vec<_> = stats
            .by_type
            .iter()
            .map(|of| row(&of.r#type, of.stats.as_ref()))
            .chain([row("(all)", Some(&total))])
            .collect();
        table("<TYPE").write(&all, out)?;
        out.line("")?;
        let queues: Vec<_> =
            stats.by_queue.iter().map(|of| row(&of.queue, of.stats.as_ref())).collect();
        table("<QUEUE").write(&queues, out)?;
        out.line("")?;
        lately::show(&total, out)?;
    }
    if !stats.quotas.is_empty() {
        quotas(&stats.quotas, now, out)?;
        out.line("")?;
    }
    let mut words = vec![
        format!("workers {}", format::count(stats.workers)),
        format!(
            "slots {} of {} in use",
            format::count(stats.slots_used),
            format::count(stats.slots)
        ),
    ];
    if total.finished_total > 0 {
        words.push(format!("finished in all {}", format::count(total.finished_total)));
    }
    out.line(&words.join("  "))?;
    if stats.counts_capped {
        out.note("jobplane: there are more than 10,000 jobs; only the newest are counted")?;
    }
    Ok(())
}

fn table(of: &'static str) -> Table {
    let mut titles = vec![of];
    titles.extend([">PENDING", ">RUNNING", ">SUCCEEDED", ">FAILED", ">CANCELLED", ">SKIPPED"]);
    titles.extend([">OLDEST", ">OK/1H", ">FAILED/1H", ">MEAN", ">P95"]);
    Table::new(&titles).spare(&SPARE)
}

fn row(name: &str, stats: Option<&Stats>) -> Vec<Cell> {
    let stats = stats.cloned().unwrap_or_default();
    let hour = stats.hour.as_ref();
    let run = hour.and_then(|hour| hour.run).unwrap_or_default();
    let mut row = vec![Cell::from(name)];
    row.extend(STATES.map(|state| {
        let count = count(&stats.counts, state);
        let paint = Paint::of_state(state).filter(|_| count > 0);
        Cell::from(count.to_string()).painted(paint)
    }));
    row.push(Cell::from(format::span_or_nothing(stats.oldest_pending_age.as_ref())));
    let known = |count: Option<i64>| count.map(|count| count.to_string()).unwrap_or_default();
    row.push(Cell::from(known(hour.map(|hour| hour.succeeded))));
    let failed = hour.map(|hour| hour.failed);
    row.push(Cell::from(known(failed)).painted(failed.filter(|of| *of > 0).map(|_| Paint::Red)));
    row.push(Cell::from(measured(&run, run.mean.as_ref())));
    row.push(Cell::from(measured(&run, run.p95.as_ref())));
    row
}

pub(super) fn measured(run: &Distribution, span: Option<&prost_types::Duration>) -> String {
    format::span_or_nothing(span.filter(|_| run.count > 0))
}

/// How many jobs are in the state.
#[must_use]
pub fn count(counts: &[StateCount], state: JobState) -> i64 {
    counts.iter().filter(|of| of.state() == state).map(|of| of.count).sum()
}

/// The counts that are not zero, for one line.
#[must_use]
pub fn counted(counts: &[StateCount]) -> String {
    let words: Vec<String> = STATES
        .iter()
        .map(|state| (names::short(*state), count(counts, *state)))
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{}={count}", state.to_lowercase()))
        .collect();
    words.join(" ")
}
