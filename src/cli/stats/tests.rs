use super::*;
use crate::cli::output::tests::captured;
use crate::proto::v1::QuotaUsage;
use crate::proto::v1::get_stats_response::{TypeStats, Window};

#[test]
fn types_and_queues_and_the_last_hour() {
    let counts = vec![StateCount { state: JobState::Failed.into(), count: 2 }];
    let mean = Some(prost_types::Duration { seconds: 3, nanos: 0 });
    let run = Some(Distribution { count: 1, mean, ..Distribution::default() });
    let hour = Some(Window { succeeded: 5, failed: 2, run, ..Window::default() });
    let of = Some(Stats { counts, hour, finished_total: 7_000, ..Stats::default() });
    let by_type = TypeStats { r#type: "t".to_owned(), stats: of.clone(), ..TypeStats::default() };
    let stats =
        GetStatsResponse { totals: of, by_type: vec![by_type], ..GetStatsResponse::default() };
    let (mut out, written) = captured(Format::Table);
    show(&stats, Timestamp::from_micros(0), &mut out).unwrap();
    let text = written.text();
    let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells, ["t", "0", "0", "0", "2", "0", "0", "-", "5", "2", "3.0s", "-"]);
    assert!(text.ends_with("finished in all 7,000\n"), "{text}");
}

/// What is shown of the whole, with its windows.
fn shown(totals: Stats) -> String {
    let by_type = TypeStats { r#type: "t".to_owned(), ..TypeStats::default() };
    let stats = GetStatsResponse {
        totals: Some(totals),
        by_type: vec![by_type],
        ..GetStatsResponse::default()
    };
    let (mut out, written) = captured(Format::Table);
    show(&stats, Timestamp::from_micros(0), &mut out).unwrap();
    written.text()
}

#[test]
fn each_window_has_a_line_and_what_was_counted_is_told() {
    let p95 = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    let run = Some(Distribution { count: 1, p95, ..Distribution::default() });
    let counters = [("rows".to_owned(), 1_234.0), ("share".to_owned(), 0.125)].into();
    let day = Window {
        created: 1_200,
        succeeded: 3,
        failed: 1,
        failure_rate: 0.25,
        run,
        counters,
        ..Window::default()
    };
    let minute = Some(Window::default());
    let text = shown(Stats { minute, day: Some(day), ..Stats::default() });
    let line = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("LAST").last().unwrap(), "P99");
    assert_eq!(line("minute")[1..7], ["0", "0", "0", "0", "0", "-"]);
    assert_eq!(line("day")[1..7], ["1,200", "3", "1", "0", "0", "25.0%"]);
    assert!(line("day").contains(&"2.0s".to_owned()), "{text}");
    assert!(text.contains("counted in the last day: rows 1,234  share 0.12"), "{text}");
}

#[test]
fn what_is_not_known_of_an_owner_is_not_shown_as_nothing() {
    let hour = Some(Window { succeeded: 5, ..Window::default() });
    let text = shown(Stats { hour, ..Stats::default() });
    assert!(!text.contains("minute") && !text.contains("P99"), "{text}");
    let text = shown(Stats::default());
    assert!(text.contains("--stats-by-owner"), "{text}");
}

#[test]
fn quotas_tell_what_is_left_and_until_when() {
    let quota = QuotaUsage {
        name: "api".to_owned(),
        limit: 1_000,
        used: 990,
        remaining: 10,
        reset_time: Some(prost_types::Timestamp { seconds: 7_200, nanos: 0 }),
    };
    let (mut out, written) = captured(Format::Table);
    quotas(&[quota], Timestamp::from_micros(0), &mut out).unwrap();
    let text = written.text();
    let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(cells[..4], ["api", "990", "10", "1,000"]);
    assert!(text.contains("in 2h"), "{text}");
}

#[test]
fn counts_for_one_line_leave_out_zeros() {
    let of = |state: JobState, count| StateCount { state: state.into(), count };
    assert_eq!(
        counted(&[of(JobState::Failed, 1), of(JobState::Succeeded, 2)]),
        "succeeded=2 failed=1"
    );
}
