//! How a command ends: its exit code, and what is said when it could not do its work.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use super::client::Refusal;
use super::format;

#[cfg(test)]
mod tests;

/// The exit codes. Scripts rely on them: they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; of a watched job: it succeeded.
    Ok = 0,
    /// The watched job failed, was cancelled or was skipped.
    JobFailed = 1,
    /// The command line, or a value in it, is wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// The server said no.
    Refused = 4,
    /// The server cannot be reached, or gives no usable answer.
    Unreachable = 5,
    /// The answer could not be written (`EX_IOERR`).
    Io = 74,
    /// It took longer than was allowed.
    TimedOut = 124,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// A value on the command line is wrong.
    Usage {
        /// Which one.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No connection.
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// The server answered, but not with what was asked for.
    Refused(Box<Refusal>),
    /// The time allowed is over.
    TimedOut {
        /// What was going on.
        doing: String,
        /// How long it was allowed to take.
        after: Duration,
        /// What may be done now.
        next: String,
    },
    /// The answer does not fit the protocol.
    Unreadable(String),
    /// The answer could not be written.
    Output(io::Error),
    /// Nobody reads the output any more, as in `jobplane list | head`: no failure at all.
    Closed,
}

impl Failure {
    /// A wrong value on the command line.
    pub fn usage(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Usage { field: field.into(), problem: problem.into() }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::Unreachable { .. } | Self::Unreadable(_) => Exit::Unreachable,
            Self::Refused(refusal) => refusal.exit,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Output(_) => Exit::Io,
            Self::Closed => Exit::Ok,
        }
    }

    /// What to tell the user, a line each: what happened, the facts, what to do next. Empty if there is nothing to
    /// tell.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Usage { field, problem } => vec![
                format!("{field}: {problem}"),
                "next: see `jobplane help` and the command's --help".to_owned(),
            ],
            Self::Unreachable { address, cause } => {
                vec![format!("cannot reach the server at {address}: {cause}"), check_address()]
            }
            Self::Refused(refusal) => refusal.lines(),
            Self::TimedOut { doing, after, next } => vec![
                format!("gave up after {}: {doing}", format::span(*after)),
                format!("next: {next}"),
            ],
            Self::Unreadable(what) => vec![
                format!("the server's answer cannot be understood: {what}"),
                "next: check that this program and the server are of the same version".to_owned(),
            ],
            Self::Output(error) => vec![format!("cannot write the output: {error}")],
            Self::Closed => Vec::new(),
        }
    }
}

/// The advice when nobody listens.
pub fn check_address() -> String {
    "next: check that the server runs (`jobplane serve`) and that --endpoint or JOBPLANE_ENDPOINT \
     names its address"
        .to_owned()
}
