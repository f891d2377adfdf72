//! What a status of the server means to a user: an exit code, the facts, what to do next.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::cli::exit::{Exit, check_address};
use crate::cli::format;
use crate::grpc::reasons::code_name;

#[cfg(test)]
mod tests;

/// What is limited where more jobs match than the caller of a bulk command expected.
const EXPECTED: &str = "jobs that were expected";
/// What is said where there is nobody to connect to: nothing was sent, nothing was done.
const NOBODY: &str = "nobody listens there";
/// What is said of a connection that ended in the middle of a call.
const BROKE: &str = "the connection broke";

/// An answer that is not what was asked for, read from `google.rpc.Status` and its details.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// How the command ends.
    pub exit: Exit,
    /// When the server would like to be asked again, if it says so.
    pub retry_after: Option<Duration>,
    /// True if asking again may help although nobody knows what became of this call: the connection broke, or the
    /// server cannot serve for now.
    pub passing: bool,
    /// True if it tells of the connection: it is no answer of a jobplane server.
    pub of_connection: bool,
    /// True if an HTTP server that speaks no gRPC answered.
    pub of_gateway: bool,
    doing: String,
    address: String,
    code: Code,
    message: String,
    reason: String,
    facts: BTreeMap<String, String>,
    fields: Vec<(String, String)>,
    /// Advice of those who know more than the status tells.
    advice: Option<&'static str>,
}

