//! Log lines.

use prost::Message as _;

use crate::domain::limits::{
    LOG_BATCH_BYTES_MAX, LOG_BATCH_LINES_MAX, LOG_ENTRY_BYTES_MAX, PROGRESS_NAME_BYTES_MAX,
};
use crate::domain::validate::Violations;
use crate::domain::{LogEntry, Timestamp};
use crate::engine::{LogGap, LogLine};
use crate::proto::v1;

use super::enums::Named as _;
use super::path::{Path, is_clean};
use super::{enums, opaque, text, time};

/// A batch of lines that arrived at `now`; `prefix` is the path of the list.
pub fn from_proto(
    entries: Vec<v1::LogEntry>,
    now: Timestamp,
    violations: &mut Violations,
    prefix: &str,
) -> Option<Vec<LogEntry>> {
    let at = Path::root(prefix);
    let lines = entries.len();
    if lines > LOG_BATCH_LINES_MAX {
        at.wrong(violations, format!("must have at most {LOG_BATCH_LINES_MAX} lines, has {lines}"));
        return None;
    }
    let bytes: usize = entries.iter().map(v1::LogEntry::encoded_len).sum();
    if bytes > LOG_BATCH_BYTES_MAX {
        at.wrong(
            violations,
            format!("must have at most {LOG_BATCH_BYTES_MAX} bytes encoded, has {bytes}"),
        );
        return None;
    }
    let before = violations.as_slice().len();
    let mut read = Vec::with_capacity(lines);
    for (index, line) in entries.into_iter().enumerate() {
        read.extend(entry(line, now, at.index(index), violations));
    }
    is_clean(violations, before).then_some(read)
}

fn entry(
    entry: v1::LogEntry,
    now: Timestamp,
    at: Path<'_>,
    violations: &mut Violations,
) -> Option<LogEntry> {
    let size = entry.encoded_len();
    if size > LOG_ENTRY_BYTES_MAX {
        at.wrong(
            violations,
            format!("must have at most {LOG_ENTRY_BYTES_MAX} bytes encoded, has {size}"),
        );
        return None;
    }
    let before = violations.as_slice().len();
    let level = enums::read(entry.level, at.field("level"), violations).flatten();
    let written = entry.time.map(|given| time::moment(given, at.field("time"), violations));
    text::bounded(&entry.step, PROGRESS_NAME_BYTES_MAX, at.field("step"), violations);
    if let Some(data) = &entry.data {
        opaque::check_at(data, LOG_ENTRY_BYTES_MAX, at.field("data"), violations);
    }
    is_clean(violations, before).then(|| LogEntry {
        time: written.flatten().unwrap_or(now),
        level: level.unwrap_or_default(),
        step: entry.step,
        message: entry.message,
        data: entry.data,
    })
}

/// A line as it is listed and followed.
#[must_use]
pub fn line_to_proto(line: LogLine) -> v1::LogEntry {
    v1::LogEntry {
        sequence: line.sequence,
        attempt: i32::try_from(line.attempt).unwrap_or(i32::MAX),
        lease_epoch: line.lease_epoch,
        time: Some(time::to_proto(line.entry.time)),
        level: line.entry.level.to_wire(),
        step: line.entry.step,
        message: line.entry.message,
        data: line.entry.data,
    }
}

/// Lines that were let go.
#[must_use]
pub fn gap_to_proto(gap: &LogGap) -> v1::LogGap {
    v1::LogGap {
        lease_epoch: gap.lease_epoch,
        after_sequence: gap.after_sequence.max(0),
        dropped: i64::try_from(gap.dropped).unwrap_or(i64::MAX),
    }
}
