//! A job's log, a page at a time.

use crate::auth::Caller;
use crate::domain::JobId;
use crate::domain::limits::RESPONSE_BYTES_MAX;
use crate::domain::logs::{LOG_SEQUENCE_STRIDE, LogEntry, LogLevel};
use crate::store::LogQuery;

use super::Engine;
use super::db::Db;
use super::error::Result;

/// What of a log is wanted.
#[derive(Debug, Clone)]
pub struct ListLogs {
    /// The job.
    pub job_id: JobId,
    /// One lease only.
    pub lease_epoch: Option<i64>,
    /// Only lines at least as grave.
    pub min_level: LogLevel,
    /// Only lines after this one.
    pub after_sequence: i64,
    /// At most so many.
    pub page_size: usize,
}

/// A line with its place in the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Its place: increases, without being dense.
    pub sequence: i64,
    /// Its lease.
    pub lease_epoch: i64,
    /// Its attempt.
    pub attempt: u32,
    /// The line.
    pub entry: LogEntry,
}

/// Lines that were let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGap {
    /// The lease they belonged to.
    pub lease_epoch: i64,
    /// They stood after this place.
    pub after_sequence: i64,
    /// How many.
    pub dropped: u64,
}

/// A page of a log.
#[derive(Debug, Clone, Default)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Ask on from here: everything up to it was looked at.
    pub next_sequence: i64,
    /// Where lines were let go.
    pub gaps: Vec<LogGap>,
    /// Whether the log goes on after this page.
    pub more: bool,
}

/// Rows read at once.
const ROWS: usize = 64;

impl Engine {
    /// A page of a job's log; it ends by count or by bytes.
    pub async fn logs(&self, caller: &Caller, list: ListLogs) -> Result<LogPage> {
        let page = self.log_page(&self.db, &list).await?;
        if page.lines.is_empty() && page.gaps.is_empty() {
            // Nothing there: is there such a job at all?
            self.job(caller, list.job_id).await?;
        }
        Ok(page)
    }

    /// The same as `db` reads it, of whatever job.
    pub(super) async fn log_page(&self, db: &Db, list: &ListLogs) -> Result<LogPage> {
        let mut page = LogPage { next_sequence: list.after_sequence, ..LogPage::default() };
        let mut bytes = 0;
        // The row that holds the last line seen may hold more of them.
        let mut from_position = list.after_sequence.saturating_add(1) / LOG_SEQUENCE_STRIDE;
        loop {
            let query = LogQuery {
                job_id: list.job_id,
                lease_epoch: list.lease_epoch,
                from_position,
                limit: ROWS,
            };
            let rows = db.read(move |store| async move { store.logs(&query).await }).await?;
            let rows_follow = rows.len() == ROWS;
            for row in rows {
                from_position = row.position.saturating_add(1);
                if row.dropped > 0 && row.sequence(0) > page.next_sequence {
                    page.gaps.push(LogGap {
                        lease_epoch: row.lease_epoch,
                        after_sequence: row.sequence(0) - 1,
                        dropped: row.dropped,
                    });
                }
                let place = |index: usize| row.sequence(index);
                for (index, entry) in row.entries.iter().enumerate() {
                    let sequence = place(index);
                    if sequence <= page.next_sequence {
                        continue;
                    }
                    if entry.level >= list.min_level {
                        bytes += entry.weight();
                        let full = page.lines.len() >= list.page_size;
                        if full || (bytes > RESPONSE_BYTES_MAX && !page.lines.is_empty()) {
                            page.more = true;
                            return Ok(page);
                        }
                        page.lines.push(LogLine {
                            sequence,
                            lease_epoch: row.lease_epoch,
                            attempt: row.attempt,
                            entry: entry.clone(),
                        });
                    }
                    page.next_sequence = sequence;
                }
                page.next_sequence = page.next_sequence.max(place(0));
            }
            if !rows_follow {
                return Ok(page);
            }
        }
    }
}
