//! `jobplane workers`: who runs jobs.

use super::Context;
use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::paint::Paint;
use super::table::{Cell, Table};
use super::{format, names};
use crate::domain::Timestamp;
use crate::proto::v1::{HostUsage, ListWorkersRequest, Worker, WorkerState};

/// Which workers.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Serving any of these queues
    #[arg(long = "queue", short, value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// In any of these states: online, draining, lost
    #[arg(long = "state", short, value_name = "STATE", value_delimiter = ',')]
    #[arg(value_parser = names::values::<WorkerState>(), hide_possible_values = true)]
    states: Vec<WorkerState>,
    /// With the jobs they hold
    #[arg(long)]
    jobs: bool,
    #[command(flatten)]
    limit: Limit,
}

/// Shows the workers.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let narrowed = !args.queues.is_empty() || !args.states.is_empty();
    let states = args.states.iter().map(|state| (*state).into()).collect();
    let request = ListWorkersRequest { queues: args.queues, states };
    let answer =
        client.ask("list workers", client.admin().list_workers(client.request(request))).await?;
    match out.format() {
        Format::Table if answer.workers.is_empty() => out.note(nothing(narrowed))?,
        Format::Table => show(&answer.workers, args.jobs, context.now(), out)?,
        Format::Json => out.message(&answer)?,
        Format::Jsonl => answer.workers.iter().try_for_each(|worker| out.message(worker))?,
    }
    Ok(Exit::Ok)
}

fn nothing(narrowed: bool) -> &'static str {
    if narrowed {
        "jobplane: no such worker; see all with `jobplane workers`"
    } else {
        "jobplane: no worker is attached; start one with `jobplane work -- COMMAND`"
    }
}

fn show(workers: &[Worker], jobs: bool, now: Timestamp, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "<WORKER",
        "STATE",
        ">HELD",
        ">SLOTS",
        "<QUEUES",
        "<TYPES",
        ">CPU",
        ">MEMORY",
        "SEEN",
        "<INSTANCE",
    ])
    .spare(&["INSTANCE", "MEMORY", "CPU", "QUEUES", "TYPES"]);
    let rows: Vec<_> = workers.iter().map(|worker| row(worker, now)).collect();
    table.write(&rows, out)?;
    if jobs {
        let mut table = Table::new(&["<WORKER", "JOB", "<TYPE", ">PROGRESS"]);
        let held = workers.iter().flat_map(|worker| {
            worker.running.iter().map(|job| {
                let far = job.percent.map(format::percent).unwrap_or_default();
                let texts = [&worker.worker_id, &job.job_id, &job.r#type, &far];
                texts.into_iter().map(Cell::from).collect::<Vec<_>>()
            })
        });
        let held: Vec<_> = held.collect();
        out.line("")?;
        if held.is_empty() {
            return out.note("jobplane: they hold no job");
        }
        table.write(&held, out)?;
    }
    Ok(())
}

fn row(worker: &Worker, now: Timestamp) -> Vec<Cell> {
    let types = if worker.types.is_empty() { "all".to_owned() } else { worker.types.join(",") };
    let usage = worker.host_usage.unwrap_or_default();
    let cpu = usage.cpu_percent.map(|cpu| format!("{cpu:.0}%")).unwrap_or_default();
    let seen = worker.last_seen_time.as_ref().map(|time| format::age(time, now));
    vec![
        Cell::from(&worker.worker_id),
        Cell::from(names::word::<WorkerState>(worker.state))
            .painted(Paint::of_worker(worker.state())),
        Cell::from(worker.held.to_string()),
        Cell::from(worker.slots.to_string()),
        Cell::from(worker.queues.join(",")),
        Cell::from(types),
        Cell::from(cpu),
        Cell::from(memory(&usage)),
        Cell::from(seen.unwrap_or_default()),
        Cell::from(&worker.instance_id),
    ]
}

fn memory(usage: &HostUsage) -> String {
    match (usage.memory_bytes, usage.memory_total_bytes) {
        (Some(used), Some(total)) => format!("{} of {}", format::bytes(used), format::bytes(total)),
        (Some(used), None) => format::bytes(used),
        (None, _) => String::new(),
    }
}
