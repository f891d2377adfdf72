//! What the end of a command says about the work.

use bytes::Bytes;
use serde_json::Value;

use super::result::{self, ResultFile};
use crate::cli::format;
use crate::cli::process::{Ended, How, Over, Signal, SpawnError};
use crate::proto::v1::{CancelCause, JobError};

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
    /// It stopped, as somebody wanted.
    Cancelled,
}

/// Who told a command to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The server, for this reason.
    pub cause: Option<CancelCause>,
    /// A signal to the process that looks after it.
    pub signal: Option<Signal>,
}

/// What the end of a command says about the work.
#[must_use]
pub fn verdict(ended: &Ended, told: Told, file: Option<&ResultFile>) -> Verdict {
    if let Some(over) = ended.over {
        return failed("RESOURCE_LIMIT", format!("the command {}", limit_passed(over)), ended);
    }
    // After it was told to stop, a code says how it stopped and not that its work is done.
    let cause = told.cause.filter(|_| ended.stopped);
    match (cause, ended.how) {
        (Some(CancelCause::Caller | CancelCause::Overlap | CancelCause::Unspecified), _) => {
            Verdict::Cancelled
        }
        (None, How::Code(0)) => result(ended, file),
        (_, How::Code(code)) => {
            let message = format!("the command ended with code {code}{}", after(told));
            let error = error(&format!("EXIT_{code}"), message, ended);
            let non_retryable = cause.is_none() && WRONG_INPUT.contains(&code);
            Verdict::Failed(Box::new(JobError { non_retryable, ..error }))
        }
        (_, How::Signal(signal)) => {
            let name = signal_name(signal);
            let message = format!("the command was ended by {name}{}", after(told));
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

/// What was measured and what was allowed, behind "the command".
#[must_use]
pub fn limit_passed(over: Over) -> String {
    let bytes = |bytes: u64| format::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    match over {
        Over::Memory { used_bytes, limit_bytes } => {
            format!("used {} of memory and may use {}", bytes(used_bytes), bytes(limit_bytes))
        }
        Over::Cpu { used_percent, limit_percent } => format!(
            "used {used_percent:.0}% of a processor core for some time and may use {limit_percent:.0}%"
        ),
    }
}

/// The result of a command that ended well. A file was meant as a result, a line of JSON may be one by chance.
fn result(ended: &Ended, file: Option<&ResultFile>) -> Verdict {
    match file.map_or(Ok(None), ResultFile::read) {
        Err(problem) => failed("RESULT_INVALID", problem, ended),
        Ok(Some(result)) => Verdict::Succeeded { result: Some(result), problem: None },
        Ok(None) => {
            let line = ended.result.clone();
            match line.map(|object| result::encoded(&Value::Object(object))).transpose() {
                Ok(result) => Verdict::Succeeded { result, problem: ended.result_problem.clone() },
                Err(problem) => Verdict::Succeeded { result: None, problem: Some(problem) },
            }
        }
    }
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

/// What came before the end.
fn after(told: Told) -> String {
    match (told.cause, told.signal) {
        (Some(_), _) => " after it was told to stop".to_owned(),
        (None, Some(signal)) => {
            format!(" after {} came from outside", signal_name(signal.as_raw()))
        }
        (None, None) => String::new(),
    }
}

/// The name of a signal, as far as it is common.
fn signal_name(signal: i32) -> String {
    const NAMED: &[(Signal, &str)] = &[
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
    ];
    let named = NAMED.iter().find(|(known, _)| known.as_raw() == signal);
    named.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}
