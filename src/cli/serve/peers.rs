//! What `jobplane serve` is told about peers.

use crate::config::PeerLimits;
use crate::domain::limits::{PEER_BYTES_MAX, PEER_CALLS_MAX, PEER_UNANSWERED_MAX};

/// What one address may have under way; raise it for a proxy that many callers stand behind.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct PeerArgs {
    /// Calls that one address may have under way, watches and worker streams among them
    #[arg(long, env = "JOBPLANE_MAX_CALLS_PER_PEER", value_name = "N")]
    #[arg(default_value_t = PEER_CALLS_MAX)]
    pub max_calls_per_peer: usize,
    /// Calls of one address that are worked on at once; more of them wait
    #[arg(long, env = "JOBPLANE_MAX_UNANSWERED_CALLS_PER_PEER", value_name = "N")]
    #[arg(default_value_t = PEER_UNANSWERED_MAX)]
    pub max_unanswered_calls_per_peer: usize,
    /// Bytes of unfinished messages and unread answers that are held for one address
    #[arg(long, env = "JOBPLANE_MAX_BYTES_PER_PEER", value_name = "BYTES")]
    #[arg(default_value_t = PEER_BYTES_MAX)]
    pub max_bytes_per_peer: usize,
}

impl PeerArgs {
    /// As settings.
    #[must_use]
    pub const fn limits(self) -> PeerLimits {
        PeerLimits {
            calls: self.max_calls_per_peer,
            unanswered: self.max_unanswered_calls_per_peer,
            bytes: self.max_bytes_per_peer,
        }
    }
}
