//! The dead-man's switch: runs that a scheduler elsewhere was to start, and did not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timing::Schedule;
use crate::domain::limits::{EXPECTED_EARLY, SCHEDULE_BATCH_MAX};
use crate::domain::time::Timestamp;
use crate::domain::written;

/// A type whose runs are started elsewhere: its schedule says when one must come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// A run must have come this long after its nominal time.
    #[serde(with = "written::span")]
    pub grace_period: Duration,
}

/// What a look at the past found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Nominal times without a run, in order; each becomes a job SKIPPED with MISSED.
    pub times: Vec<Timestamp>,
    /// Nominal times up to here are judged: the next cursor.
    pub through: Timestamp,
    /// More is to be judged than fits into one step.
    pub more: bool,
}

impl Expected {
    /// Judges the nominal times after the cursor `through` whose grace is over, by the moments at
    /// which runs came: `runs` is in order and complete from [`EXPECTED_EARLY`] before the cursor on.
    ///
    /// A run answers for the last nominal time before it (its starter's clock may be a little
    /// ahead), so each answers for one, whenever it is judged.
    #[must_use]
    pub fn missed(
        &self,
        schedule: &Schedule,
        runs: &[Timestamp],
        through: Timestamp,
        now: Timestamp,
    ) -> Missed {
        let mut missed = Missed { times: Vec::new(), through, more: false };
        if schedule.spec().paused {
            return missed;
        }
        let mut judged = 0;
        while let Some(time) = schedule.next(missed.through) {
            if time.plus(self.grace_period) >= now {
                break;
            }
            if judged == SCHEDULE_BATCH_MAX {
                missed.more = true;
                break;
            }
            judged += 1;
            if !self.came(schedule, runs, time) {
                missed.times.push(time);
            }
            missed.through = time;
        }
        missed
    }

    fn came(&self, schedule: &Schedule, runs: &[Timestamp], time: Timestamp) -> bool {
        let first = time.minus(EXPECTED_EARLY);
        let last = time.plus(self.grace_period);
        let until = schedule.next(time).map(|next| next.minus(EXPECTED_EARLY));
        let at = runs.partition_point(|run| *run < first);
        runs.get(at).is_some_and(|run| *run <= last && until.is_none_or(|until| *run < until))
    }
}
