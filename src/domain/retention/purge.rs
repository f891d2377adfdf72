//! A purge: what it may take, by hand, and how far it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::job::Job;
use crate::domain::limits::{PURGE_DAYS_DEFAULT, PURGE_DAYS_MAX, PURGE_DAYS_MIN};
use crate::domain::status::StateKind;
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;

/// A state in which a job is over. There is no other way to name the jobs of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Terminal {
    /// See [`StateKind::Succeeded`].
    Succeeded,
    /// See [`StateKind::Failed`].
    Failed,
    /// See [`StateKind::Cancelled`].
    Cancelled,
    /// See [`StateKind::Skipped`].
    Skipped,
}

impl Terminal {
    /// Every such state.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Cancelled, Self::Skipped];

    /// The state, if a job that stands there is over.
    #[must_use]
    pub const fn of(kind: StateKind) -> Option<Self> {
        match kind {
            StateKind::Pending | StateKind::Running => None,
            StateKind::Succeeded => Some(Self::Succeeded),
            StateKind::Failed => Some(Self::Failed),
            StateKind::Cancelled => Some(Self::Cancelled),
            StateKind::Skipped => Some(Self::Skipped),
        }
    }

    /// The state's name among all.
    #[must_use]
    pub const fn kind(self) -> StateKind {
        match self {
            Self::Succeeded => StateKind::Succeeded,
            Self::Failed => StateKind::Failed,
            Self::Cancelled => StateKind::Cancelled,
            Self::Skipped => StateKind::Skipped,
        }
    }
}

/// A purge by hand. It goes by the end of the jobs alone, whatever policy or spec say of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// What ended within this time stays.
    pub keep: Duration,
    /// Jobs in these states, never none.
    pub states: Vec<Terminal>,
}

impl Purge {
    /// A purge as callers ask for it: no states are all, 0 days are 30.
    ///
    /// What is wrong is noted under the fields' names, and there is none.
    pub fn new(
        days_to_keep: i64,
        states: &[StateKind],
        violations: &mut Violations,
    ) -> Option<Self> {
        let days = if days_to_keep == 0 { PURGE_DAYS_DEFAULT.into() } else { days_to_keep };
        let good = (PURGE_DAYS_MIN.into()..=PURGE_DAYS_MAX.into()).contains(&days);
        violations.check(good, "days_to_keep", || {
            format!(
                "must be from {PURGE_DAYS_MIN} to {PURGE_DAYS_MAX}, or 0 for {PURGE_DAYS_DEFAULT}, is \
                 {days_to_keep}"
            )
        });
        let mut wanted = Vec::new();
        for (index, kind) in states.iter().enumerate() {
            match Terminal::of(*kind) {
                Some(state) if wanted.contains(&state) => {}
                Some(state) => wanted.push(state),
                None => violations.add(
                    format!("states[{index}]"),
                    format!("must be a state in which a job is over, is {}", kind.as_str()),
                ),
            }
        }
        if states.is_empty() {
            wanted.extend(Terminal::ALL);
        }
        // Wrong states alone are not none: they must not come to mean all.
        let good = good && states.iter().all(|kind| kind.is_terminal());
        let days = u64::try_from(days).ok().filter(|_| good)?;
        Some(Self { keep: Duration::from_secs(days * 24 * 3600), states: wanted })
    }

    /// What ended at this moment or later stays.
    #[must_use]
    pub fn cutoff_time(&self, now: Timestamp) -> Timestamp {
        now.minus(self.keep)
    }

    /// Whether the purge means `job`.
    #[must_use]
    pub fn takes(&self, job: &Job, now: Timestamp) -> bool {
        let state = Terminal::of(job.status.kind());
        state.is_some_and(|state| self.states.contains(&state))
            && job.status.end_time.is_some_and(|end| end < self.cutoff_time(now))
    }
}

/// What a purge, or one of its batches, has done: for the log, the audit and GetServerInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PurgeRun {
    /// Jobs taken away.
    pub jobs: u64,
    /// Of these, written to the archive before.
    pub archived: u64,
    /// Log batches taken away, before their job or by their own age.
    pub logs: u64,
    /// Statements it took.
    pub batches: u64,
    /// Jobs of which nobody knows whether they were taken away: the store was lost in the middle.
    pub in_doubt: u64,
    /// Jobs that the store could not read or take away: they were left, with their logs or without.
    pub left: u64,
}

impl PurgeRun {
    /// Whether it took nothing away, for all that is known.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.jobs + self.logs + self.in_doubt == 0
    }

    /// For people.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { jobs, archived, logs, batches, in_doubt, left } = self;
        let doubt = if *in_doubt == 0 {
            String::new()
        } else {
            format!(", and perhaps {in_doubt} jobs more")
        };
        let left = if *left == 0 { String::new() } else { format!("; {left} jobs were left") };
        format!(
            "{jobs} jobs ({archived} archived) and {logs} log batches taken away in {batches} batches{doubt}{left}"
        )
    }
}
