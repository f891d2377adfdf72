//! `jobplane run`: any command becomes a job.
//!
//! Owns: what is typed ([`Args`]), the start of the job ([`start`]), what is between the command and the server
//! ([`follow`]), and signals ([`signals`]).
//! Does not own: the process ([`super::process`]), what it says as reports and what its end means ([`super::relay`]),
//! the stream to the server ([`super::worker`]).
//! Entry: [`run`].
//! Invariants: without a job nothing is run; once it runs, the command is ended by its own end, a limit, a cancel or a
//! signal, never by the absence of the server; the exit code is the command's.

mod follow;
mod signals;
mod start;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tempfile::TempDir;

use super::exit::{Exit, Failure};
use super::output::warn;
use super::process::{self, Limits, Mode, Process, Stdin};
use super::relay::ResultFile;
use super::{Context, client, each, parse, worker};
use crate::domain::limits::RUN_LEASE_TTL;
use crate::runtime::Tasks;
use follow::Follow;
use signals::Signals;
use start::Started;

/// What the command becomes.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// The type of the job [default: the name of the command]
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    job_type: Option<String>,
    /// The queue it is counted in [default: that of the type, else default]
    #[arg(long, short, default_value_t, hide_default_value = true)]
    queue: String,
    /// A tag; may be repeated
    #[arg(long = "label", short, value_name = "KEY=VALUE", value_parser = parse::label)]
    labels: Vec<(String, String)>,
    /// Who the job is for
    #[arg(long, default_value_t, hide_default_value = true)]
    owner: String,
    /// What it works on
    #[arg(long, default_value_t, hide_default_value = true)]
    subject: String,
    /// Its id in another system
    #[arg(long, value_name = "ID", default_value_t, hide_default_value = true)]
    external_id: String,
    /// Run it only if no other job of the type with this key is there
    #[arg(long, value_name = "KEY", default_value_t, hide_default_value = true)]
    unique_key: String,
    /// Makes the command repeatable: the same id never starts a second job
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Stop the command after this long
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timeout: Option<Duration>,
    /// Stop the command when all its processes hold more memory than this, for instance 512Mi or 2G (M is 10^6, Mi is 2^20)
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    memory: Option<u64>,
    /// Stop the command when all its processes use more than this of one core over 5 s, for instance 80% or 250%
    #[arg(long, value_name = "PERCENT", value_parser = parse::percent)]
    cpu: Option<f64>,
    /// How progress, and use of quotas, is found in what the command prints
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    progress: Mode,
    /// The result is read from this file when the command ended: JSON, or text
    #[arg(long, value_name = "FILE")]
    result_file: Option<PathBuf>,
    /// Time between SIGTERM and SIGKILL when a limit is passed or SIGTERM reaches us
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "10s")]
    grace: Duration,
    /// Time to wait at the end for a server that is away
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "60s")]
    flush_timeout: Duration,
    /// The name of this worker [default: USER/HOST]
    #[arg(long, value_name = "NAME")]
    worker_id: Option<String>,
    /// Do not print what the command prints; it goes to the job's log alone
    #[arg(long)]
    no_echo: bool,
    /// Say nothing beside what the command prints, but errors
    #[arg(long)]
    quiet: bool,
    /// The command and what it is given
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What stands below the help; each paragraph is one line: it is wrapped where it is shown.
const HELP: &str = "\
What the command prints is passed on as it comes, and is the job's log. Progress is found in it where it looks like \
progress: 45%, 450/1000, or a line {\"progress\": {\"completed\": 450, \"total\": 1000}}. What it writes into the \
result file, else its last line that is a JSON object, is the job's result.

