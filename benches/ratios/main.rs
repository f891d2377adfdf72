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
mod frames;
#[path = "../harness/mod.rs"]
mod harness;
mod rows;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(rows::ROWS, |options, places| Ok(rows::Setting { plan: options.plan(), places }))
}
