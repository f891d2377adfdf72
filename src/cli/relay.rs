//! What a command says, as reports about its job: lines, progress, usage, use of quotas, and how it ended.
//!
//! | the command ends | the job |
//! |---|---|
//! | with code 0 | SUCCEEDED, with its result |
//! | with code N | FAILED, `EXIT_N`; 64 (`EX_USAGE`) and 65 (`EX_DATAERR`) say that its input is wrong: not tried again |
//! | by signal N | FAILED, `SIGNAL_N` |
//! | because it used too much | FAILED, `RESOURCE_LIMIT` |
//! | because a caller, or an overlap, asked it to stop | CANCELLED, whatever its code |
//! | because the server stopped it otherwise (`TIMEOUT`) | FAILED, with the code of the server |
//! | well, but its result file is too large or too deep | FAILED, `RESULT_INVALID` |
//! | never: it cannot be started | FAILED, `COMMAND_NOT_FOUND` or `COMMAND_NOT_EXECUTABLE` |
//!
//! A result comes from the file named by `JOBPLANE_RESULT_FILE` (a JSON object as it is, other JSON as `value`, other
//! text as `text`), else from the last line of its stdout that is a JSON object.

mod result;
mod verdict;

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::process::progress::Reading;
use super::process::{Ended, Event, Events, Line, Stream, Usage};
use super::worker::{Handle, Lease};
use super::{json as mapping, parse};
use crate::domain::limits::LOG_BATCH_LINES_MAX;
use crate::domain::logs::LogLevel as Level;
use crate::proto::v1::{LogEntry, LogLevel, Progress, ResourceUsage};

pub use result::ResultFile;
pub use verdict::{Told, Verdict, limit_passed, not_started, verdict};

#[cfg(test)]
mod tests;

/// The server ends a job when the grace of a cancel is over: what is to be said before that is said a little earlier.
const GRACE_MARGIN_MAX: Duration = Duration::from_secs(1);

/// What stands beside a line of stderr.
static STDERR: LazyLock<Option<Bytes>> =
    LazyLock::new(|| mapping::to_struct(r#"{"stream":"stderr"}"#).ok());

/// Reports what a command says until it and its tree are gone; `None` if nobody looked after it any more.
pub async fn relay(mut events: Events, lease: &Lease, handle: &Handle) -> Option<Box<Ended>> {
    loop {
        // As much as is there: one at a time, a command that writes fast would get ahead.
        let mut batch = vec![events.next().await?];
        while batch.len() < LOG_BATCH_LINES_MAX {
            let Some(Some(event)) = events.next().now_or_never() else { break };
            batch.push(event);
        }
        let mut lines = Vec::new();
        for event in batch {
            match event {
                Event::Line(line) => lines.push(entry(line)),
                Event::Dropped(count) => lines.push(dropped(count)),
                Event::Progress(reading) => handle.progress(lease, progress(reading)),
                Event::Usage(usage) => handle.usage(lease, resource_usage(&usage)),
                Event::QuotaUse(so_far) => handle.quota_use(lease, &so_far),
                Event::Ended(ended) => {
                    handle.logs(lease, lines);
                    if let Some(reading) = &ended.progress {
                        handle.progress(lease, progress(reading.clone()));
                    }
                    if let Some(usage) = &ended.usage {
                        handle.usage(lease, resource_usage(usage));
                    }
                    handle.quota_use(lease, &ended.quota_use);
                    return Some(ended);
                }
            }
        }
        handle.logs(lease, lines);
        // A server that is there sets the pace, and the command waits at its pipe; one that is away does not.
        handle.room().await;
    }
}

/// What a command gets between SIGTERM and SIGKILL when the server asks to stop within `grace`.
#[must_use]
pub fn stop_within(grace: Duration) -> Duration {
    grace.saturating_sub((grace / 10).min(GRACE_MARGIN_MAX))
}

/// A line about the job that the command did not write.
#[must_use]
pub fn note(level: LogLevel, message: String) -> LogEntry {
    LogEntry { level: level.into(), message, ..LogEntry::default() }
}

/// A line of the command.
#[must_use]
pub fn entry(line: Line) -> LogEntry {
    let level = match line.level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warning => LogLevel::Warning,
        Level::Error => LogLevel::Error,
    };
    let data = match line.stream {
        Stream::Stdout => None,
        Stream::Stderr => STDERR.clone(),
    };
    LogEntry {
        time: Some(parse::wire_moment(line.time)),
        level: level.into(),
        message: line.text,
        data,
        ..LogEntry::default()
    }
}

/// How far the command says it is.
#[must_use]
pub fn progress(reading: Reading) -> Progress {
    Progress {
        total: reading.total,
        completed: reading.completed.unwrap_or_default(),
        succeeded: reading.succeeded.unwrap_or_default(),
        failed: reading.failed.unwrap_or_default(),
        unit: reading.unit,
        percent: reading.percent,
        step_number: reading.step_number,
        step_count: reading.step_count,
        current_step: reading.step,
        message: reading.message,
        ..Progress::default()
    }
}

fn resource_usage(usage: &Usage) -> ResourceUsage {
    let bytes = |bytes: u64| i64::try_from(bytes).ok();
    ResourceUsage {
        cpu_percent: Some(usage.cpu_percent),
        memory_bytes: bytes(usage.memory_bytes),
        peak_memory_bytes: bytes(usage.peak_memory_bytes),
    }
}

fn dropped(lines: u64) -> LogEntry {
    let noun = if lines == 1 { "line was" } else { "lines were" };
    let text = format!("{lines} {noun} dropped here: the command wrote faster than they are taken");
    let data = mapping::to_struct(&format!(r#"{{"dropped_lines":{lines}}}"#)).ok();
    LogEntry { data, ..note(LogLevel::Warning, text) }
}
