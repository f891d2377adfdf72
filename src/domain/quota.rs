//! Outside quotas: what somebody else allows in an hour, a day, a week or a month.
//!
//! A start draws what its type costs; what its worker says it really used corrects that. All state is
//! data: who stores it compares [`QuotaState::revision`], so that racing starts never draw too much.

use jiff::ToSpan as _;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::limits::QUOTA_UNITS_MAX;
use super::time::Timestamp;
use super::validate::Violations;
use super::zone::Zone;

/// What a quota is counted over, on the wall clock of its zone. Weeks begin on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Period {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    #[default]
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

super::written::short_names!(Period {
    Hour = "HOUR",
    Day = "DAY",
    Week = "WEEK",
    Month = "MONTH",
});

/// What becomes of a job that comes up when the rest of a quota is too little for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnExhausted {
    /// It waits for the next period.
    #[default]
    Wait,
    /// It is recorded as SKIPPED with QUOTA_EXHAUSTED.
    Skip,
}

super::written::short_names!(OnExhausted { Wait = "WAIT", Skip = "SKIP" });

/// A quota as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaSpec {
    /// Units in a period.
    pub limit: u64,
    /// The period.
    #[serde(default)]
    pub period: Period,
    /// The IANA zone whose clock tells when a period begins; UTC if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// What becomes of a job that finds too little.
    #[serde(default)]
    pub on_exhausted: OnExhausted,
}

impl QuotaSpec {
    /// The quota it describes, or a note in `violations` of each field that is wrong, named after
    /// `prefix` (`quotas.youtube.`).
    pub fn compile(&self, prefix: &str, violations: &mut Violations) -> Option<Quota> {
        let good = (1..=QUOTA_UNITS_MAX).contains(&self.limit);
        violations.check(good, &format!("{prefix}limit"), || {
            format!("must be from 1 to {QUOTA_UNITS_MAX}, is {}", self.limit)
        });
        let zone = violations.take(&format!("{prefix}time_zone"), Zone::named(&self.time_zone));
        zone.filter(|_| good).map(|zone| Quota { spec: self.clone(), zone })
    }
}

/// What is used of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaState {
    /// +1 for each change: guards a write.
    pub revision: i64,
    /// Beginning of the period that `used` belongs to.
    pub period_start: Timestamp,
    /// Units drawn in it, corrected by what was really used; may pass the limit by that.
    pub used: u64,
}

/// What a job draws from a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaDraw {
    /// Units taken by its start.
    pub units: u64,
    /// Beginning of the period they were taken from.
    pub period_start: Timestamp,
    /// Units it really used so far, as its worker says; all of them, not what was added since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
}

impl QuotaDraw {
    /// Units that count for it in a period: in one that began after its start only what goes beyond
    /// the draw, for the draw itself was counted in its own.
    fn counted(self, period_start: Timestamp) -> u64 {
        let used = self.used.unwrap_or(self.units);
        if self.period_start == period_start { used } else { used.saturating_sub(self.units) }
    }
}

/// The answer to a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// It is taken.
    Taken {
        /// How the quota stands now.
        state: QuotaState,
        /// What the job is to remember.
        draw: QuotaDraw,
    },
    /// Too little is left.
    Exhausted {
        /// When the next period begins.
        reset_time: Timestamp,
    },
    /// It costs more than a whole period has.
    Never,
}

/// A quota that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    spec: QuotaSpec,
    zone: Zone,
}

impl Quota {
    /// As its author wrote it.
    #[must_use]
    pub fn spec(&self) -> &QuotaSpec {
        &self.spec
    }

    /// Beginning and end of the period that `now` lies in.
    #[must_use]
    pub fn period(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        self.boundaries(now).unwrap_or((now, Timestamp::from_micros(i64::MAX)))
    }

    fn boundaries(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let mut begin = self.first_of_period(self.zone.local(now)?)?;
        let mut start = self.zone.moment(begin)?;
        // A clock that was set back may have shown the next beginning already, and then it counts.
        loop {
            begin = self.next_period(begin)?;
            let end = self.zone.moment(begin)?;
            if end > now {
                return Some((start, end));
            }
            start = end;
        }
    }

