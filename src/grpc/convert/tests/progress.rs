#![expect(clippy::float_cmp, reason = "exact by construction")]

use std::time::Duration;

use crate::domain::limits::PROGRESS_COUNT_MAX;
use crate::domain::{Progress, ResourceUsage};
use crate::grpc::convert::{progress, time, usage};
use crate::proto::v1;

use super::{NOW, checked, span};

/// Changes an empty report and reads it.
fn with(change: impl FnOnce(&mut v1::Progress)) -> Result<Progress, Vec<String>> {
    let mut report = v1::Progress::default();
    change(&mut report);
    checked(|v| progress::from_proto(report, NOW, v, "progress"))
}

fn wrong(change: impl FnOnce(&mut v1::Progress), field: &str) {
    assert_eq!(with(change), Err(vec![format!("progress.{field}")]));
}

#[test]
fn an_empty_report_counts_as_reported() {
    let progress = with(|_| {}).expect("valid");
    assert!(progress.is_reported());
    assert_eq!(progress.report_time, Some(NOW));
}

#[test]
fn the_server_alone_says_when_a_report_arrived() {
    let forged = time::to_proto(NOW.plus(Duration::from_secs(99)));
    let progress = with(|p| p.report_time = Some(forged)).expect("valid");
    let start = NOW.minus(Duration::from_secs(10));
    let shown = progress::to_proto(&progress, start, None, NOW.plus(Duration::from_secs(5)));
    assert_eq!(shown.report_time, Some(time::to_proto(NOW)));
    let shown = progress::to_proto(&Progress::default(), start, None, NOW);
    assert_eq!(shown.report_time, None);
}

#[test]
fn counts_keep_their_bounds() {
    wrong(|p| p.completed = -1, "completed");
    wrong(|p| p.succeeded = -1, "succeeded");
    wrong(|p| p.failed = i64::MIN, "failed");
    wrong(|p| p.total = Some(-1), "total");
}

#[test]
fn sums_of_counts_do_not_overflow() {
    assert!(with(|p| p.completed = PROGRESS_COUNT_MAX).is_ok());
    wrong(|p| p.completed = PROGRESS_COUNT_MAX + 1, "completed");
    wrong(|p| p.failed = i64::MAX, "failed");
    wrong(|p| p.sequence = -1, "sequence");
    wrong(|p| p.sequence = i64::MAX, "sequence");
}

#[test]
fn no_more_than_the_total_is_completed() {
    let of = |completed, total| {
        with(|p| {
            p.total = Some(total);
            p.completed = completed;
        })
    };
    assert!(of(10, 10).is_ok() && of(0, 0).is_ok());
    assert_eq!(of(11, 10), Err(vec!["progress.completed".to_owned()]));
}

#[test]
fn succeeded_and_failed_need_not_add_up() {
    let found = with(|p| {
        p.completed = 1;
        p.succeeded = 5;
        p.failed = 5;
    });
    assert!(found.is_ok());
}

#[test]
fn a_percentage_stands_alone_and_within_0_to_100() {
    assert!(with(|p| p.percent = Some(0.0)).is_ok() && with(|p| p.percent = Some(100.0)).is_ok());
    for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
        wrong(|p| p.percent = Some(percent), "percent");
    }
    let beside = |p: &mut v1::Progress| {
        p.total = Some(10);
        p.percent = Some(50.0);
    };
    wrong(beside, "percent");
}

#[test]
fn texts_keep_their_bounds() {
    assert!(with(|p| p.unit = "u".repeat(64)).is_ok());
    wrong(|p| p.unit = "u".repeat(65), "unit");
    assert!(with(|p| p.current_step = "s".repeat(256)).is_ok());
    wrong(|p| p.current_step = "s".repeat(257), "current_step");
    assert!(with(|p| p.message = "m".repeat(1_024)).is_ok());
    wrong(|p| p.message = "m".repeat(1_025), "message");
    wrong(|p| p.step_number = -1, "step_number");
    wrong(|p| p.step_count = -1, "step_count");
    wrong(|p| p.estimated_remaining = Some(span(-1, 0)), "estimated_remaining");
}

#[test]
fn counters_keep_their_bounds() {
    let counters = |count: usize| (0..count).map(|n| (format!("c{n}"), 1.0)).collect();
    assert!(with(|p| p.counters = counters(8)).is_ok());
    wrong(|p| p.counters = counters(9), "counters");
    let one = |name: String, value| [(name, value)].into_iter().collect();
    assert!(with(|p| p.counters = one("n".repeat(63), -1.5)).is_ok());
    assert!(with(|p| p.counters = one("n".repeat(64), 1.0)).is_err());
    wrong(|p| p.counters = one(String::new(), 1.0), "counters[\"\"]");
    wrong(|p| p.counters = one("n".to_owned(), f64::NAN), "counters[\"n\"]");
}

#[test]
fn what_follows_from_a_report_is_told() {
    let mut progress = with(|p| {
        p.total = Some(200);
        p.completed = 50;
        p.sequence = 7;
    })
    .expect("valid");
    progress.rate = None;
    let start = NOW.minus(Duration::from_secs(10));
    let shown = progress::to_proto(&progress, start, None, NOW);
    assert_eq!((shown.percent, shown.sequence), (Some(25.0), 7));
    assert_eq!(shown.average_rate_per_second, 5.0);
    assert_eq!(shown.elapsed, Some(span(10, 0)));
    assert_eq!(shown.remaining, Some(span(30, 0)));
}

#[test]
fn nothing_remains_of_an_execution_that_ended() {
    let progress = with(|p| {
        p.total = Some(200);
        p.completed = 50;
    })
    .expect("valid");
    let start = NOW.minus(Duration::from_secs(100));
    let end = start.plus(Duration::from_secs(10));
    let shown = progress::to_proto(&progress, start, Some(end), NOW);
    assert_eq!((shown.remaining, shown.elapsed), (None, Some(span(10, 0))));
}

#[test]
fn usage_is_finite_and_not_negative() {
    let read = |usage| checked(|v| usage::from_proto(usage, "resource_usage", v));
    let good = v1::ResourceUsage {
        cpu_percent: Some(250.0),
        memory_bytes: Some(1),
        peak_memory_bytes: Some(2),
    };
    let usage = read(good).expect("valid");
    assert_eq!(usage, ResourceUsage { cpu_percent: 250.0, memory_bytes: 1, peak_memory_bytes: 2 });
    assert_eq!(usage::to_proto(&usage), good);
    let bad = v1::ResourceUsage {
        cpu_percent: Some(f64::NAN),
        memory_bytes: Some(-1),
        peak_memory_bytes: Some(-1),
    };
    let fields = ["cpu_percent", "memory_bytes", "peak_memory_bytes"];
    assert_eq!(read(bad), Err(fields.map(|name| format!("resource_usage.{name}")).to_vec()));
    assert_eq!(read(v1::ResourceUsage::default()), Ok(ResourceUsage::default()));
}
