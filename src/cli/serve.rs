//! `jobplane serve`: runs the server.

pub(super) mod database;
pub(super) mod ended;
mod house;
mod peers;
mod retention;
mod stats;
mod table;
mod telling;
mod transport;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::app;
use crate::config::Config;
use crate::domain::limits::CAP_MAX;
use crate::telemetry::logs;

pub use table::render as render_settings;

/// How the server writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for programs.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// What the server is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Listen here; port 0 takes a free one
    #[arg(long, env = "JOBPLANE_LISTEN", value_name = "HOST:PORT")]
    #[arg(default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    #[command(flatten)]
    url: database::Url,
    /// How the log on stderr is written
    #[arg(long, env = "JOBPLANE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: a level, or levels by module (`info,jobplane::engine=debug`)
    #[arg(long, env = "JOBPLANE_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// Start no further jobs while so many run on all servers over the same database; 0 = any number
    #[arg(long, env = "JOBPLANE_MAX_RUNNING", value_name = "N", default_value = "0")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(CAP_MAX)))]
    pub max_running: u32,
    /// Refuse further jobs while so many wait in all; 0 = any number
    #[arg(long, env = "JOBPLANE_MAX_PENDING", value_name = "N", default_value = "0")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=i64::from(CAP_MAX)))]
    pub max_pending: u32,
    #[command(flatten)]
    database: database::Args,
    #[command(flatten)]
    transport: transport::Args,
    #[command(flatten)]
    peers: peers::Args,
    #[command(flatten)]
    house: house::Args,
    #[command(flatten)]
    stats: stats::Args,
    #[command(flatten)]
    retention: retention::Args,
    #[command(flatten)]
    telling: telling::Args,
}

/// Runs the server until it is told to stop.
///
/// # Errors
///
/// It cannot start: the address is taken, the database cannot be opened.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = match args.log_format {
        LogFormat::Json => logs::Format::Json,
        LogFormat::Pretty => logs::Format::Pretty,
    };
    let _log = logs::init(format, &args.log_level)?;
    let mut config =
        Config { listen: args.listen, database_url: args.url.database_url, ..Config::default() };
    config.max_running = args.max_running;
    config.max_pending = args.max_pending;
    args.database.set(&mut config);
    args.transport.set(&mut config);
    args.peers.set(&mut config);
    args.telling.set(&mut config);
    args.house.set(&mut config);
    args.stats.set(&mut config);
    args.retention.set(&mut config);
    app::serve(config).await?;
    Ok(ExitCode::SUCCESS)
}
