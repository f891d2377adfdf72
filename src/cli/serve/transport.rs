//! Flags about connections, streams and the stop.

use std::time::Duration;

use crate::cli::parse;
use crate::config::{Config, Connections, Streams, Transport};

/// How the server deals with its peers.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connections")]
#[group(skip)]
pub struct Args {
    /// Let pages of this origin call over gRPC-Web; repeat it, or separate several by commas
    #[arg(long = "cors-origin", env = "JOBPLANE_CORS_ORIGINS", value_name = "ORIGIN")]
    #[arg(value_delimiter = ',')]
    cors_origins: Vec<String>,
    /// Connections open at once; further ones are closed
    #[arg(long, env = "JOBPLANE_MAX_CONNECTIONS", value_name = "N", default_value = "10000")]
    max_connections: usize,
    /// Connections open at once by one address (of IPv6, by one /64 network)
    #[arg(long, env = "JOBPLANE_MAX_CONNECTIONS_PER_PEER", value_name = "N")]
    #[arg(default_value = "2000")]
    max_connections_per_peer: usize,
    /// Calls under way at once over one connection; further ones wait at the client
    #[arg(long, env = "JOBPLANE_MAX_STREAMS_PER_CONNECTION", value_name = "N")]
    #[arg(default_value = "4096")]
    max_streams_per_connection: u32,
    /// Ask a silent peer after this long whether it is there
    #[arg(long, env = "JOBPLANE_KEEPALIVE_INTERVAL", value_name = "DURATION")]
    #[arg(default_value = "20s", value_parser = parse::duration)]
    keepalive_interval: Duration,
    /// Close the connection of a peer that does not answer within this time
    #[arg(long, env = "JOBPLANE_KEEPALIVE_TIMEOUT", value_name = "DURATION")]
    #[arg(default_value = "10s", value_parser = parse::duration)]
    keepalive_timeout: Duration,
    /// End streams around this age (±20 %), so that they spread over replicas anew; 0 is never
    #[arg(long, env = "JOBPLANE_STREAM_MAX_AGE", value_name = "DURATION")]
    #[arg(default_value = "1h", value_parser = parse::duration)]
    stream_max_age: Duration,
    /// Cut off what is still under way this long after the signal to stop
    #[arg(long, env = "JOBPLANE_SHUTDOWN_WITHIN", value_name = "DURATION")]
    #[arg(default_value = "10s", value_parser = parse::duration)]
    shutdown_within: Duration,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        // A variable that is set to nothing says nothing.
        config.cors_origins = self.cors_origins.into_iter().filter(|it| !it.is_empty()).collect();
        config.shutdown_within = self.shutdown_within;
        config.transport = Transport {
            connections: Connections {
                max: self.max_connections,
                peer_max: self.max_connections_per_peer,
                ..Connections::default()
            },
            streams_max: self.max_streams_per_connection,
            keepalive_interval: self.keepalive_interval,
            keepalive_timeout: self.keepalive_timeout,
            streams: Streams { max_age: self.stream_max_age, ..Streams::default() },
            ..Transport::default()
        };
    }
}

#[cfg(test)]
mod tests;
