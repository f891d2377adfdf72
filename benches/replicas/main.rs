//! The benchmarks of the shared store: what is left of a bare connection's pace when jobplane is in between, and what
//! several servers, waiting transactions and restarts do to it.
//!
//! A PostgreSQL of its own is started with its usual durability, and gone with this process. docs/BENCHMARKS.md tells
//! how to run it and how to read it.

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
#[path = "../../tests/cluster/mod.rs"]
mod cluster;
#[path = "../harness/mod.rs"]
mod harness;
mod rows;
mod side;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(rows::ROWS, rows::Setting::set)
}