impl Refusal {
    /// Reads a status that answered `doing`.
    #[must_use]
    pub fn of(status: &Status, doing: &str, address: &str) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        let mut fields: Vec<(String, String)> = Vec::new();
        if let Some(bad) = details.bad_request() {
            let violations = bad.field_violations.iter();
            fields.extend(violations.map(|of| (of.field.clone(), of.description.clone())));
        }
        if let Some(failure) = details.precondition_failure() {
            let violations = failure.violations.iter();
            fields.extend(violations.map(|of| (of.subject.clone(), of.description.clone())));
        }
        if let Some(failure) = details.quota_failure() {
            let violations = failure.violations.iter();
            fields.extend(violations.map(|of| (of.subject.clone(), of.description.clone())));
        }
        let facts = info.map(|info| info.metadata.clone()).unwrap_or_default();
        Self {
            exit: exit_of(status.code()),
            retry_after,
            passing: passes(status.code(), info.is_some(), retry_after.is_some()),
            of_connection: info.is_none() && breaks(status.code()),
            of_gateway: status.message().contains("mapped from HTTP status code"),
            doing: doing.to_owned(),
            address: address.to_owned(),
            code: status.code(),
            message: format::plain(&said(status)),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            facts: facts.into_iter().collect(),
            fields,
            advice: None,
        }
    }

    /// Reads a status that came within a message.
    #[must_use]
    pub fn of_message(status: &tonic_types::pb::Status, doing: &str, address: &str) -> Self {
        let details = status.encode_to_vec().into();
        let status = Status::with_details(Code::from(status.code), &status.message, details);
        Self::of(&status, doing, address)
    }

    /// Whether it says that the job is no longer the worker's.
    #[must_use]
    pub fn is_of_lease(&self) -> bool {
        let is_about_another = self.reason == "QUOTA_NOT_FOUND";
        self.code == Code::NotFound && !is_about_another || self.reason == "STALE_LEASE"
    }

    /// Whether the call ended without an answer, so that nobody knows what became of it.
    #[must_use]
    pub fn broke_off(&self) -> bool {
        let answered = self.of_gateway || self.code == Code::Unimplemented;
        self.of_connection && !answered && self.message != NOBODY
    }

    /// Gives this advice in place of the usual one.
    pub fn advise(&mut self, next: &'static str) {
        self.advice = Some(next);
    }

    /// What was said, with the first wrong field: one line.
    #[must_use]
    pub fn said(&self) -> String {
        match self.fields.first() {
            Some((field, problem)) => {
                format!("{}: {} {}", self.cause(), format::plain(field), format::plain(problem))
            }
            None => self.cause().to_owned(),
        }
    }

    /// What the server, or the connection, said: one line.
    #[must_use]
    pub fn cause(&self) -> &str {
        if self.message.is_empty() { code_name(self.code) } else { &self.message }
    }

    /// What was asked for.
    #[must_use]
    pub fn doing(&self) -> &str {
        &self.doing
    }

    /// What to tell the user, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        // `trigger sync` needs no `sync: ` again.
        let named = self.doing.rsplit(' ').next().unwrap_or_default();
        let cause = self.cause();
        let said = cause.strip_prefix(named).and_then(|rest| rest.strip_prefix(": "));
        let mut lines = vec![format!("cannot {}: {}", self.doing, said.unwrap_or(cause))];
        // One that is wrong is told already, and so is the limit that was reached.
        let limit = self.facts.get("what");
        let told = |(field, problem): &(String, String)| {
            self.fields.len() == 1 && (self.message.contains(problem) || limit == Some(field))
        };
        for (field, problem) in self.fields.iter().filter(|of| !told(of)) {
            lines.push(format!("{}: {}", format::plain(field), format::plain(problem)));
        }
        let mut answer = code_name(self.code).to_owned();
        if !self.reason.is_empty() {
            answer = format!("{answer}, {}", format::plain(&self.reason));
        }
        let facts: Vec<_> =
            self.facts.iter().map(|(name, fact)| format!("{name}={fact}")).collect();
        if !facts.is_empty() {
            answer = format!("{answer} ({})", format::plain(&facts.join(", ")));
        }
        lines.push(format!("answer of {}: {answer}", self.address));
        lines.extend(self.next());
        lines
    }

    /// What to do next, if there is something to say.
    fn next(&self) -> Option<String> {
        let fact = |name, otherwise| self.facts.get(name).map_or(otherwise, String::as_str);
        let holder = || fact("job_id", "JOB");
        if let Some(advice) = self.advice {
            return Some(format!("next: {advice}"));
        }
        let next = match (self.reason.as_str(), self.code) {
            ("TYPE_NOT_FOUND", _) => "see which there are with `jobplane types`".to_owned(),
            ("WORKER_NOT_FOUND", _) => "see who is there with `jobplane workers`".to_owned(),
            ("QUOTA_NOT_FOUND", _) => "see which there are with `jobplane quota`".to_owned(),
            ("QUOTA_IN_USE", _) => format!(
                "see `jobplane types {}`, and declare it without that quota first",
                format::plain(fact("type", "TYPE"))
            ),
            ("QUOTA_BELOW_COST", _) => format!(
                "see `jobplane types {}`, and declare it with a lower cost first",
                format::plain(fact("type", "TYPE"))
            ),
            ("TYPE_NOT_DECLARED", _) => {
                "declare it with `jobplane apply -f FILE`, or make a job with `jobplane submit`"
                    .to_owned()
            }
            ("TYPE_DISABLED", _) => format!(
                "`jobplane types enable {}`, once what it was disabled for is over",
                format::plain(fact("type", "TYPE"))
            ),
            ("TYPE_CHANGED", _) => format!(
                "somebody changed it meanwhile: look with `jobplane types {}`, then repeat the command",
                format::plain(fact("type", "TYPE"))
            ),
            ("ALREADY_RUNNING", _) => {
                "wait until one is over, see `jobplane active`, or cancel it".to_owned()
            }
            ("QUEUE_PAUSED", _) => format!(
                "`jobplane queue resume {}`, once what it was paused for is over",
                format::plain(fact("queue", "QUEUE"))
            ),
            ("LIMIT_EXCEEDED", _) if self.facts.get("what").is_some_and(|of| of == EXPECTED) => {
                "narrow --filter, or raise --expect-max".to_owned()
            }
            ("OUTCOME_UNKNOWN", _) => {
                "it may have been done or not: look with `jobplane list` before \
                 you repeat it (submit with --request-id can be repeated safely)"
                    .to_owned()
            }
            ("DUPLICATE_JOB", _) if self.doing.starts_with("retry ") => format!(
                "follow the job that holds the key with `jobplane watch {}`, and retry this one \
                 when that one is over",
                holder()
            ),
            ("DUPLICATE_JOB", _) => format!(
                "follow the job that holds the key with `jobplane watch {}`, or submit with \
                 --unique-policy return-existing",
                holder()
            ),
            ("REQUEST_ID_REUSED", _) => "use another --request-id for another job".to_owned(),
            ("ILLEGAL_TRANSITION", _) => {
                format!("see where the job is with `jobplane get {}`", holder())
            }
            ("LIMIT_EXCEEDED", _) if self.retry_after.is_some() => {
                "as many jobs wait as may: try again later, see `jobplane queues`".to_owned()
            }
            ("LIMIT_EXCEEDED", _) => {
                "ask for less: narrow it down with --type, --queue, --label or --since, or send a \
                 smaller message"
                    .to_owned()
            }
            ("SERVER_DRAINING", _) => format!(
                "the server stops or starts again: try in {}",
                format::span(self.retry_after.unwrap_or(Duration::from_secs(1)))
            ),
            ("STORE_UNAVAILABLE", _) => {
                "the server is there but its database is not: ask its operator, look at its log"
                    .to_owned()
            }
            ("INTERNAL", _) => "the log of the server says what it was: look for the id".to_owned(),
            (_, Code::InvalidArgument) => {
                "correct what is named above; the command's --help tells the forms".to_owned()
            }
            (_, Code::NotFound) => {
                "look with `jobplane list`; a job is there until it is deleted".to_owned()
            }
            (_, Code::Unauthenticated | Code::PermissionDenied) => {
                "ask the operator of the server for access".to_owned()
            }
            (_, Code::Unimplemented) => {
                "check that --endpoint names a jobplane server of the same version".to_owned()
            }
            (_, Code::DeadlineExceeded) => {
                "it may have been done: look before you repeat it, or allow more with --timeout"
                    .to_owned()
            }
            ("", Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled) => {
                return Some(check_address());
            }
            _ => match self.retry_after {
                Some(after) => format!("try again in {}", format::span(after)),
                None => return None,
            },
        };
        Some(format!("next: {next}"))
    }
}

