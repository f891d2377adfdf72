//! What a command says, as reports about its job: lines, progress, usage, and how it ended.
//!
//! | the command ends | the job |
//! |---|---|
//! | with code 0 | SUCCEEDED, with its result |
//! | with code N | FAILED, `EXIT_N`; 64 (`EX_USAGE`) and 65 (`EX_DATAERR`) say that its input is wrong: not tried again |
//! | by signal N | FAILED, `SIGNAL_N` |
//! | because it used too much | FAILED, `RESOURCE_LIMIT` |
//! | well, but its result file is too large or too deep | FAILED, `RESULT_INVALID` |
//! | never: it cannot be started | FAILED, `COMMAND_NOT_FOUND` or `COMMAND_NOT_EXECUTABLE` |
//!
//! A result comes from the file named by `JOBPLANE_RESULT_FILE` (a JSON object as it is, other JSON as `value`, other
//! text as `text`), else from the last line of its stdout that is a JSON object.

use std::path::Path;

use bytes::Bytes;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::process::progress::Reading;
use super::process::{Ended, Event, Events, How, Line, Over, SpawnError, Stream, Usage};
use super::worker::{Handle, Lease};
use super::{format, json as mapping, parse};
use crate::domain::limits::{
    LOG_BATCH_LINES_MAX, PAYLOAD_BYTES_MAX, PROCESS_RESULT_BYTES_MAX, STRUCT_DEPTH_MAX,
};
use crate::domain::logs::LogLevel as Level;
use crate::proto::v1::{JobError, LogEntry, LogLevel, Progress, ResourceUsage};

#[cfg(test)]
mod tests;

/// Codes by which a command says that its input is wrong (sysexits.h): trying again would not help.
const WRONG_INPUT: [i32; 2] = [64, 65];

/// What became of the work.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is done.
    Succeeded {
        /// An encoded Struct.
        result: Option<Bytes>,
        /// Why there is no result although there seemed to be one.
        problem: Option<String>,
    },
    /// It failed.
    Failed(Box<JobError>),
}

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
                Event::Ended(ended) => {
                    handle.logs(lease, lines);
                    if let Some(reading) = &ended.progress {
                        handle.progress(lease, progress(reading.clone()));
                    }
                    if let Some(usage) = &ended.usage {
                        handle.usage(lease, resource_usage(usage));
                    }
                    return Some(ended);
                }
            }
        }
        handle.logs(lease, lines);
        // There may be more at once, and others have work too.
        tokio::task::yield_now().await;
    }
}

/// What the end of a command says about the work.
#[must_use]
pub fn verdict(ended: &Ended, result_file: Option<&Path>) -> Verdict {
    if let Some(over) = ended.over {
        return failed("RESOURCE_LIMIT", limit_passed(over), ended);
    }
    match ended.how {
        How::Code(0) => result(ended, result_file),
        How::Code(code) => {
            let message = format!("the command ended with code {code}");
            let error = error(&format!("EXIT_{code}"), message, ended);
            let non_retryable = WRONG_INPUT.contains(&code);
            Verdict::Failed(Box::new(JobError { non_retryable, ..error }))
        }
        How::Signal(signal) => {
            let message = format!("the command was ended by signal {signal}");
            failed(&format!("SIGNAL_{signal}"), message, ended)
        }
    }
}

/// What it means that the command could not be started: here, and maybe not elsewhere.
#[must_use]
pub fn not_started(error: &SpawnError) -> JobError {
    let code = match error {
        SpawnError::NotFound(_) => "COMMAND_NOT_FOUND",
        SpawnError::NotExecutable(..) | SpawnError::Refused(..) => "COMMAND_NOT_EXECUTABLE",
    };
    JobError { code: code.to_owned(), message: error.to_string(), ..JobError::default() }
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
        Stream::Stderr => mapping::to_struct(r#"{"stream":"stderr"}"#).ok(),
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
    let text =
        format!("{lines} lines were dropped here: the command wrote faster than they are taken");
    note(LogLevel::Warning, text)
}

fn failed(code: &str, message: String, ended: &Ended) -> Verdict {
    Verdict::Failed(Box::new(error(code, message, ended)))
}

fn error(code: &str, mut message: String, ended: &Ended) -> JobError {
    if !ended.stderr_tail.is_empty() {
        message = format!("{message}\n{}", ended.stderr_tail.join("\n"));
    }
    JobError { code: code.to_owned(), message, ..JobError::default() }
}

fn limit_passed(over: Over) -> String {
    let bytes = |bytes: u64| format::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    match over {
        Over::Memory { used_bytes, limit_bytes } => format!(
            "the command used {} of memory and may use {}",
            bytes(used_bytes),
            bytes(limit_bytes)
        ),
        Over::Cpu { used_percent, limit_percent } => format!(
            "the command used {used_percent:.0}% of a processor core for some time and may use \
             {limit_percent:.0}%"
        ),
    }
}

/// The result of a command that ended well. A file was meant as a result, a line of JSON may be one by chance.
fn result(ended: &Ended, file: Option<&Path>) -> Verdict {
    match file.map_or(Ok(None), from_file) {
        Err(problem) => {
            let file = file.map(|file| file.display().to_string()).unwrap_or_default();
            failed("RESULT_INVALID", format!("the result file {file}: {problem}"), ended)
        }
        Ok(Some(result)) => Verdict::Succeeded { result: Some(result), problem: None },
        Ok(None) => {
            let line = ended.result.clone().map(|object| encoded(&Value::Object(object)));
            match line.transpose() {
                Ok(result) => Verdict::Succeeded { result, problem: ended.result_problem.clone() },
                Err(problem) => Verdict::Succeeded { result: None, problem: Some(problem) },
            }
        }
    }
}

/// What the file holds; nothing if it is empty or was not written.
fn from_file(path: &Path) -> Result<Option<Bytes>, String> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    let most = PROCESS_RESULT_BYTES_MAX as u64;
    let read = file.take(most + 1).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > most {
        return Err("it is larger than any result (256 KiB)".to_owned());
    }
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value = match serde_json::from_str(&text) {
        Ok(object @ Value::Object(_)) => object,
        Ok(value) => json!({ "value": value }),
        Err(_) => json!({ "text": text.trim() }),
    };
    encoded(&value).map(Some)
}

/// A result as the server takes it.
fn encoded(value: &Value) -> Result<Bytes, String> {
    if depth(value) > STRUCT_DEPTH_MAX {
        return Err(format!("the result has more than {STRUCT_DEPTH_MAX} levels"));
    }
    let result = mapping::to_struct(&value.to_string())?;
    if result.len() > PAYLOAD_BYTES_MAX {
        let bytes = result.len();
        return Err(format!("the result has {bytes} bytes encoded, at most {PAYLOAD_BYTES_MAX}"));
    }
    Ok(result)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
