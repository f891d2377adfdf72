use bytes::Bytes;
use prost::Message as _;

use crate::domain::LogEntry;
use crate::domain::limits::{LOG_BATCH_BYTES_MAX, LOG_BATCH_LINES_MAX, LOG_ENTRY_BYTES_MAX};
use crate::domain::logs::{LOG_SEQUENCE_STRIDE, LogRow};
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
fn stored_lines_come_back_numbered() {
    let entries = read(vec![line("a"), line("b")]).expect("valid");
    let row = LogRow { lease_epoch: 3, attempt: 2, position: 5, entries, dropped: 0 };
    let shown: Vec<_> = logs::to_proto(&row).collect();
    assert_eq!(shown[1].sequence, 5 * LOG_SEQUENCE_STRIDE + 1);
    assert_eq!((shown[1].attempt, shown[1].lease_epoch), (2, 3));
    assert_eq!((shown[1].message.as_str(), shown[1].time), ("b", Some(time::to_proto(NOW))));
    assert_eq!(logs::gap_to_proto(&row), None);
}

#[test]
fn lines_that_were_let_go_are_counted() {
    let row = LogRow { lease_epoch: 3, attempt: 2, position: 5, entries: Vec::new(), dropped: 42 };
    let gap = logs::gap_to_proto(&row).expect("a gap");
    assert_eq!((gap.lease_epoch, gap.dropped), (3, 42));
    assert_eq!(gap.after_sequence, 5 * LOG_SEQUENCE_STRIDE - 1);
}
