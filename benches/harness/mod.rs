//! What benchmarks share: a table of rows, each of two sides that are measured in one run, in turns, on the same
//! processors, and the load that is put on them.
//!
//! Entry: [`main`].

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub mod child;
pub mod crew;
pub mod history;
pub mod machine;
pub mod measure;
pub mod options;
pub mod questions;
pub mod report;
pub mod table;
pub mod telling;
pub mod wire;
pub mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use crate::bare;

use self::machine::Places;
use self::options::{Options, Part};
use self::table::Row;

/// Runs the benchmark of these rows, or the part of it that this process is to play. What all rows share is set up
/// by `set`.
pub fn main<S: Clone>(
    rows: &[Row<S>],
    set: impl FnOnce(&Options, Places) -> Result<S>,
) -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.part {
        Some(part) => play(part),
        None if options.list => {
            report::list(rows);
            Ok(true)
        }
        None => run(rows, &options, set),
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

/// What a process that a benchmark starts for itself does.
fn play(part: &Part) -> Result<bool> {
    match part {
        Part::Pinned { processor, command } => machine::run_pinned(*processor, command)?,
        Part::BareServer => bare::server::run()?,
        Part::BareSqlite { folder } => bare::sqlite::run(folder)?,
        Part::Store { url, telling } => bare::store::run(url, *telling)?,
        Part::BarePostgres { url } => bare::postgres::run(url)?,
    }
    Ok(true)
}

/// Runs the rows; answers whether each was produced.
fn run<S: Clone>(
    rows: &[Row<S>],
    options: &Options,
    set: impl FnOnce(&Options, Places) -> Result<S>,
) -> Result<bool> {
    table::check(rows, options)?;
    if let Some(folder) = &options.folder {
        child::make_folders_in(folder.clone());
    }
    let places = Places::find()?;
    let setting = set(options, places)?;
    machine::pin(places.client)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = {
            use tokio::signal::unix::{SignalKind, signal};
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        // Whichever ends first, everything started is dropped with it: processes and folders go.
        tokio::select! {
            produced = table::run(rows, options, setting) => produced,
            _ = term.recv() => anyhow::bail!("told to stop"),
            _ = int.recv() => anyhow::bail!("told to stop"),
        }
    })
}
