//! A schedule as its author writes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::overlap::OverlapPolicy;
use super::timing::{Schedule, Timing};
use crate::domain::limits::{
    CATCH_UP_DEFAULT, CATCH_UP_MAX, CATCH_UP_MIN, INTERVAL_MIN, JITTER_MAX, SPAN_MAX,
};
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;
use crate::domain::written;
use crate::domain::zone::Zone;

/// When a type's jobs are to run. Exactly one of `cron` and `interval` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleSpec {
    /// `minute hour day month weekday`, with seconds before them or without, or `@daily` and the like.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cron: String,
    /// Every so often, counted from `start_time`, or from the Unix epoch if that is unset.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// The IANA zone whose wall clock `cron` means; UTC if empty. It says nothing of an interval.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// Each run starts up to this much later, by an amount of its own: herds spread out.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// Nothing before.
    #[serde(with = "written::optional_moment", skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Nothing from then on.
    #[serde(with = "written::optional_moment", skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// Nothing while it is set. What falls into a pause is not made up for, what was owed before is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// What happens when a run is due and another one is not over.
    pub overlap_policy: OverlapPolicy,
    /// A run this much later than its jitter lets it be still starts, one later is recorded as missed; an hour if unset.
    #[serde(with = "written::optional_span", skip_serializing_if = "Option::is_none")]
    pub catch_up_window: Option<Duration>,
}

impl ScheduleSpec {
    /// How late a run may still start.
    #[must_use]
    pub fn catch_up(&self) -> Duration {
        self.catch_up_window.unwrap_or(CATCH_UP_DEFAULT)
    }

    /// The schedule it describes, or a note in `violations` of each field that is wrong, named after
    /// `prefix` (`job_type.schedule.`).
    pub fn compile(&self, prefix: &str, violations: &mut Violations) -> Option<Schedule> {
        let field = |name: &str| format!("{prefix}{name}");
        let zone = violations.take(&field("time_zone"), Zone::named(&self.time_zone));
        let bounded = |span: Option<Duration>, name, range: std::ops::RangeInclusive<Duration>| {
            let wrong = span.filter(|span| !range.contains(span));
            wrong.map(|span| (field(name), written::out_of_range(span, &range)))
        };
        let wrong = [
            bounded(self.interval, "interval", INTERVAL_MIN..=SPAN_MAX),
            bounded(self.jitter, "jitter", Duration::ZERO..=JITTER_MAX),
            bounded(self.catch_up_window, "catch_up_window", CATCH_UP_MIN..=CATCH_UP_MAX),
        ];
        let spans_good = wrong.iter().all(Option::is_none);
        for (path, description) in wrong.into_iter().flatten() {
            violations.add(path, description);
        }
        let ordered = match (self.start_time, self.end_time) {
            (Some(start), Some(end)) => start < end,
            (Some(_) | None, None) | (None, Some(_)) => true,
        };
        violations.check(ordered, &field("end_time"), || "must be after start_time".to_owned());
        let timing = match (self.cron.as_str(), self.interval) {
            ("", None) => {
                violations.add(field("cron"), "cron or interval must be set");
                None
            }
            ("", Some(interval)) => Some(Timing::Every { interval }),
            (_, Some(_)) => {
                violations.add(field("interval"), "must not be set beside cron");
                None
            }
            (text, None) => {
                let cron = violations.take(&field("cron"), Cron::parse(text));
                cron.zip(zone.clone()).map(|(cron, zone)| Timing::Cron { cron, zone })
            }
        };
        (zone.is_some() && spans_good && ordered)
            .then_some(timing)
            .flatten()
            .map(|timing| Schedule::new(self.clone(), timing))
    }
}
