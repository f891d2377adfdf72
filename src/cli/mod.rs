//! The command line: one file per command.
//!
//! Owns: what is typed ([`Cli`]), which jobs are meant ([`filter`], [`find`]), how answers look ([`output`], [`table`], [`describe`], [`format`], [`json`]), exit
//! codes and what is said when something fails ([`exit`]).
//! Does not own: the server; every command but `serve` is a gRPC client like any other.
//! Entry: [`main`].
//! Invariants: only [`client`] names tonic; stdout carries the answer and nothing else, stderr the rest; text from
//! afar reaches a terminal without control characters; a reader that leaves early is no failure.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::domain::Timestamp;
use crate::runtime::Clock;
use crate::telemetry::chain;

mod active;
mod apply;
mod audit;
mod bulk;
mod cancel;
mod client;
mod completions;
mod confirm;
mod delete;
mod demo;
mod describe;
mod drain;
mod each;
mod events;
mod exit;
mod explain;
mod filter;
mod find;
mod format;
mod get;
mod history;
mod info;
mod json;
mod list;
mod live;
mod logs;
mod man;
mod migrate;
mod names;
mod output;
mod pages;
mod paint;
mod parse;
mod process;
mod purge;
mod queue;
mod queues;
mod quota;
mod relay;
mod retry;
mod run;
mod screen;
pub mod serve;
mod stats;
mod status;
mod submit;
mod summary;
mod sweep;
mod table;
mod top;
mod trigger;
mod types;
mod watch;
mod work;
pub mod worker;
mod workers;

#[cfg(test)]
mod tests;

use client::{Address, Client};
use exit::{Exit, Failure};
use output::{Choice, Out};

/// What the exit codes mean.
const EXIT_CODES: &str = "Exit codes: 0 ok, 1 the job failed, 2 usage, 3 not found, 4 refused, \
     5 cannot reach the server, 10 to 13 see `jobplane status --help`, 74 cannot write, 75 another \
     process has the address or the database file (`jobplane serve`), 124 time-out, 130 Ctrl-C before it was done, 143 told to end";

/// Where the help shows the flags of all commands: behind those of the command itself.
const GLOBAL: &str = "Flags of all commands";

/// Runs background jobs anywhere, shows how far each one is, stops it, retries it.
#[derive(Debug, Parser)]
#[command(name = "jobplane", version, about, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    /// The server: http://HOST:PORT or HOST:PORT
    #[arg(long, global = true, env = "JOBPLANE_ENDPOINT", value_name = "ADDRESS")]
    #[arg(default_value = "http://127.0.0.1:50051", help_heading = GLOBAL)]
    endpoint: Address,
    /// How answers are written
    #[arg(long, short, global = true, env = "JOBPLANE_OUTPUT", value_name = "FORMAT", value_enum)]
    #[arg(default_value_t, help_heading = GLOBAL)]
    output: Choice,
    /// Give up after this long, exit code 124 [default: 30s for each call, none for what is followed]
    // Not global: after `submit`, --timeout is that of the job.
    #[arg(long, env = "JOBPLANE_TIMEOUT", value_name = "DURATION", value_parser = parse::duration)]
    #[arg(help_heading = GLOBAL)]
    timeout: Option<Duration>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it all at work: a server, workers and real jobs, here and for half a minute
    Demo(demo::Args),
    /// Run the server
    Serve(Box<serve::Args>),
    /// Bring a database's schema up to date, without a server
    Migrate(migrate::Args),
    /// Run a command as a job: its output, progress, usage and end are seen by all who watch
    Run(Box<run::Args>),
    #[command(flatten)]
    Ask(Ask),
    /// Print what a shell needs to complete commands and flags
    Completions(completions::Args),
    /// Print the manual, or write a page for each command
    Man(man::Args),
}

/// The commands that ask a server.
#[derive(Debug, Subcommand)]
enum Ask {
    /// Create a job, and with --wait watch it
    Submit(Box<submit::Args>),
    /// Show everything about one job
    Get(get::Args),
    /// Tell why a job is as it is, and what may be done about it
    Explain(explain::Args),
    /// List jobs, the newest first
    List(Box<list::Args>),
    /// Show what runs now and how far it is
    Active(Box<active::Args>),
    /// Show how jobs ended, and whether they took as long as usual
    History(Box<history::Args>),
    /// Show how each type of job does, a line each
    Summary(Box<summary::Args>),
    /// Follow a job until it is over, or all that match, live
    Watch(Box<watch::Args>),
    /// Show one job in one line; its state as the exit code on demand
    Status(status::Args),
    /// Print the lines a job wrote
    Logs(logs::Args),
    /// Stop jobs
    Cancel(cancel::Args),
    /// Run jobs again, or those that wait for their next attempt now
    Retry(retry::Args),
    /// Delete finished jobs, with their logs and attempts
    Delete(delete::Args),
    /// Take old jobs away, with their logs and attempts
    Purge(purge::Args),
    /// Show what the server is, how it and its database do, and what it is bound to
    Info(info::Args),
    /// Show how many jobs are where, and how the last minute, hour and day went
    Stats(stats::Args),
    /// Take jobs and run a command for each
    Work(Box<work::Args>),
    /// Show everything that goes on, full-screen, and steer it by keys
    Top(top::Args),
    /// Show who runs jobs
    Workers(workers::Args),
    /// Empty a worker: it gets no more jobs, finishes what it holds, and leaves
    Drain(drain::Args),
    /// Find jobs that are stuck, and have them stopped or told of
    Sweep(sweep::Args),
    /// Show where jobs wait
    Queues(queues::Args),
    /// Show what happened, and follow what happens
    Events(events::Args),
    /// Show who did what to which job, type or queue
    Audit(audit::Args),
    /// Pause a queue, resume it, or set its limits
    Queue(queue::Args),
    /// Show what is left of quotas and who draws from them; set one up, change it, or take it away
    Quota(quota::Args),
    /// Declare types, queues and quotas as a file says, and show what that changes
    Apply(apply::Args),
    /// Show types of jobs, or one with its definition and last runs; enable or disable one
    #[command(args_conflicts_with_subcommands = true)]
    Types(types::Args),
    /// Run a job of a declared type now
    Trigger(Box<trigger::Args>),
}

