//! Flags about what is kept, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::parse;
use crate::config::{Config, Retention};
use crate::domain::retention::{PurgeTiming, Terminal, TimeOfDay};
use crate::domain::zone::Zone;
use crate::domain::{JobType, StateKind};

/// How long jobs and logs are kept, and when they are taken away.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Retention")]
#[group(skip)]
pub struct Args {
    /// Keep jobs this long after their end, where neither their spec nor another flag says otherwise
    #[arg(long = "retention-jobs", env = "JOBPLANE_RETENTION_JOBS", value_name = "DURATION")]
    #[arg(default_value = "30d", value_parser = parse::duration)]
    jobs: Duration,
    /// Keep jobs that ended in a state this long, for instance failed=90d; repeat it, or separate several by commas
    #[arg(
        long = "retention-state",
        env = "JOBPLANE_RETENTION_STATES",
        value_name = "STATE=DURATION"
    )]
    #[arg(value_delimiter = ',', value_parser = of_state)]
    states: Vec<(Terminal, Duration)>,
    /// Keep jobs of a type this long, or those in one state: sync=7d, sync@failed=90d; as above
    #[arg(long = "retention-type", env = "JOBPLANE_RETENTION_TYPES")]
    #[arg(value_name = "TYPE[@STATE]=DURATION", value_delimiter = ',', value_parser = of_type)]
    types: Vec<OfType>,
    /// Keep the log lines of jobs this long after their end, and never longer than the job
    #[arg(long = "retention-logs", env = "JOBPLANE_RETENTION_LOGS", value_name = "DURATION")]
    #[arg(default_value = "7d", value_parser = parse::duration)]
    logs: Duration,
    /// Take old jobs away at this time of day
    #[arg(long, env = "JOBPLANE_PURGE_AT", value_name = "HH:MM", default_value = "02:00")]
    purge_at: TimeOfDay,
    /// The time zone of that time, such as Europe/Berlin; empty is UTC
    #[arg(long, env = "JOBPLANE_PURGE_TIME_ZONE", value_name = "ZONE", default_value = "")]
    #[arg(value_parser = Zone::named)]
    purge_time_zone: Zone,
    /// Take old jobs away again and again after this long, instead of once a day
    #[arg(long, env = "JOBPLANE_PURGE_EVERY", value_name = "DURATION")]
    #[arg(value_parser = parse::duration)]
    purge_every: Option<Duration>,
    /// Write what is taken away into files in this folder before, as zstd JSON lines
    #[arg(long, env = "JOBPLANE_ARCHIVE", value_name = "DIR")]
    archive: Option<PathBuf>,
}

/// A type, maybe in one state, and how long its jobs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfType {
    job_type: JobType,
    state: Option<Terminal>,
    span: Duration,
}

fn state(text: &str) -> Result<Terminal, String> {
    let kind = StateKind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text));
    kind.and_then(Terminal::of)
        .ok_or_else(|| "a state is one of succeeded, failed, cancelled and skipped".to_owned())
}

fn span(text: &str) -> Result<(&str, Duration), String> {
    let (of, span) = text.split_once('=').ok_or("want NAME=DURATION, for instance failed=90d")?;
    Ok((of, parse::duration(span)?))
}

fn of_state(text: &str) -> Result<(Terminal, Duration), String> {
    let (of, span) = span(text)?;
    Ok((state(of)?, span))
}

fn of_type(text: &str) -> Result<OfType, String> {
    let (of, span) = span(text)?;
    let (name, state_text) = of.split_once('@').map_or((of, None), |(name, of)| (name, Some(of)));
    let job_type = JobType::any(name).map_err(|error| format!("the type {error}"))?;
    Ok(OfType { job_type, state: state_text.map(state).transpose()?, span })
}

impl Args {
    /// Sets what was said.
    pub(super) fn set(self, config: &mut Config) {
        let Retention { policy, timing, archive } = &mut config.retention;
        policy.jobs = self.jobs;
        policy.logs = self.logs;
        policy.states = self.states.into_iter().collect();
        for OfType { job_type, state, span } in self.types {
            let of_type = policy.types.entry(job_type).or_default();
            match state {
                Some(state) => {
                    of_type.states.insert(state, span);
                }
                None => of_type.jobs = Some(span),
            }
        }
        *timing = match self.purge_every {
            Some(span) => PurgeTiming::Every(span),
            None => PurgeTiming::Daily { at: self.purge_at, time_zone: self.purge_time_zone },
        };
        *archive = self.archive.filter(|folder| !folder.as_os_str().is_empty());
    }
}

#[cfg(test)]
mod tests;
