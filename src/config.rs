//! Settings of a server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine;
use crate::loops::Periods;

/// Settings of a server. The defaults are those of `jobplane serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: gRPC, gRPC-Web and HTTP on one port.
    pub listen: SocketAddr,
    /// Where jobs are kept.
    pub database_url: String,
    /// Reading connections to the database.
    pub read_connections: u32,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// Settings of the engine.
    pub engine: engine::Config,
    /// How often the background loops run.
    pub periods: Periods,
    /// How long a shutdown may take before what is left is cut off.
    pub shutdown_within: Duration,
}

/// Where the service listens if nothing is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:50051";
/// Where jobs are kept if nothing is said: a file in the current folder.
pub const DATABASE_URL_DEFAULT: &str = "sqlite://jobplane.db";

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            database_url: DATABASE_URL_DEFAULT.to_owned(),
            read_connections: 4,
            cors_origins: Vec::new(),
            engine: engine::Config::default(),
            periods: Periods::default(),
            shutdown_within: Duration::from_secs(10),
        }
    }
}
