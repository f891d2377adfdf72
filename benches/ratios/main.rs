//! The ratio benchmarks: how much of what a bare baseline does is left when jobplane does it.
//!
//! Each row compares two sides in one run, in turns, on the same processors: the server on one, the load on
//! another. docs/BENCHMARKS.md tells how to run it and how to read it.

#![allow(
    clippy::disallowed_methods,
    reason = "the load is measured from outside: the server's clock and tasks are part of what is measured"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "figures for people: counts and times far below 2^52"
)]

#[path = "../bare/mod.rs"]
mod bare;
mod child;
mod crew;
mod frames;
mod machine;
mod measure;
mod options;
mod report;
mod rows;
mod wire;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use options::{Options, Part};

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.part {
        Some(part) => play(part),
        None if options.list => {
            report::list();
            Ok(true)
        }
        None => run(&options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a process that this program starts for itself does.
fn play(part: &Part) -> anyhow::Result<bool> {
    match part {
        Part::Pinned { processor, command } => machine::run_pinned(*processor, command)?,
        Part::BareServer => bare::server::run()?,
        Part::BareSqlite { folder } => bare::sqlite::run(folder)?,
    }
    Ok(true)
}

/// Runs the rows; answers whether each was produced.
fn run(options: &Options) -> anyhow::Result<bool> {
    if let Some(folder) = &options.folder {
        child::make_folders_in(folder.clone());
    }
    let places = machine::Places::find()?;
    machine::pin(places.client)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = {
            use tokio::signal::unix::{SignalKind, signal};
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        // Whichever ends first, everything started is dropped with it: processes and folders go.
        tokio::select! {
            produced = rows::run(options, places) => produced,
            _ = term.recv() => anyhow::bail!("told to stop"),
            _ = int.recv() => anyhow::bail!("told to stop"),
        }
    })
}
