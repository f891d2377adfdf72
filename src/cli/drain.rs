//! `jobplane drain`: empties a worker.

use std::time::Duration;

use super::client::Limit;
use super::exit::{Exit, Failure};
use super::output::{Format, Out};
use super::{Context, format, parse};
use crate::proto::v1::{DrainWorkerRequest, DrainWorkerResponse};

/// Which worker, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, for all its processes; or the UUID of one process, as `jobplane workers -o wide` shows it
    #[arg(value_name = "WORKER")]
    worker: String,
    /// How long it may take to finish what it holds; what is left then runs elsewhere [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    grace: Option<Duration>,
    /// Why, for people and for the worker
    #[arg(long, value_name = "TEXT", default_value_t, hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    limit: Limit,
}

/// Drains it.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let client = context.connect(args.limit.timeout).await?;
    let doing = format!("drain worker {}", format::plain(&args.worker));
    // A name may look like anything but a UUID that is written in full.
    let is_instance = uuid::Uuid::try_parse(&args.worker).is_ok();
    let (worker_id, instance_id) =
        if is_instance { (String::new(), args.worker) } else { (args.worker, String::new()) };
    let grace = args.grace.map(parse::wire_duration);
    let request = DrainWorkerRequest { worker_id, instance_id, grace, reason: args.reason };
    let answer =
        client.change(&doing, client.admin().drain_worker(client.request(request))).await?;
    match out.format() {
        Format::Table => out.note(&format!("jobplane: {}", said(&answer)))?,
        Format::Json | Format::Jsonl => out.message(&answer)?,
    }
    Ok(Exit::Ok)
}

/// What became of it, in a line.
fn said(answer: &DrainWorkerResponse) -> String {
    let worker = answer.worker.clone().unwrap_or_default();
    let held = match worker.held {
        0 => "holds nothing".to_owned(),
        1 => "holds 1 job".to_owned(),
        held => format!("holds {held} jobs"),
    };
    let name = format::plain(&worker.worker_id);
    match answer.processes {
        1 => format!("worker {name} drains: it gets no more jobs and {held}"),
        processes => format!(
            "worker {name} drains, all {processes} processes: they get no more jobs; the newest {held}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Worker;

    #[test]
    fn what_it_still_holds_is_told() {
        let worker = Worker { worker_id: "w1".to_owned(), held: 2, ..Worker::default() };
        let mut answer = DrainWorkerResponse { worker: Some(worker), processes: 1 };
        assert_eq!(said(&answer), "worker w1 drains: it gets no more jobs and holds 2 jobs");
        answer.processes = 3;
        assert!(said(&answer).contains("all 3 processes"));
    }
}
