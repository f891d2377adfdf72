//! Flags about watchdogs and resource limits.

use std::time::Duration;

use crate::cli::parse;
use crate::config::{Config, House};
use crate::domain::usage::UsagePolicy;
use crate::domain::watchdog::SweepPolicy;

/// How the house is kept.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Watchdogs")]
#[group(skip)]
pub struct Args {
    /// Look this often for running jobs that are stuck and have no bound of their own: 1m to 24h
    #[arg(long = "sweep-period", env = "JOBPLANE_SWEEP_PERIOD", value_name = "DURATION")]
    #[arg(default_value = "15m", value_parser = parse::duration)]
    sweep_period: Duration,
    /// A job without `stuck_after` is stuck after so long without activity, counted from its last report or
    /// log line: 1m to 24h, 20m is customary; never if unset
    #[arg(long = "stuck-after", env = "JOBPLANE_STUCK_AFTER", value_name = "DURATION")]
    #[arg(value_parser = parse::duration)]
    stuck_after: Option<Duration>,
    /// A job without `timeout` is stuck so long after its start, whatever it shows: 1m to 24h, 120m is
    /// customary; never if unset
    #[arg(long = "sweep-run-after", env = "JOBPLANE_SWEEP_RUN_AFTER", value_name = "DURATION")]
    #[arg(value_parser = parse::duration)]
    run_after: Option<Duration>,
    /// A job may use more than its limits for so long, by what its worker reports: at most 1h
    #[arg(long = "limit-sustain", env = "JOBPLANE_LIMIT_SUSTAIN", value_name = "DURATION")]
    #[arg(default_value = "30s", value_parser = parse::duration)]
    limit_sustain: Duration,
    /// A job that used more than its limits for too long gets so long to stop: at most 1h
    #[arg(long = "limit-grace", env = "JOBPLANE_LIMIT_GRACE", value_name = "DURATION")]
    #[arg(default_value = "30s", value_parser = parse::duration)]
    limit_grace: Duration,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        let (period, quiet_after) = (self.sweep_period, self.stuck_after);
        config.house = House {
            sweep: SweepPolicy { period, quiet_after, run_after: self.run_after },
            usage: UsagePolicy { sustain: self.limit_sustain, grace: self.limit_grace },
        };
    }
}
