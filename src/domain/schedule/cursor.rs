//! How far a schedule is settled, and what a change of it does to that.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timing::Schedule;
use crate::domain::limits::SCHEDULE_CHANGE_TIMES_MAX;
use crate::domain::time::Timestamp;

/// The resolution of a moment.
pub(super) const INSTANT: Duration = Duration::from_micros(1);

/// How far a schedule is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Nominal times up to here have their job, or need none.
    pub through: Timestamp,
    /// Nominal times in here need none, either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// A time in which a schedule did not act, while something from before it was still owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first moment after this one belongs to it.
    pub from: Timestamp,
    /// The last moment that belongs to it; unset while the schedule does not act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Gap {
    fn covers(&self, time: Timestamp) -> bool {
        self.from < time && self.until.is_none_or(|until| time <= until)
    }
}

/// A schedule at one side of a change.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// When it is due.
    pub schedule: &'a Schedule,
    /// Whether it acts: it is neither paused, nor of a disabled type.
    pub acts: bool,
}

impl Cursor {
    /// Where everything up to `through` is settled, and nothing after it.
    #[must_use]
    pub const fn at(through: Timestamp) -> Self {
        Self { through, gap: None }
    }

    /// Where it stands once all is settled up to `through`.
    #[must_use]
    pub fn moved(self, through: Timestamp) -> Self {
        let is_ahead = |gap: &Gap| gap.until.is_none_or(|until| until > through);
        Self { through, gap: self.gap.filter(is_ahead) }
    }

    /// Where it stands after its schedule was written anew.
    ///
    /// What both name and is not settled yet, for its jitter or its grace is not over, stays owed: that times are
    /// spelled differently, or end, loses nothing. Nothing fires by a schedule that did not say so then: the cursor
    /// goes past the last moment that only the new one names. What only the old one named is dropped with it.
    ///
    /// While the schedule does not act nothing is settled. Once it acts again, what was owed before is settled as
    /// always, and what fell in between needs nothing. Of two such times, with something still owed from before the
    /// first, what lies between them is taken for one of them.
    #[must_use]
    pub fn after_change(self, before: Side<'_>, after: Side<'_>, now: Timestamp) -> Self {
        // A server whose clock was ahead may have left it in what is the future: jobs that it made hold their times.
        let mut cursor = self.moved(self.through.min(now));
        let owed_until = match cursor.gap {
            _ if before.acts => now,
            Some(Gap { from, until: None }) => from.min(now),
            // Nothing was owed when it stopped.
            Some(_) | None => return Self::at(now),
        };
        cursor = cursor.moved(last_new(before.schedule, after.schedule, cursor, owed_until));
        if before.acts && after.acts {
            return cursor;
        }
        if before.acts {
            let gap = cursor.without_idle_gap(before.schedule).gap;
            let from = gap.map_or(now, |gap| gap.from);
            cursor.gap = Some(Gap { from, until: None });
        }
        if after.acts {
            cursor.gap = cursor.gap.map(|gap| Gap { until: Some(now), ..gap });
        }
        cursor.without_idle_gap(after.schedule)
    }

    /// The same without a gap that nothing is owed before.
    fn without_idle_gap(self, schedule: &Schedule) -> Self {
        match self.gap {
            Some(Gap { from, until: Some(until) })
                if schedule.next(self.through).is_none_or(|next| next > from) =>
            {
                Self::at(self.through.max(until))
            }
            Some(_) | None => self,
        }
    }
}

impl Schedule {
    /// The first nominal time after `cursor` that is to be settled, as if the schedule were not paused.
    #[must_use]
    pub fn next_owed(&self, cursor: Cursor) -> Option<Timestamp> {
        let next = self.next(cursor.through)?;
        match cursor.gap.filter(|gap| gap.covers(next)) {
            Some(gap) => self.next(gap.until?),
            None => Some(next),
        }
    }

    /// Whether it names this very moment.
    pub(super) fn names(&self, time: Timestamp) -> bool {
        self.next(time.minus(INSTANT)) == Some(time)
    }
}

/// The last moment up to `until` that `after` names and `before` did not, at least where `cursor` is; `until` if
/// there are too many to tell.
fn last_new(before: &Schedule, after: &Schedule, cursor: Cursor, until: Timestamp) -> Timestamp {
    let mut last = cursor.through;
    if before.times() == after.times() {
        return last;
    }
    let mut at = cursor;
    for _ in 0..SCHEDULE_CHANGE_TIMES_MAX {
        let Some(time) = after.next_owed(at).filter(|time| *time <= until) else { return last };
        if !before.names(time) {
            last = time;
        }
        at = at.moved(time);
    }
    last.max(until)
}
