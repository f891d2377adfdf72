//! Settings of a server.

use std::net::SocketAddr;
use std::time::Duration;

use crate::domain::limits::{
    LEASE_TTL_DEFAULT, PEER_BYTES_MAX, PEER_CALLS_MAX, PEER_UNANSWERED_MAX,
};

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
    /// What one peer may have under way at once.
    pub peers: PeerLimits,
    /// How long a caller waits for the database before it is told UNAVAILABLE.
    pub store_timeout: Duration,
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
            peers: PeerLimits::default(),
            store_timeout: Duration::from_secs(10),
            periods: Periods::default(),
            shutdown_within: Duration::from_secs(10),
        }
    }
}

/// What one peer, an address, may have under way at once. Callers behind one proxy are one peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerLimits {
    /// Calls, watches and worker streams among them; the next one is refused.
    pub calls: usize,
    /// Calls without an answer yet; the next one waits.
    pub unanswered: usize,
    /// Bytes of unfinished messages and of unread answers.
    pub bytes: usize,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self { calls: PEER_CALLS_MAX, unanswered: PEER_UNANSWERED_MAX, bytes: PEER_BYTES_MAX }
    }
}

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
    /// Long logs are trimmed.
    pub logs: Duration,
    /// What is past its time is pruned.
    pub prune: Duration,
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
            poll: Duration::from_secs(1),
            logs: Duration::from_secs(5),
            prune: Duration::from_secs(60),
            lease_grace: LEASE_TTL_DEFAULT,
        }
    }
}