    fn first_of_period(&self, local: DateTime) -> Option<DateTime> {
        let day = local.date();
        match self.spec.period {
            Period::Hour => Some(day.at(local.hour(), 0, 0, 0)),
            Period::Day => Some(day.at(0, 0, 0, 0)),
            Period::Week => {
                let since_monday = i64::from(day.weekday().to_monday_zero_offset());
                Some(day.checked_sub(since_monday.days()).ok()?.at(0, 0, 0, 0))
            }
            Period::Month => Some(day.first_of_month().at(0, 0, 0, 0)),
        }
    }

    fn next_period(&self, begin: DateTime) -> Option<DateTime> {
        let length = match self.spec.period {
            Period::Hour => 1.hour(),
            Period::Day => 1.day(),
            Period::Week => 1.week(),
            Period::Month => 1.month(),
        };
        begin.checked_add(length).ok()
    }

    /// How the quota stands at `now`: what was used in an earlier period is forgotten.
    #[must_use]
    pub fn current(&self, state: QuotaState, now: Timestamp) -> QuotaState {
        let (period_start, _) = self.period(now);
        // A period that begins later than the one now is another server's clock: it stays.
        if state.period_start >= period_start {
            return state;
        }
        QuotaState { revision: state.revision + 1, period_start, used: 0 }
    }

    /// Units left in this period.
    #[must_use]
    pub fn remaining(&self, state: QuotaState, now: Timestamp) -> u64 {
        self.spec.limit.saturating_sub(self.current(state, now).used)
    }

    /// Whether by this change too little is left for a start of this `cost`, of any if nobody knows it.
    #[must_use]
    pub fn runs_out(
        &self,
        before: QuotaState,
        after: QuotaState,
        cost: Option<u64>,
        now: Timestamp,
    ) -> bool {
        let enough = cost.unwrap_or(1).max(1);
        self.remaining(before, now) >= enough && self.remaining(after, now) < enough
    }

    /// When the next period begins.
    #[must_use]
    pub fn reset_time(&self, now: Timestamp) -> Timestamp {
        self.period(now).1
    }

    /// Takes `cost` units for a start.
    #[must_use]
    pub fn draw(&self, state: QuotaState, cost: u64, now: Timestamp) -> Drawn {
        if cost > self.spec.limit {
            return Drawn::Never;
        }
        let mut state = self.current(state, now);
        match state.used.checked_add(cost).filter(|used| *used <= self.spec.limit) {
            Some(used) => {
                let draw = QuotaDraw { units: cost, period_start: state.period_start, used: None };
                state.used = used;
                state.revision += 1;
                Drawn::Taken { state, draw }
            }
            None => Drawn::Exhausted { reset_time: self.reset_time(now) },
        }
    }

    /// Corrects what is used by what a job says it really used: its draw `before` and `after` that
    /// word. The same word said twice counts once. `began` is when the job's run did.
    #[must_use]
    pub fn settle(
        &self,
        state: QuotaState,
        before: QuotaDraw,
        after: QuotaDraw,
        (began, now): (Timestamp, Timestamp),
    ) -> QuotaState {
        let mut state = self.current(state, now);
        let (was, is) = (before.counted(state.period_start), after.counted(state.period_start));
        // By the difference: what was said in an earlier period does not count in this one. Nor is it taken
        // back in this one, of a run that goes on from an earlier one: nobody knows when it was said, and
        // others drew what is there now.
        let is_of_this = after.period_start.max(began) >= state.period_start;
        let used = if is >= was {
            state.used.saturating_add(is - was)
        } else if is_of_this {
            state.used.saturating_sub(was - is)
        } else {
            state.used
        };
        if used != state.used {
            state.used = used;
            state.revision += 1;
        }
        state
    }
}

#[cfg(test)]
mod tests;
