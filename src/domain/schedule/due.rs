//! Which nominal times are due.

use super::cursor::Cursor;
use super::timing::{Nominal, Schedule};
use crate::domain::ids::JobType;
use crate::domain::limits::SCHEDULE_BATCH_MAX;
use crate::domain::time::Timestamp;

/// Whether a due run still starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lateness {
    /// It starts, if the overlap policy lets it.
    Run,
    /// It is later than the catch-up window: it is recorded as SKIPPED with MISSED.
    Missed,
}

/// A nominal time that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTime {
    /// The moment.
    pub nominal: Nominal,
    /// Whether its run still starts.
    pub lateness: Lateness,
}

/// What is due at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// In order; each becomes one job, running or skipped.
    pub times: Vec<DueTime>,
    /// Nominal times up to here are settled once those jobs are made: the next cursor.
    pub through: Timestamp,
    /// More is due than fits into one step.
    pub more: bool,
}

impl Schedule {
    /// The nominal times after `cursor` whose runs start by `now`, the oldest first.
    ///
    /// A run that its jitter holds back holds back those after it, so that the cursor passes none.
    #[must_use]
    pub fn due(&self, job_type: &JobType, cursor: Cursor, now: Timestamp) -> Due {
        let mut due = Due { times: Vec::new(), through: cursor.through, more: false };
        if self.spec().paused {
            return due;
        }
        let missed_before = now.minus(self.spec().catch_up());
        while let Some(time) = self.next_owed(cursor.moved(due.through)) {
            let nominal = self.nominal(job_type, time);
            if nominal.fire_time > now {
                break;
            }
            if due.times.len() == SCHEDULE_BATCH_MAX {
                due.more = true;
                break;
            }
            // What its jitter could have come to: it may have waited for one before it as long as that.
            let latest = time.plus(self.spec().jitter.unwrap_or_default());
            let lateness = if latest < missed_before { Lateness::Missed } else { Lateness::Run };
            due.times.push(DueTime { nominal, lateness });
            due.through = time;
        }
        due
    }
}
