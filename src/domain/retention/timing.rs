//! When a purge runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::limits::{PURGE_PERIOD_MAX, PURGE_PERIOD_MIN};
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;
use crate::domain::zone::Zone;

/// Days looked at for the next purge: each has its time of day, so the second one has it at the latest.
const DAYS_MAX: usize = 4;

/// A time of day on a clock on the wall, `02:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay {
    hour: i8,
    minute: i8,
}

/// A text that is no time of day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a time of day from 00:00 to 23:59, is {0:?}")]
pub struct NoTimeOfDay(String);

impl FromStr for TimeOfDay {
    type Err = NoTimeOfDay;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoTimeOfDay(text.to_owned());
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let part = |digits: &str, most: i8| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| plain && *number <= most)
        };
        let (hour, minute) = part(hour, 23).zip(part(minute, 59)).ok_or_else(wrong)?;
        Ok(Self { hour, minute })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// When a purge runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeTiming {
    /// Once a day, when a clock in a zone shows that time.
    Daily {
        /// The time.
        at: TimeOfDay,
        /// The zone of the clock.
        time_zone: Zone,
    },
    /// Again and again after this pause.
    Every(Duration),
}

impl Default for PurgeTiming {
    fn default() -> Self {
        Self::Daily { at: TimeOfDay { hour: 2, minute: 0 }, time_zone: Zone::UTC }
    }
}

impl PurgeTiming {
    /// Notes what is wrong, named after `prefix` (`retention.`).
    pub fn validate(&self, prefix: &str, violations: &mut Violations) {
        if let Self::Every(span) = self {
            let good = (PURGE_PERIOD_MIN..=PURGE_PERIOD_MAX).contains(span);
            violations
                .check(good, &format!("{prefix}every"), || "must be from 1m to 7 days".to_owned());
        }
    }

    /// The first run after `last`, the run before; the next of the day, or at once, if there was none:
    /// a server that is started again and again must not put its purge off each time.
    #[must_use]
    pub fn next(&self, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
        match self {
            Self::Every(span) => last.map_or(now, |last| last.plus(*span)),
            Self::Daily { at, time_zone } => {
                next_by_clock(*at, time_zone, last.unwrap_or(now)).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// The first moment after `after` at which a clock there shows `at`, or, on a day on which it never
/// does, the first one past the gap. None at the end of all calendars.
fn next_by_clock(at: TimeOfDay, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
    let mut day = zone.local(after)?.date();
    for _ in 0..DAYS_MAX {
        let moment = zone.moment(day.at(at.hour, at.minute, 0, 0))?;
        if moment > after {
            return Some(moment);
        }
        day = day.tomorrow().ok()?;
    }
    None
}
