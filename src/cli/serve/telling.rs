//! Flags about what is told: events and the audit.

use std::time::Duration;

use crate::cli::parse;
use crate::config::{Config, Telling};
use crate::domain::event::Wanted;

/// What is told, and how long it is kept.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Events")]
#[group(skip)]
pub struct Args {
    /// Write an event for each job that succeeds, too
    #[arg(long, env = "JOBPLANE_EVENT_SUCCESSES")]
    event_successes: bool,
    /// Write an event when the oldest ready job of a queue has waited this long; 0 is never
    #[arg(long, env = "JOBPLANE_QUEUE_AGE", value_name = "DURATION")]
    #[arg(default_value = "1h", value_parser = parse::duration)]
    queue_age: Duration,
    /// Keep events this long
    #[arg(long, env = "JOBPLANE_EVENT_RETENTION", value_name = "DURATION")]
    #[arg(default_value = "7d", value_parser = parse::duration)]
    event_retention: Duration,
    /// Keep the audit this long
    #[arg(long, env = "JOBPLANE_AUDIT_RETENTION", value_name = "DURATION")]
    #[arg(default_value = "365d", value_parser = parse::duration)]
    audit_retention: Duration,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        config.telling = Telling {
            wanted: Wanted { successes: self.event_successes },
            queue_age: self.queue_age,
            events_kept: self.event_retention,
            audit_kept: self.audit_retention,
        };
    }
}
