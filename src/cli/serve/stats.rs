//! Flags about figures.

use crate::config::Config;
use crate::domain::stats::FacetPolicy;

/// What figures are kept by besides types and queues.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Statistics")]
#[group(skip)]
pub struct Args {
    /// Keep figures of the last hour and day for each owner, too
    #[arg(long = "stats-by-owner", env = "JOBPLANE_STATS_BY_OWNER")]
    by_owner: bool,
    /// Keep them for each value of this label, too; repeat it, or separate several by commas, at most 4
    #[arg(long = "stats-by-label", env = "JOBPLANE_STATS_BY_LABELS", value_name = "KEY")]
    #[arg(value_delimiter = ',')]
    by_labels: Vec<String>,
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        let Self { by_owner, mut by_labels } = self;
        by_labels.sort();
        by_labels.dedup();
        config.stats = FacetPolicy { by_owner, by_labels };
    }
}
