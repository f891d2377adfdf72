//! Settings of the transport.

use std::time::Duration;

use crate::domain::limits::{
    CONNECTION_STREAMS_MAX, CONNECTION_WINDOW_BYTES, CONNECTIONS_MAX, HANDSHAKE_WITHIN,
    HEAD_WITHIN, HEADER_LIST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
    PEER_CONNECTIONS_MAX, STREAM_AGE_GRACE, STREAM_AGE_MAX, STREAM_WINDOW_BYTES, WATCH_HEARTBEAT,
};

use super::{HOUR, Invalid, PeerLimits, SECOND};

/// How connections and streams are kept.
#[derive(Debug, Clone)]
pub struct Transport {
    /// How many connections there may be, and how fast they get to the point.
    pub connections: Connections,
    /// What one peer may have under way.
    pub peers: PeerLimits,
    /// HTTP/2 streams of one connection at once.
    pub streams_max: u32,
    /// HTTP/2 window of a stream.
    pub stream_window_bytes: u32,
    /// HTTP/2 window of a connection.
    pub connection_window_bytes: u32,
    /// The headers of a call.
    pub header_list_bytes_max: u32,
    /// A silent peer is asked after this long whether it is there.
    pub keepalive_interval: Duration,
    /// A peer that does not answer for this long is given up.
    pub keepalive_timeout: Duration,
    /// How long streams live, and how they show it.
    pub streams: Streams,
}

/// How long streams live, and how they show it.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    /// Streams end around this age; zero is never.
    pub max_age: Duration,
    /// A worker told to attach anew has this long before its old stream ends.
    pub grace: Duration,
    /// Silence after which a watch says that it lives.
    pub watch_heartbeat: Duration,
}

impl Default for Streams {
    fn default() -> Self {
        Self { max_age: STREAM_AGE_MAX, grace: STREAM_AGE_GRACE, watch_heartbeat: WATCH_HEARTBEAT }
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            connections: Connections::default(),
            peers: PeerLimits::default(),
            streams_max: CONNECTION_STREAMS_MAX,
            stream_window_bytes: STREAM_WINDOW_BYTES,
            connection_window_bytes: CONNECTION_WINDOW_BYTES,
            header_list_bytes_max: HEADER_LIST_BYTES_MAX,
            keepalive_interval: KEEPALIVE_INTERVAL,
            keepalive_timeout: KEEPALIVE_TIMEOUT,
            streams: Streams::default(),
        }
    }
}

/// How many connections there may be, and how fast they get to the point.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Open at once.
    pub max: usize,
    /// Open at once by one peer address.
    pub peer_max: usize,
    /// The handshake is over within this time.
    pub handshake_within: Duration,
    /// The first words are there within this time.
    pub head_within: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: CONNECTIONS_MAX,
            peer_max: PEER_CONNECTIONS_MAX,
            handshake_within: HANDSHAKE_WITHIN,
            head_within: HEAD_WITHIN,
        }
    }
}

/// What HTTP/2 allows a window to be at most.
const WINDOW_BYTES_BOUND: u64 = (1 << 31) - 1;
/// More connections than a process can have descriptors.
const CONNECTIONS_BOUND: u64 = 1_000_000;
/// More calls than any memory holds.
const CALLS_BOUND: u64 = 10_000_000;
/// More bytes than any memory holds.
const BYTES_BOUND: u64 = 1 << 40;

impl Transport {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Connections { max, peer_max, .. } = self.connections;
        count("max-connections", max as u64, 1, CONNECTIONS_BOUND)?;
        count("max-connections-per-peer", peer_max as u64, 1, CONNECTIONS_BOUND)?;
        let PeerLimits { calls, unanswered, bytes } = self.peers;
        count("max-calls-per-peer", calls as u64, 1, CALLS_BOUND)?;
        count("max-unanswered-calls-per-peer", unanswered as u64, 1, CALLS_BOUND)?;
        // A message of the largest size must fit in.
        let message = MESSAGE_BYTES_MAX as u64;
        count("max-bytes-per-peer", bytes as u64, message, BYTES_BOUND)?;
        count("max-streams-per-connection", self.streams_max.into(), 1, 100_000)?;
        let window = u64::from(self.stream_window_bytes);
        count("stream-window", window, 16 * 1024, WINDOW_BYTES_BOUND)?;
        // Streams that stall must leave some of the connection to others.
        let whole = u64::from(self.connection_window_bytes);
        count(
            "connection-window",
            whole,
            (2 * window).min(WINDOW_BYTES_BOUND),
            WINDOW_BYTES_BOUND,
        )?;
        count("max-header-bytes", self.header_list_bytes_max.into(), 4 * 1024, 1024 * 1024)?;
        span("keepalive-interval", self.keepalive_interval, SECOND, HOUR)?;
        span("keepalive-timeout", self.keepalive_timeout, SECOND, HOUR)?;
        if !self.streams.max_age.is_zero() {
            span("stream-max-age", self.streams.max_age, SECOND, 30 * 24 * HOUR)?;
        }
        Ok(())
    }
}

pub(super) fn count(
    setting: &'static str,
    value: u64,
    least: u64,
    most: u64,
) -> Result<(), Invalid> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Invalid { setting, given: value.to_string(), allowed: format!("{least} to {most}") })
}

pub(super) fn span(
    setting: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), Invalid> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let text = |span: Duration| humantime::format_duration(span).to_string();
    let allowed = format!("{} to {}", text(least), text(most));
    Err(Invalid { setting, given: text(value), allowed })
}

#[cfg(test)]
mod tests;
