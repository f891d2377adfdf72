//! Flags about what one peer may have under way.

use crate::config::{Config, PeerLimits};
use crate::domain::limits::{PEER_BYTES_MAX, PEER_CALLS_MAX, PEER_UNANSWERED_MAX};

/// What one address may have under way. Callers behind one proxy share it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connections")]
#[group(skip)]
pub struct Args {
    /// Calls under way at once by one address, watches and worker streams among them; further ones are
    /// refused
    #[arg(long = "max-calls-per-peer", env = "JOBPLANE_MAX_CALLS_PER_PEER", value_name = "N")]
    #[arg(default_value_t = PEER_CALLS_MAX)]
    calls: usize,
    /// Calls of one address that are worked on at once; further ones wait
    #[arg(
        long = "max-unanswered-calls-per-peer",
        env = "JOBPLANE_MAX_UNANSWERED_CALLS_PER_PEER",
        value_name = "N"
    )]
    #[arg(default_value_t = PEER_UNANSWERED_MAX)]
    unanswered: usize,
    /// Bytes held for one address, of unfinished messages and unread answers; further ones end their
    /// call
    #[arg(long = "max-bytes-per-peer", env = "JOBPLANE_MAX_BYTES_PER_PEER", value_name = "BYTES")]
    #[arg(default_value_t = PEER_BYTES_MAX)]
    bytes: usize,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        config.transport.peers =
            PeerLimits { calls: self.calls, unanswered: self.unanswered, bytes: self.bytes };
    }
}
