//! Flags about the database.

use std::time::Duration;

use crate::cli::parse;
use crate::config::{Config, DATABASE_URL_DEFAULT, Database};

/// Where jobs are kept.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Url {
    /// Keep jobs here: a file, created if it is not there, or postgres://USER:PASSWORD@HOST/DATABASE
    /// (several hosts with commas between: a primary and its standbys)
    #[arg(long, env = "JOBPLANE_DATABASE_URL", value_name = "URL")]
    #[arg(default_value = DATABASE_URL_DEFAULT, hide_env_values = true)]
    pub database_url: String,
}

/// How the database is used.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Database")]
#[group(skip)]
pub struct Args {
    /// Connections for lists, logs and figures
    #[arg(long = "database-read-connections", env = "JOBPLANE_DATABASE_READ_CONNECTIONS")]
    #[arg(value_name = "N", default_value = "4")]
    read_connections: u32,
    /// PostgreSQL: writers, each with a connection of its own
    #[arg(long = "database-lanes", env = "JOBPLANE_DATABASE_LANES", value_name = "N")]
    #[arg(default_value = "2")]
    lanes: u32,
    /// PostgreSQL: end a statement that takes longer
    #[arg(long = "database-statement-timeout", env = "JOBPLANE_DATABASE_STATEMENT_TIMEOUT")]
    #[arg(value_name = "DURATION", default_value = "5s", value_parser = parse::duration)]
    statement_timeout: Duration,
    /// PostgreSQL: the URL behind a pooler in transaction mode; then listening needs its own URL
    #[arg(long, env = "JOBPLANE_POOLER")]
    pooler: bool,
    /// PostgreSQL: listen for other servers' news here, past a pooler
    #[arg(long = "database-listen-url", env = "JOBPLANE_DATABASE_LISTEN_URL", value_name = "URL")]
    #[arg(hide_env_values = true)]
    listen_url: Option<String>,
    /// PostgreSQL: do not listen for other servers' news, look once a second
    #[arg(long, env = "JOBPLANE_NO_LISTEN", conflicts_with = "listen_url")]
    no_listen: bool,
    /// Look this often for waiting jobs and for what other servers did, whatever hints say
    #[arg(long = "poll-interval", env = "JOBPLANE_POLL_INTERVAL", value_name = "DURATION")]
    #[arg(default_value = "1s", value_parser = parse::duration)]
    poll_interval: Duration,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        config.read_connections = self.read_connections;
        config.periods.poll = self.poll_interval;
        config.database = Database {
            lanes: self.lanes,
            statement_timeout: self.statement_timeout,
            // A variable that is set to nothing says nothing.
            listen_url: self.listen_url.filter(|url| !url.is_empty()),
            no_listen: self.no_listen,
            pooler: self.pooler,
        };
    }
}
