//! Settings of a server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::limits::{
    CAP_MAX, DATABASE_CONNECTIONS_MAX, LEASE_TTL_DEFAULT, POLL_INTERVAL, POLL_INTERVAL_MAX,
    POLL_INTERVAL_MIN, SHUTDOWN_WITHIN,
};
use crate::domain::stats::FacetPolicy;

mod database;
mod house;
mod origin;
mod peers;
mod retention;
mod stats;
mod telling;
mod transport;

pub use database::Database;
pub use house::House;
pub use peers::PeerLimits;
pub use retention::Retention;
pub use telling::Telling;
pub use transport::{Connections, Streams, Transport};

/// Settings of a server. The defaults are those of `jobplane serve`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: gRPC, gRPC-Web and HTTP on one port.
    pub listen: SocketAddr,
    /// Where jobs are kept.
    pub database_url: String,
    /// Reading connections to the database.
    pub read_connections: u32,
    /// How a database that servers share is used.
    pub database: Database,
    /// Origins that browsers may call from.
    pub cors_origins: Vec<String>,
    /// How long a caller waits for the database before it is told UNAVAILABLE.
    pub store_timeout: Duration,
    /// Jobs that may run at once, on all servers over the same database; 0 = no cap.
    pub max_running: u32,
    /// How often the background loops run.
    pub periods: Periods,
    /// How long a shutdown may take before what is left is cut off.
    pub shutdown_within: Duration,
    /// How connections and streams are kept.
    pub transport: Transport,
    /// What is told, and how long it is kept.
    pub telling: Telling,
    /// How the house is kept.
    pub house: House,
    /// What figures are kept by besides types and queues.
    pub stats: FacetPolicy,
    /// Jobs that may wait in all; 0 = any number. A create beyond it is refused.
    pub max_pending: u32,
    /// How long jobs and their logs are kept.
    pub retention: Retention,
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {given}, and must be {allowed}")]
pub struct Invalid {
    /// Which, as the command line calls it.
    pub setting: &'static str,
    /// What it is set to.
    pub given: String,
    /// What it may be set to.
    pub allowed: String,
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
            database: Database::default(),
            cors_origins: Vec::new(),
            store_timeout: Duration::from_secs(10),
            max_running: 0,
            periods: Periods::default(),
            shutdown_within: SHUTDOWN_WITHIN,
            transport: Transport::default(),
            telling: Telling::default(),
            house: House::default(),
            stats: FacetPolicy::default(),
            max_pending: 0,
            retention: Retention::default(),
        }
    }
}

impl Config {
    /// Checks every setting that has bounds.
    ///
    /// # Errors
    /// With the first one that is out of them.
    pub fn validate(&self) -> Result<(), Invalid> {
        origin::validate(&self.cors_origins)?;
        self.transport.validate()?;
        self.telling.validate()?;
        self.house.validate()?;
        stats::validate(&self.stats)?;
        transport::count(
            "database-read-connections",
            self.read_connections.into(),
            1,
            DATABASE_CONNECTIONS_MAX.into(),
        )?;
        self.database.validate()?;
        transport::count("max-running", self.max_running.into(), 0, CAP_MAX.into())?;
        self.retention.validate()?;
        let (least, most) = (POLL_INTERVAL_MIN, POLL_INTERVAL_MAX);
        transport::span("poll-interval", self.periods.poll, least, most)?;
        transport::span("shutdown-within", self.shutdown_within, SECOND, HOUR)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// How often each loop runs if nothing makes it run earlier.
#[derive(Debug, Clone)]
pub struct Periods {
    /// Newest progress is written to disk.
    pub flush: Duration,
    /// Sessions are renewed, deliveries checked, heartbeats sent.
    pub sessions: Duration,
    /// Sessions whose lease ran out are ended, and their jobs taken back.
    pub leases: Duration,
    /// Timeouts, ends of grace and expiries are met.
    pub deadlines: Duration,
    /// Counters are looked at for jobs that wait, in case a hint was lost.
    pub poll: Duration,
    /// Schedules are looked at although none is known to be due, in case a hint was lost.
    pub schedules: Duration,
    /// It is looked how long the oldest ready job of each queue has waited.
    pub queues: Duration,
    /// Long logs are trimmed.
    pub logs: Duration,
    /// What is past its time is pruned.
    pub prune: Duration,
    /// It is looked whether old jobs are to be taken away.
    pub retention: Duration,
    /// The clock of a store that several servers share is looked at.
    pub clock: Duration,
    /// Figures that commits left in such a store are summed up.
    pub fold: Duration,
    /// No lease is judged for this long after the server came up, or after the last trouble with the
    /// store: its workers had nobody to talk to.
    pub lease_grace: Duration,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(500),
            sessions: Duration::from_secs(1),
            leases: Duration::from_secs(1),
            deadlines: Duration::from_secs(1),
            poll: POLL_INTERVAL,
            schedules: Duration::from_secs(30),
            queues: Duration::from_secs(15),
            logs: Duration::from_secs(5),
            prune: Duration::from_secs(60),
            retention: Duration::from_secs(30),
            clock: Duration::from_secs(10),
            fold: Duration::from_secs(1),
            lease_grace: LEASE_TTL_DEFAULT,
        }
    }
}
