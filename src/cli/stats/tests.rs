use super::*;
use crate::cli::output::tests::captured;
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

#[test]
fn counts_for_one_line_leave_out_zeros() {
    let of = |state: JobState, count| StateCount { state: state.into(), count };
    assert_eq!(
        counted(&[of(JobState::Failed, 1), of(JobState::Succeeded, 2)]),
        "succeeded=2 failed=1"
    );
}
