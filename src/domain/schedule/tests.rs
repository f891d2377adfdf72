//! Times that come once, in order, and none that is lost.

mod changes;
mod dst;
mod missed;
mod properties;
mod times;

use std::time::Duration;

use super::{Nominal, Schedule, ScheduleSpec};
use crate::domain::validate::Violations;
use crate::domain::written::moment_text;
use crate::domain::{JobType, Timestamp};

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(at.as_microsecond())
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn sync() -> JobType {
    JobType::new("sync").unwrap()
}

fn cron(text: &str, zone: &str) -> ScheduleSpec {
    ScheduleSpec { cron: text.to_owned(), time_zone: zone.to_owned(), ..ScheduleSpec::default() }
}

fn every(seconds: u64) -> ScheduleSpec {
    ScheduleSpec { interval: Some(secs(seconds)), ..ScheduleSpec::default() }
}

fn compile(spec: &ScheduleSpec) -> Schedule {
    let mut violations = Violations::default();
    let schedule = spec.compile("schedule.", &mut violations);
    assert_eq!(violations.as_slice(), []);
    schedule.unwrap()
}

/// The nominal times after `after`, as text.
fn times(spec: &ScheduleSpec, after: &str, count: usize) -> Vec<String> {
    let all = compile(spec).fire_times(&sync(), at(after), count);
    all.into_iter().map(|Nominal { time, .. }| moment_text(time).unwrap()).collect()
}
