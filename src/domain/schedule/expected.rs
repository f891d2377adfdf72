//! The dead-man's switch: runs that a scheduler elsewhere was to start, and did not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cursor::{Cursor, INSTANT};
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
    /// Judges the nominal times after `cursor` whose grace is over, by the moments at
    /// which runs came: `runs` is in order and complete from [`EXPECTED_EARLY`] before the cursor on.
    ///
    /// A run answers for each time whose grace it falls into. One that falls into none is early (its
    /// starter's clock may be a little ahead) and answers for the next time, if that is at most
    /// [`EXPECTED_EARLY`] away and nearer than the time before.
    #[must_use]
    pub fn missed(
        &self,
        schedule: &Schedule,
        runs: &[Timestamp],
        cursor: Cursor,
        now: Timestamp,
    ) -> Missed {
        let mut missed = Missed { times: Vec::new(), through: cursor.through, more: false };
        if schedule.spec().paused {
            return missed;
        }
        let mut judged = 0;
        while let Some(time) = schedule.next_owed(cursor.moved(missed.through)) {
            // A cursor that is no nominal time is the moment of a change, and what fell into a gap was not due: nothing
            // was before it.
            let before = Some(missed.through)
                .filter(|before| schedule.names(*before) && schedule.next(*before) == Some(time));
            if time.plus(self.grace_period) >= now {
                break;
            }
            if judged == SCHEDULE_BATCH_MAX {
                missed.more = true;
                break;
            }
            judged += 1;
            if !self.came(schedule, runs, before, time) {
                missed.times.push(time);
            }
            missed.through = time;
        }
        missed
    }

    /// Whether a run answers for `time`, the first one after `before`.
    fn came(
        &self,
        schedule: &Schedule,
        runs: &[Timestamp],
        before: Option<Timestamp>,
        time: Timestamp,
    ) -> bool {
        let period = match before {
            Some(before) => Some(time.since(before)),
            None => schedule.next(time).map(|next| next.since(time)),
        };
        let early = period.map_or(EXPECTED_EARLY, |period| EXPECTED_EARLY.min(period / 2));
        let first = time.minus(early);
        // What still answers for the time before is not early for this one.
        let first = before.map_or(first, |it| first.max(it.plus(self.grace_period + INSTANT)));
        let first = first.min(time);
        let at = runs.partition_point(|run| *run < first);
        runs.get(at).is_some_and(|run| *run <= time.plus(self.grace_period))
    }
}
