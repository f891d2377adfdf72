use super::*;
use crate::cli::summary::narrowed::median;
use crate::proto::v1::{Job, JobStatus, Progress, StateCount};

fn ran(seconds: i64) -> Job {
    let run_duration = Some(prost_types::Duration { seconds, nanos: 0 });
    Job { status: Some(JobStatus { run_duration, ..JobStatus::default() }), ..Job::default() }
}

fn texts(summary: &Summary, wide: bool) -> String {
    let rows = [row(summary, Timestamp::from_micros(100_000_000), wide)];
    table(wide).frame(&rows, 400, false).swap_remove(1)
}

#[test]
fn a_line_says_how_the_last_run_went_and_how_it_usually_goes() {
    let progress = Progress {
        total: Some(2847),
        completed: 1523,
        percent: Some(53.4948),
        ..Progress::default()
    };
    let status = JobStatus {
        state: JobState::Running.into(),
        start_time: Some(prost_types::Timestamp { seconds: 60, nanos: 0 }),
        run_duration: Some(prost_types::Duration { seconds: 40, nanos: 0 }),
        progress: Some(progress),
        ..JobStatus::default()
    };
    let summary = Summary {
        r#type: "sync".to_owned(),
        last_job: Some(Job { status: Some(status), ..Job::default() }),
        typical_run_duration: Some(prost_types::Duration { seconds: 75, nanos: 0 }),
        failed_last_day: 2,
        ..Summary::default()
    };
    let line = texts(&summary, false);
    let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let expected = ["sync", "40s ago", "RUNNING", "1523/2847 (53.5 %)", "40s", "1m 15s", "2", "-"];
    assert_eq!(cells, expected);
}

#[test]
fn a_type_that_is_disabled_or_never_ran_is_a_line_too() {
    let summary = Summary { r#type: "old".to_owned(), disabled: true, ..Summary::default() };
    assert!(texts(&summary, false).starts_with("old (disabled)  -"));
}

#[test]
fn figures_that_were_not_counted_are_not_shown_as_zero() {
    let counts = vec![StateCount { state: JobState::Failed.into(), count: 3 }];
    let counted = Summary { counts, ..Summary::default() };
    let cells = |summary| {
        texts(summary, true).split_whitespace().rev().take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(cells(&counted), ["-", "0", "0"]);
    assert_eq!(cells(&Summary::default()), ["-", "-", "-"]);
}

#[test]
fn the_usual_run_is_the_median() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[ran(9), ran(1), ran(2)]), Some(Duration::from_secs(2)));
    assert_eq!(median(&[ran(4), ran(1)]), Some(Duration::from_millis(2_500)));
}

#[test]
fn what_does_not_fit_on_the_screen_is_counted() {
    let lines = || ["TYPE", "a", "b", "c", "d"].map(ToOwned::to_owned).to_vec();
    assert_eq!(cut(lines(), 5), lines());
    assert_eq!(cut(lines(), 4), ["TYPE", "a", "b", "… 2 more"]);
    assert_eq!(cut(lines(), 0), ["TYPE", "a", "… 3 more"]);
}