/// What every command that asks a server knows.
struct Context {
    address: Address,
    timeout: Option<Duration>,
    clock: Clock,
}

impl Context {
    /// Connects; `timeout` is that of the command, before the one of all commands.
    async fn connect(&self, timeout: Option<Duration>) -> Result<Client, Failure> {
        Client::connect(&self.address, timeout.or(self.timeout)).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout; a reader that left early does not want it.
            drop(error.print());
            return u8::try_from(error.exit_code()).map_or(Exit::Usage.into(), ExitCode::from);
        }
    };
    let serves = matches!(cli.command, Command::Serve(_));
    // A client does one thing at a time.
    let mut builder = match cli.command {
        Command::Serve(_) | Command::Demo(_) => tokio::runtime::Builder::new_multi_thread(),
        // Who reads its lines slowly must not keep it from the server.
        Command::Run(_) | Command::Ask(Ask::Work(_)) => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            builder
        }
        Command::Ask(_) | Command::Completions(_) | Command::Man(_) | Command::Migrate(_) => {
            tokio::runtime::Builder::new_current_thread()
        }
    };
    match builder.enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(cli));
            if !serves {
                // Whoever does not read our output does not keep us.
                runtime.shutdown_background();
            }
            exit
        }
        Err(error) => {
            output::warn(&format!("error: cannot start: {error}"));
            Exit::Io.into()
        }
    }
}

async fn run(cli: Cli) -> ExitCode {
    let context = Context { address: cli.endpoint, timeout: cli.timeout, clock: Clock::new() };
    let mut out = Out::stdout(cli.output);
    let command = match cli.command {
        Command::Ask(command) => command,
        Command::Run(args) => return run::run(*args, &context).await,
        Command::Completions(args) => {
            let ended = completions::run(&args, &mut out).map(|()| Exit::Ok);
            return end(ended, &mut out);
        }
        Command::Man(args) => {
            let ended = man::run(&args, &mut out).map(|()| Exit::Ok);
            return end(ended, &mut out);
        }
        Command::Demo(args) => {
            let ended = demo::run(args, &mut out).await;
            return end(ended, &mut out);
        }
        Command::Migrate(args) => {
            return match migrate::run(args, &mut out).await {
                Ok(exit) => out.flush().map_or_else(|failure| failure.exit().into(), |()| exit),
                Err(failure) => end(Err(failure), &mut out),
            };
        }
        Command::Serve(args) => {
            return serve::run(*args).await.unwrap_or_else(|error| {
                output::warn(&format!("error: {}", chain(error.as_ref())));
                serve::ended::by(&error).into()
            });
        }
    };
    let ended = match ask(command, &context, &mut out).await {
        Ok(exit) => Ok(exit),
        Err(failure) => Err(client::explain(failure, &context.address).await),
    };
    end(ended, &mut out)
}

/// Hands over what was written, and tells what went wrong.
fn end(ended: Result<Exit, Failure>, out: &mut Out) -> ExitCode {
    let ended = out.flush().and(ended);
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            each::report(&failure);
            failure.exit().into()
        }
    }
}

/// Runs a command that asks a server.
async fn ask(command: Ask, context: &Context, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        Ask::Submit(args) => submit::run(*args, context, out).await,
        Ask::Get(args) => get::run(args, context, out).await,
        Ask::Explain(args) => explain::run(args, context, out).await,
        Ask::List(args) => list::run(*args, context, out).await,
        Ask::Active(args) => active::run(*args, context, out).await,
        Ask::History(args) => history::run(*args, context, out).await,
        Ask::Summary(args) => Box::pin(summary::run(*args, context, out)).await,
        // Larger than the others together.
        Ask::Watch(args) => Box::pin(watch::run(*args, context, out)).await,
        Ask::Status(args) => status::run(args, context, out).await,
        Ask::Logs(args) => logs::run(args, context, out).await,
        Ask::Cancel(args) => cancel::run(args, context, out).await,
        Ask::Retry(args) => retry::run(args, context, out).await,
        Ask::Delete(args) => delete::run(args, context, out).await,
        Ask::Purge(args) => purge::run(args, context, out).await,
        Ask::Info(args) => info::run(args, context, out).await,
        Ask::Stats(args) => stats::run(args, context, out).await,
        Ask::Work(args) => work::run(*args, context, out).await,
        Ask::Top(args) => top::run(args, context, out).await,
        Ask::Workers(args) => workers::run(args, context, out).await,
        Ask::Drain(args) => drain::run(args, context, out).await,
        Ask::Sweep(args) => sweep::run(args, context, out).await,
        Ask::Queues(args) => queues::run(args, context, out).await,
        Ask::Events(args) => events::run(args, context, out).await,
        Ask::Audit(args) => audit::run(args, context, out).await,
        Ask::Queue(args) => queue::run(args, context, out).await,
        Ask::Quota(args) => quota::run(args, context, out).await,
        Ask::Apply(args) => Box::pin(apply::run(args, context, out)).await,
        Ask::Types(args) => Box::pin(types::run(args, context, out)).await,
        Ask::Trigger(args) => Box::pin(trigger::run(*args, context, out)).await,
    }
}
