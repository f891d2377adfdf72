//! The nominal times of a schedule.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::cron::Cron;
use super::spec::ScheduleSpec;
use crate::domain::ids::JobType;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// Wall-clock times tried for one moment: on the day a clock is set back, each second of the hour that
/// it shows again was taken already. No zone ever repeated more than a day.
const REPEATED_SECONDS_MAX: usize = 86_400;

/// A moment a schedule names: the key under which it fires once, and when its run starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nominal {
    /// What the schedule says.
    pub time: Timestamp,
    /// With the jitter of this type and moment.
    pub fire_time: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Timing {
    Cron { cron: Cron, zone: Zone },
    Every { interval: Duration },
}

/// A schedule that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    spec: ScheduleSpec,
    timing: Timing,
}

impl Schedule {
    pub(super) fn new(spec: ScheduleSpec, timing: Timing) -> Self {
        Self { spec, timing }
    }

    /// As its author wrote it.
    #[must_use]
    pub fn spec(&self) -> &ScheduleSpec {
        &self.spec
    }

    /// All that says when it is due: two of which this is the same name the same times.
    pub(super) fn times(&self) -> impl PartialEq + use<'_> {
        let ScheduleSpec { cron, interval, time_zone, start_time, end_time, .. } = &self.spec;
        (cron, interval, time_zone, start_time, end_time)
    }

    /// The first nominal time after `after`, whether or not the schedule is paused.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let instant = Duration::from_micros(1);
        let after = match self.spec.start_time {
            Some(start) => after.max(start.minus(instant)),
            None => after,
        };
        let next = match &self.timing {
            Timing::Cron { cron, zone } => next_by_clock(cron, zone, after),
            Timing::Every { interval } => {
                next_by_count(self.spec.start_time.unwrap_or_default(), *interval, after)
            }
        };
        next.filter(|next| self.spec.end_time.is_none_or(|end| *next < end))
    }

    /// A nominal time of this schedule with the moment at which its run starts.
    #[must_use]
    pub fn nominal(&self, job_type: &JobType, time: Timestamp) -> Nominal {
        let jitter = self.spec.jitter.unwrap_or_default();
        Nominal { time, fire_time: time.plus(spread(job_type, time, jitter)) }
    }

    /// The next `count` nominal times after `after`, as if it were not paused.
    #[must_use]
    pub fn fire_times(&self, job_type: &JobType, after: Timestamp, count: usize) -> Vec<Nominal> {
        let first = self.next(after);
        let times = std::iter::successors(first, |time| self.next(*time));
        times.take(count).map(|time| self.nominal(job_type, time)).collect()
    }
}

fn next_by_clock(cron: &Cron, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
    let mut local = zone.local(after)?;
    for _ in 0..=REPEATED_SECONDS_MAX {
        local = cron.after(local)?;
        // What a clock shows for the second time was a nominal time when it showed it first.
        let moment = zone.moment(local)?;
        if moment > after {
            return Some(moment);
        }
    }
    None
}

/// `anchor + k × interval`, wherever `after` lies: replicas that never met agree.
fn next_by_count(anchor: Timestamp, interval: Duration, after: Timestamp) -> Option<Timestamp> {
    let interval = i128::try_from(interval.as_micros()).ok().filter(|interval| *interval > 0)?;
    let anchor = i128::from(anchor.as_micros());
    let passed = (i128::from(after.as_micros()) - anchor).div_euclid(interval);
    let next = anchor + (passed + 1) * interval;
    i64::try_from(next).ok().map(Timestamp::from_micros)
}

/// A share of `jitter` that hangs on type and moment alone, so that replicas agree on it.
fn spread(job_type: &JobType, time: Timestamp, jitter: Duration) -> Duration {
    let width = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
    if width == 0 {
        return Duration::ZERO;
    }
    let mut digest = Sha256::new();
    digest.update(job_type.as_str());
    digest.update([0]);
    digest.update(time.as_micros().to_le_bytes());
    let digest = digest.finalize();
    let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    Duration::from_micros(number % width.saturating_add(1).max(1))
}
