//! `jobplane work`: a worker that runs a command for each job.

mod command;
mod crew;
mod gate;
mod teller;

use std::ffi::OsString;
use std::time::Duration;

use super::Context;
use super::exit::{Exit, Failure};
use super::output::Out;
use super::parse;
use super::process::Mode;
use super::worker::{Settings, default_worker_id};
use crate::domain::limits::LEASE_TTL_DEFAULT;
use crew::Crew;
use teller::Teller;

/// Each paragraph is one line: it is wrapped where it is shown.
const HELP: &str = "\
The command reads the job's payload as JSON from stdin and finds in its environment: JOBPLANE_JOB_ID, \
JOBPLANE_JOB_TYPE, JOBPLANE_QUEUE, JOBPLANE_ATTEMPT, JOBPLANE_MAX_ATTEMPTS, JOBPLANE_LEASE_EPOCH, JOBPLANE_OWNER, \
JOBPLANE_SUBJECT, JOBPLANE_EXTERNAL_ID, JOBPLANE_LABEL_<NAME>, JOBPLANE_RESULT_FILE, JOBPLANE_ENDPOINT, TRACEPARENT.

Its output is the job's log, and progress where it looks like progress: 45%, 450/1000, or a line \
{\"progress\": {\"completed\": 450, \"total\": 1000}}. What it writes into the file JOBPLANE_RESULT_FILE, else its \
last line that is a JSON object, is the job's result.

A line {\"quota_use\": {\"youtube\": 240}} says how many units of quotas it has used so far, all of them and not what \
was added; it takes the place of what its start drew.

Code 0: the job succeeded. Code N: it failed with EXIT_N and is tried again by its retry policy, but not after 64 and \
65 (the input is wrong). Ended by a signal: SIGNAL_N. More memory or processor time than the job may use: \
RESOURCE_LIMIT. A cancelled job's command gets SIGTERM, with all its children, and SIGKILL when the grace is over; it \
then counts as cancelled whatever its code.

While the server is away, jobs go on; what they say waits, and arrives later.

SIGTERM or Ctrl-C: takes no further job, lets those that run end within --grace, gives the others back. Once more: at \
once.";

/// What to take and what to run.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// Take jobs of these queues [default: default]
    #[arg(long = "queue", short, value_name = "QUEUE", value_delimiter = ',')]
    queues: Vec<String>,
    /// Take jobs of these types [default: all]
    #[arg(long = "type", short = 't', value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// Jobs at a time
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    slots: u32,
    /// Take nothing while the machine's processors are busier than this, for instance 80%
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_host_cpu: Option<f64>,
    /// The worker's name, for people [default: user and host]
    #[arg(long, value_name = "NAME")]
    worker_id: Option<String>,
    /// A tag of the worker, for people; may be repeated
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    labels: Vec<(String, String)>,
    /// On SIGTERM or Ctrl-C, let jobs run on for so long
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "30s")]
    grace: Duration,
    /// Let the server wait for so long for a sign of life before it gives the jobs to others [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    lease_ttl: Option<Duration>,
    /// How progress, and use of quotas, is found in the command's output
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    progress: Mode,
    /// The command and its arguments, behind --
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<OsString>,
}

/// Works until it is told to stop.
pub async fn run(args: Args, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    let [program, ..] = &args.command[..] else {
        return Err(Failure::usage("COMMAND", "is missing: write it behind --"));
    };
    command::find(program).map_err(|problem| Failure::usage("COMMAND", problem))?;
    let settings = Settings {
        worker_id: args.worker_id.clone().unwrap_or_else(default_worker_id),
        queues: args.queues.clone(),
        types: args.types.clone(),
        labels: args.labels.iter().cloned().collect(),
        slots: args.slots,
        lease_ttl: args.lease_ttl.unwrap_or(LEASE_TTL_DEFAULT),
        ..Settings::new(context.address.clone())
    };
    let teller = Teller { context, out };
    Crew::hire(args, settings, teller)?.work().await
}

/// A part of all there is: `80%` or `80`.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("must be a percentage above 0 and up to 100, for instance 80%".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_with_and_without_its_sign() {
        assert_eq!(percent("80%"), Ok(80.0));
        assert_eq!(percent(" 0.5 % "), Ok(0.5));
        assert_eq!(percent("100"), Ok(100.0));
        for wrong in ["", "%", "0", "-1", "101%", "NaN", "much"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
