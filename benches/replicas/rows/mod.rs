//! The rows: what each compares, and what it should come to.

mod across;
mod history;
mod keeping;
mod load;
mod outage;
mod written;

use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};

use crate::cluster::{Cluster, Disk};
use crate::harness::child;
use crate::harness::machine::{self, Places};
use crate::harness::options::{Options, Plan};
use crate::harness::questions;
use crate::harness::table::{Target, rows};
use crate::side::{Postgres, Side};

/// What a row is measured with.
#[derive(Clone)]
pub struct Setting {
    /// How long and how often.
    pub plan: Plan,
    /// Where.
    pub places: Places,
    /// The database server, on the processor of the measured servers.
    pub postgres: Postgres,
}

impl Setting {
    /// Starts what all rows share.
    pub fn set(options: &Options, places: Places) -> Result<Self> {
        // What it starts stays there, whoever else is moved.
        machine::pin(places.server)?;
        let folder = child::folder()?;
        // PostgreSQL does not run as root, but removes what it made.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let cluster = Cluster::start_in(folder.path(), Disk::Synced);
        let cluster = cluster.context("there is no PostgreSQL to measure")?;
        Ok(Self { plan: options.plan(), places, postgres: Postgres::of(cluster, folder) })
    }

    /// So many servers over an empty database.
    async fn side(&self, servers: usize) -> Result<Side> {
        Side::start(&self.postgres, self.places.server, servers).await
    }
}

rows! {
    Setting;
    "life_cycles", "create 100 at a time, start and succeed, 1,024 slots; the same statements on one connection",
        "jobs/s", Target::AtLeast(0.6), load::life_cycles;
    "replicas_2", "two servers over one database, one processor for all; one server",
        "jobs/s", Target::Report, load::two;
    "replicas_3", "three servers over one database, one processor for all; one server",
        "jobs/s", Target::Report, load::three;
    "claims_256", "jobs started by 256 workers of 4 slots; by 16 of 64",
        "jobs/s", Target::AtLeast(0.95), load::claims;
    "commits_per_job", "transactions of the database for a whole life, 1,024 slots",
        "commits", Target::AtMost(0.05), written::commits;
    "wal_per_job", "WAL for a whole life, 1,024 slots, full pages included",
        "KiB", Target::AtMost(2.0), written::wal;
    "watch_across_p50", "outcome at one server to a watcher at another, idle; NOTIFY to LISTEN",
        "us p50", Target::Report, across::p50;
    "watch_across_p99", "the same, the slowest in a hundred",
        "us p99", Target::AtMost(3.0), across::p99;
    "held_transaction", "while another transaction stays open throughout; without",
        "jobs/s", Target::AtLeast(0.9), load::held;
    "stats_1m", "GetStats with 1,000,000 finished and 100,000 waiting jobs; with 10,000 and 1,000",
        "us p50", Target::AtMost(2.0), questions::stats;
    "summary_1m", "GetSummary of the same",
        "us p50", Target::AtMost(2.0), questions::summary;
    "list_1m", "first page of ListJobs of the same",
        "us p50", Target::AtMost(2.0), questions::list;
    "list_deep_1m", "a page in the middle of all",
        "us p50", Target::AtMost(2.0), questions::deep;
    "list_label_1m", "first page of the 600 jobs with a label",
        "us p50", Target::AtMost(2.0), questions::labelled;
    "events_and_audit", "the store with events and audit, 1 job in 20 failing, 1 in 50 cancelled by hand; without",
        "transitions/s", Target::AtLeast(0.95), keeping::events_and_audit;
    "events_of_successes", "the same with an event for each success; without any",
        "transitions/s", Target::Report, keeping::events_of_successes;
    "after_restart", "from the moment a killed PostgreSQL takes connections again, a minute long; before",
        "jobs/s", Target::AtLeast(0.95), outage::restart;
}
