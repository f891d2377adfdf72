//! How long jobs and their logs are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::ids::JobType;
use crate::domain::job::{Job, JobSpec};
use crate::domain::limits::{
    LOG_RETENTION_DEFAULT, RETENTION_DEFAULT, RETENTION_MAX, RETENTION_MIN,
};
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;
use crate::domain::written::span_text;

use super::purge::Terminal;

/// How long the jobs of one type are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeRetention {
    /// In any state that is not named; as the policy says if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Duration>,
    /// By state.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<Terminal, Duration>,
}

/// How long things are kept. The nearer word wins: the job's own, its type's for the state, its
/// type's, the state's, the general one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetentionPolicy {
    /// Jobs, from their end on.
    pub jobs: Duration,
    /// Jobs by state.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<Terminal, Duration>,
    /// Jobs by type.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<JobType, TypeRetention>,
    /// Log lines of jobs that are over; at most as long as the job.
    pub logs: Duration,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self {
            jobs: RETENTION_DEFAULT,
            states: BTreeMap::new(),
            types: BTreeMap::new(),
            logs: LOG_RETENTION_DEFAULT,
        }
    }
}

/// Jobs that a purge may take: of one type and in one terminal state, without a word of their own,
/// that ended before a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoff {
    /// Of this type; of any if unset.
    pub job_type: Option<JobType>,
    /// In this state.
    pub state: Terminal,
    /// Ended before this moment.
    pub end_before: Timestamp,
}

impl RetentionPolicy {
    /// Notes each span that is wrong, named after `prefix` (`retention.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let plain = [("jobs".to_owned(), self.jobs), ("logs".to_owned(), self.logs)];
        let states = by_state("states", &self.states);
        let types = self.types.iter().flat_map(|(job_type, of_type)| {
            let at = format!("types[{job_type}]");
            let jobs = of_type.jobs.map(|span| (format!("{at}.jobs"), span));
            let states: Vec<_> = by_state(&format!("{at}.states"), &of_type.states).collect();
            jobs.into_iter().chain(states)
        });
        for (name, span) in plain.into_iter().chain(states).chain(types) {
            let good = (RETENTION_MIN..=RETENTION_MAX).contains(&span);
            violations.check(good, &format!("{prefix}{name}"), || {
                format!("must be from 1 to 365 days, is {}", span_text(span))
            });
        }
    }

    /// How long a job without a word of its own is kept after it ended in `state`.
    #[must_use]
    pub fn span(&self, job_type: &JobType, state: Terminal) -> Duration {
        let of_type = self.types.get(job_type);
        let nearest = of_type.and_then(|of| of.states.get(&state).copied().or(of.jobs));
        nearest.or_else(|| self.states.get(&state).copied()).unwrap_or(self.jobs)
    }

    /// How long a job is kept after it ended in `state`.
    #[must_use]
    pub fn span_of(&self, spec: &JobSpec, state: Terminal) -> Duration {
        spec.retention.unwrap_or_else(|| self.span(&spec.job_type, state))
    }

    /// When `job` may be taken away. Unset for one that is not over.
    #[must_use]
    pub fn purge_time(&self, job: &Job) -> Option<Timestamp> {
        let state = Terminal::of(job.status.kind())?;
        let end = job.status.end_time?;
        Some(end.plus(self.span_of(&job.spec, state)))
    }

    /// Whether a purge at `now` may take `job`.
    #[must_use]
    pub fn is_due(&self, job: &Job, now: Timestamp) -> bool {
        self.purge_time(job).is_some_and(|time| time <= now)
    }

    /// The same for all jobs without a word of their own, as bounds that a database can go by: for each
    /// state, those of the types in the policy and of `known`, and then of any other type.
    #[must_use]
    pub fn cutoffs(&self, known: &[JobType], now: Timestamp) -> Vec<Cutoff> {
        // What ended at `end` is due at `end + span`, so from `now − span` back, that moment included.
        let before = |span: Duration| now.minus(span).plus(Duration::from_micros(1));
        let mut types: Vec<_> = self.types.keys().chain(known).collect();
        types.sort_unstable();
        types.dedup();
        let mut cutoffs = Vec::with_capacity((types.len() + 1) * Terminal::ALL.len());
        for state in Terminal::ALL {
            cutoffs.extend(types.iter().map(|job_type| Cutoff {
                job_type: Some((*job_type).clone()),
                state,
                end_before: before(self.span(job_type, state)),
            }));
            let other = self.states.get(&state).copied().unwrap_or(self.jobs);
            cutoffs.push(Cutoff { job_type: None, state, end_before: before(other) });
        }
        cutoffs
    }
}

fn by_state(
    at: &str,
    states: &BTreeMap<Terminal, Duration>,
) -> impl Iterator<Item = (String, Duration)> {
    states.iter().map(move |(state, span)| (format!("{at}[{}]", state.kind().as_str()), *span))
}