A line {\"quota_use\": {\"youtube\": 240}} says how many units of quotas it has used so far, all of them and not what \
was added; it takes the place of what its start drew.

It finds in its environment: JOBPLANE_JOB_ID, JOBPLANE_JOB_TYPE, JOBPLANE_ATTEMPT, JOBPLANE_LEASE_EPOCH, \
JOBPLANE_RESULT_FILE, JOBPLANE_ENDPOINT.

Exit code: that of the command (128 + N if signal N ended it; 127 not found, 126 not executable). If the command was \
not run: 2 usage, 4 refused (a policy skipped the job, or another job holds the key), 5 the server cannot be reached.

A cancel, a time-out or a limit ends the command and all processes that came of it: SIGTERM, then SIGKILL when the \
grace is over. SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to it.

While the server is away, the command goes on; what it says waits (16 MiB, the oldest lines give way to a count) and \
arrives later. At the end, --flush-timeout is how long to wait for a server that is away.";

impl Args {
    fn spec(&self, started: &Started, file: &ResultFile, context: &Context) -> process::Spec {
        let mut words = self.command.iter().cloned();
        let program = words.next().unwrap_or_default();
        let env: Vec<(OsString, OsString)> = vec![
            ("JOBPLANE_JOB_ID".into(), started.lease.job_id.clone().into()),
            ("JOBPLANE_JOB_TYPE".into(), started.job_type.clone().into()),
            ("JOBPLANE_ATTEMPT".into(), started.attempt.to_string().into()),
            ("JOBPLANE_LEASE_EPOCH".into(), started.lease.epoch.to_string().into()),
            ("JOBPLANE_RESULT_FILE".into(), file.path().into()),
            ("JOBPLANE_ENDPOINT".into(), context.address.to_string().into()),
        ];
        process::Spec {
            args: words.collect(),
            env,
            stdin: Stdin::Inherit,
            echo: !self.no_echo,
            progress: self.progress,
            limits: Limits { memory_bytes: self.memory, cpu_percent: self.cpu },
            grace: self.grace,
            ..process::Spec::new(program)
        }
    }

    /// Where the result is read from, and the folder that holds it if nobody named a file.
    fn result_file(&self) -> io::Result<(ResultFile, Option<TempDir>)> {
        if let Some(file) = &self.result_file {
            // The command may go elsewhere before it writes it.
            return Ok((ResultFile::before(&std::path::absolute(file)?), None));
        }
        let folder = tempfile::tempdir()?;
        Ok((ResultFile::before(&folder.path().join("result.json")), Some(folder)))
    }

    /// Tells something beside what the command prints.
    fn note(&self, note: &str) {
        if !self.quiet {
            warn(&format!("jobplane: {note}"));
        }
    }
}

/// Starts the job and runs the command; ends with its code.
pub async fn run(args: Args, context: &Context) -> ExitCode {
    // Before there is a job: whoever tells us to end must not leave it behind.
    let mut signals = match Signals::listen() {
        Ok(signals) => Some(signals),
        Err(error) => {
            warn(&format!("jobplane: signals cannot be passed on: {error}"));
            None
        }
    };
    let begun = tokio::select! {
        begun = begin(&args, context) => begun,
        signal = signals::next(&mut signals) => {
            let code = process::How::Signal(signal.as_raw()).exit_code();
            warn("jobplane: told to end before the job was there; the command was not run");
            return ExitCode::from(code);
        }
    };
    match begun {
        Ok(Ok((started, file))) => {
            ExitCode::from(supervise(&args, started, &file.0, signals, context).await)
        }
        Ok(Err(exit)) => exit.into(),
        Err(failure) => {
            let failure = client::explain(failure, &context.address).await;
            each::report(&failure);
            if !matches!(failure, Failure::Usage { .. }) {
                warn("  the command was not run");
            }
            failure.exit().into()
        }
    }
}

type Begun = (Started, (ResultFile, Option<TempDir>));

/// Starts the job, unless a policy refuses.
async fn begin(args: &Args, context: &Context) -> Result<Result<Begun, Exit>, Failure> {
    let file = args.result_file().map_err(Failure::Output)?;
    let client = context.connect(None).await?;
    Ok(start::job(args, &client).await?.map(|started| (started, file)))
}

/// Runs the command of a job that was started; answers its exit code.
async fn supervise(
    args: &Args,
    started: Started,
    file: &ResultFile,
    signals: Option<Signals>,
    context: &Context,
) -> u8 {
    let tasks = Tasks::new();
    let settings = worker::Settings {
        worker_id: started.worker_id.clone(),
        instance_id: started.instance_id.clone(),
        slots: 0,
        lease_ttl: RUN_LEASE_TTL,
        holding: vec![started.lease.clone()],
        ..worker::Settings::new(context.address.clone())
    };
    let (handle, events) = worker::start(settings, &tasks, &context.clock);
    args.note(&format!("job {} runs {}", started.lease.job_id, started.job_type));
    let follow = Follow::new(args, &started, context, handle, events);
    match Process::spawn(&args.spec(&started, file, context), &tasks, &context.clock) {
        Ok((process, events)) => follow.until_over(process, events, signals, file).await,
        Err(error) => follow.not_started(&error, signals).await,
    }
}
