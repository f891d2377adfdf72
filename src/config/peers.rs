//! Settings of what one peer may have under way.

use crate::domain::limits::{PEER_BYTES_MAX, PEER_CALLS_MAX, PEER_UNANSWERED_MAX};

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
