//! Places of lines.

use uuid::Uuid;

use super::*;
use crate::domain::limits::LOG_BATCH_LINES_MAX;

#[test]
fn sequences_grow_from_row_to_row() {
    let row =
        |position| LogRow { lease_epoch: 1, attempt: 1, position, entries: Vec::new(), dropped: 0 };
    assert!(row(3).sequence(LOG_BATCH_LINES_MAX - 1) < row(4).sequence(0));
    assert_eq!(row(i64::MAX).sequence(usize::MAX), i64::MAX);
}

#[test]
fn lines_are_told_apart_by_how_grave_they_are() {
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error];
    assert!(levels.is_sorted());
    assert_eq!(LogLevel::default(), LogLevel::Info);
    let batch = |seq| LogBatch {
        job_id: JobId(Uuid::nil()),
        lease_epoch: 1,
        attempt: 1,
        seq,
        entries: Vec::new(),
    };
    assert_ne!(batch(1), batch(2));
}
