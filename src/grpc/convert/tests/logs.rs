use bytes::Bytes;
use prost::Message as _;

use crate::domain::LogEntry;
use crate::domain::limits::{LOG_BATCH_BYTES_MAX, LOG_BATCH_LINES_MAX, LOG_ENTRY_BYTES_MAX};
use crate::engine::{LogGap, LogLine};
use crate::grpc::convert::{logs, time};
use crate::proto::v1;

use super::{NOW, checked};

fn line(message: &str) -> v1::LogEntry {
    v1::LogEntry { message: message.to_owned(), ..Default::default() }
}

/// A line of this size when encoded.
fn line_of(bytes: usize) -> v1::LogEntry {
    let overhead = line(&"x".repeat(bytes)).encoded_len() - bytes;
    let line = line(&"x".repeat(bytes - overhead));
    assert_eq!(line.encoded_len(), bytes);
    line
}

fn read(entries: Vec<v1::LogEntry>) -> Result<Vec<LogEntry>, Vec<String>> {
    checked(|v| logs::from_proto(entries, NOW, v, "logs"))
}

#[test]
fn lines_get_their_defaults() {
    let read = read(vec![line("hello")]).expect("valid");
    assert_eq!((read[0].time, read[0].message.as_str()), (NOW, "hello"));
    assert_eq!(read[0].level, crate::domain::LogLevel::Info);
}

#[test]
fn a_batch_keeps_its_bounds() {
    assert_eq!(read(Vec::new()), Ok(Vec::new()));
    assert!(read(vec![line(""); LOG_BATCH_LINES_MAX]).is_ok());
    let logs = || Err(vec!["logs".to_owned()]);
    assert_eq!(read(vec![line(""); LOG_BATCH_LINES_MAX + 1]), logs());
    let full = LOG_BATCH_BYTES_MAX / LOG_ENTRY_BYTES_MAX;
    let mut lines = vec![line_of(LOG_ENTRY_BYTES_MAX); full];
    assert!(read(lines.clone()).is_ok());
    lines.push(line("x"));
    assert_eq!(read(lines), logs());
}

#[test]
fn every_wrong_line_is_named() {
    let entries = vec![
        line("good"),
        line_of(LOG_ENTRY_BYTES_MAX + 1),
        v1::LogEntry { level: 9, step: "s".repeat(257), ..Default::default() },
        v1::LogEntry { data: Some(Bytes::from_static(b"\xff")), ..Default::default() },
    ];
    let expected = ["logs[1]", "logs[2].level", "logs[2].step", "logs[3].data"];
    assert_eq!(read(entries), Err(expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_line_comes_back_with_its_number() {
    let entry = read(vec![line("b")]).expect("valid").remove(0);
    let shown = logs::line_to_proto(LogLine { sequence: 5_121, attempt: 2, lease_epoch: 3, entry });
    assert_eq!((shown.sequence, shown.attempt, shown.lease_epoch), (5_121, 2, 3));
    assert_eq!((shown.message.as_str(), shown.time), ("b", Some(time::to_proto(NOW))));
    assert_eq!(shown.level(), v1::LogLevel::Info);
}

#[test]
fn lines_that_were_let_go_are_counted() {
    let shown = logs::gap_to_proto(&LogGap { lease_epoch: 3, after_sequence: 5_119, dropped: 42 });
    assert_eq!((shown.lease_epoch, shown.after_sequence, shown.dropped), (3, 5_119, 42));
    let first = logs::gap_to_proto(&LogGap { lease_epoch: 1, after_sequence: -1, dropped: 1 });
    assert_eq!(first.after_sequence, 0);
}

#[test]
fn a_line_weighs_no_less_than_it_takes_on_the_wire() {
    let moment = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 999_999_000 };
    let data = prost_types::Struct::default().encode_to_vec();
    let full = v1::LogEntry {
        time: Some(moment),
        level: v1::LogLevel::Error.into(),
        step: "s".repeat(256),
        data: Some(data.into()),
        ..line(&"x".repeat(1_000))
    };
    for entry in read(vec![line(""), full]).expect("valid") {
        let weight = entry.weight();
        let (sequence, attempt, lease_epoch) = (i64::MAX, u32::MAX, i64::MAX);
        let shown = logs::line_to_proto(LogLine { sequence, lease_epoch, attempt, entry });
        let page = v1::ListJobLogsResponse { entries: vec![shown], ..Default::default() };
        assert!(page.encoded_len() <= weight, "{} > {weight}", page.encoded_len());
    }
}
