//! How long is too long, and for which jobs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::ids::JobType;
use crate::domain::job::{Job, OnStuck};
use crate::domain::limits::{
    SWEEP_AFTER_MAX, SWEEP_AFTER_MIN, SWEEP_BY_HAND_MINUTES_DEFAULT, SWEEP_BY_HAND_MINUTES_MAX,
    SWEEP_BY_HAND_MINUTES_MIN, SWEEP_PERIOD_DEFAULT,
};
use crate::domain::status::State;
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;

use super::finding::Finding;

/// What a running job is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Basis {
    /// The time since its start, whatever it showed.
    #[default]
    Start,
    /// The time since its last activity; one that never reported anything is not judged.
    Progress,
}

/// The automatic sweep, as the configuration has it. It finds what has no bound of its own: a job's
/// `stuck_after` goes before `quiet_after`, its `timeout` before `run_after`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepPolicy {
    /// Pause between two sweeps.
    pub period: Duration,
    /// A job without `stuck_after` is stuck after this long without activity; never if unset. 20 min
    /// are customary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_after: Option<Duration>,
    /// A job without `timeout` is stuck this long after its start; never if unset. 120 min are customary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_after: Option<Duration>,
}

impl Default for SweepPolicy {
    fn default() -> Self {
        Self { period: SWEEP_PERIOD_DEFAULT, quiet_after: None, run_after: None }
    }
}

impl SweepPolicy {
    /// Notes each field that is wrong, named after `prefix` (`sweep.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        let spans = [
            ("period", Some(self.period)),
            ("quiet_after", self.quiet_after),
            ("run_after", self.run_after),
        ];
        for (name, span) in spans {
            let good = span.is_none_or(|span| (SWEEP_AFTER_MIN..=SWEEP_AFTER_MAX).contains(&span));
            violations.check(good, &format!("{prefix}{name}"), || "must be from 1m to 24h".into());
        }
    }
}

/// The standing watch by what the configuration says of jobs without bounds of their own. A job's own
/// `stuck_after` is kept to the moment, by its deadline (`machine`).
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    policy: &'a SweepPolicy,
}

impl<'a> Watch<'a> {
    /// The watch under `policy`.
    #[must_use]
    pub const fn new(policy: &'a SweepPolicy) -> Self {
        Self { policy }
    }

    /// Whether `job` is stuck by what the configuration says of jobs without a bound of their own.
    #[must_use]
    pub fn sweep(&self, job: &Job, now: Timestamp) -> Option<Finding> {
        let quiet_after = self.policy.quiet_after.filter(|_| job.spec.stuck_after.is_none());
        let run_after = self.policy.run_after.filter(|_| job.spec.timeout.is_none());
        let quiet = quiet_since(job).zip(quiet_after).map(|found| (Basis::Progress, found));
        let long = start(job).zip(run_after).map(|found| (Basis::Start, found));
        let mut found = [quiet, long].into_iter().flatten();
        let (basis, (since, _)) = found.find(|(_, (since, after))| since.plus(*after) <= now)?;
        Some(Finding::running(job, basis, since, now))
    }
}

/// A sweep by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// How long is too long.
    pub threshold: Duration,
    /// What running jobs are judged by.
    pub basis: Basis,
    /// Whether jobs that have been ready for as long fail, too.
    pub include_pending: bool,
    /// Jobs of these types; all if empty.
    pub types: Vec<JobType>,
}

impl Sweep {
    /// A threshold in minutes as callers give it: 0 is the default.
    ///
    /// Out of bounds it is noted as wrong, and there is none.
    pub fn threshold(minutes: i64, field: &str, violations: &mut Violations) -> Option<Duration> {
        let wanted = if minutes == 0 { SWEEP_BY_HAND_MINUTES_DEFAULT.into() } else { minutes };
        let bounds = SWEEP_BY_HAND_MINUTES_MIN.into()..=SWEEP_BY_HAND_MINUTES_MAX.into();
        violations.check(bounds.contains(&wanted), field, || {
            format!(
                "must be from {SWEEP_BY_HAND_MINUTES_MIN} to {SWEEP_BY_HAND_MINUTES_MAX} minutes, or 0 \
                 for {SWEEP_BY_HAND_MINUTES_DEFAULT}, is {minutes}"
            )
        });
        let minutes = u64::try_from(wanted).ok().filter(|_| bounds.contains(&wanted))?;
        Some(Duration::from_secs(60 * minutes))
    }

    /// What started, showed activity or became ready after this moment is left alone.
    #[must_use]
    pub fn cutoff_time(&self, now: Timestamp) -> Timestamp {
        now.minus(self.threshold)
    }

    /// Whether the sweep means `job`.
    #[must_use]
    pub fn look(&self, job: &Job, now: Timestamp) -> Option<Finding> {
        if !self.types.is_empty() && !self.types.contains(&job.spec.job_type) {
            return None;
        }
        let is_old = |since: &Timestamp| *since <= self.cutoff_time(now);
        if let State::Pending { .. } = job.status.state {
            let ready = Some(job.status.schedule_time).filter(|_| self.include_pending);
            return ready.filter(is_old).map(|since| Finding::waiting(job, since, now));
        }
        let since = match self.basis {
            Basis::Start => start(job),
            Basis::Progress => quiet_since(job),
        };
        since.filter(is_old).map(|since| Finding::running(job, self.basis, since, now))
    }
}

/// When a running job was started that nobody has asked to stop, or told of as stuck, yet.
fn start(job: &Job) -> Option<Timestamp> {
    let status = &job.status;
    let told = status.attention.stuck_time.is_some() && job.spec.on_stuck == OnStuck::Notify;
    let runs = status.session().is_some() && status.cancel_request.is_none() && !told;
    status.execution.as_ref().filter(|_| runs).map(|execution| execution.start_time)
}

/// The last activity of such a job, if it ever showed any.
fn quiet_since(job: &Job) -> Option<Timestamp> {
    start(job).and(job.status.progress.activity_time)
}