/// What a status says; of a broken connection, in the words of the system rather than of the library.
fn said(status: &Status) -> String {
    let mut cause: Option<&dyn Error> = status.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    let system = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match system.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => NOBODY.to_owned(),
        Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => BROKE.to_owned(),
        _ if status.message().starts_with("h2 protocol error") => BROKE.to_owned(),
        Some(_) | None => status.message().to_owned(),
    }
}

/// The exit code of a status code.
fn exit_of(code: Code) -> Exit {
    match code {
        Code::Ok => Exit::Ok,
        Code::InvalidArgument | Code::OutOfRange => Exit::Usage,
        Code::NotFound => Exit::NotFound,
        Code::FailedPrecondition
        | Code::Aborted
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::PermissionDenied
        | Code::Unauthenticated => Exit::Refused,
        Code::DeadlineExceeded => Exit::TimedOut,
        Code::Unavailable
        | Code::Cancelled
        | Code::Unknown
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => Exit::Unreachable,
    }
}

/// Whether a status of this code may be made of a broken connection, or by somebody else's server.
fn breaks(code: Code) -> bool {
    match code {
        Code::Unavailable
        | Code::Unknown
        | Code::Internal
        | Code::Cancelled
        | Code::Unimplemented => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

/// Whether asking again may help. Every status that the server itself makes carries an ErrorInfo; one without it tells
/// of the connection.
fn passes(code: Code, by_server: bool, told_to_retry: bool) -> bool {
    match code {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => !by_server,
        _ => told_to_retry,
    }
}
