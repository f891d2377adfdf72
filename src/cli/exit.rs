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
    /// The watched job failed, was cancelled or was skipped; a server failed on its way.
    JobFailed = 1,
    /// The command line, or a value in it, is wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// The server said no; of a server: its database is none that it may serve.
    Refused = 4,
    /// The server, or a server's database, cannot be reached, or gives no usable answer.
    Unreachable = 5,
    /// `status --exit-code`: the job waits.
    Pending = 10,
    /// `status --exit-code`: the job runs.
    Running = 11,
    /// `status --exit-code`: the job was cancelled.
    Cancelled = 12,
    /// `status --exit-code`: the job was skipped.
    Skipped = 13,
    /// The answer could not be written, or a file not be used (`EX_IOERR`).
    Io = 74,
    /// What a server needs for itself another process has: its address, its database file (`EX_TEMPFAIL`).
    Taken = 75,
    /// It took longer than was allowed.
    TimedOut = 124,
    /// Ctrl-C before it was done (128 + SIGINT).
    Interrupted = 130,
    /// It was told to end (128 + SIGTERM).
    Terminated = 143,
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
    /// What a file of definitions says cannot be.
    File {
        /// Which file.
        path: String,
        /// What is wrong with it, a line each.
        problem: String,
    },
    /// No job has such an id.
    NoSuchJob {
        /// What was written.
        written: String,
    },
    /// What was named is not there.
    Missing {
        /// What: `quota api`.
        what: String,
        /// Where to look for what there is.
        next: String,
    },
    /// The type is known from jobs alone, and what was asked for needs a declaration.
    NotDeclared {
        /// Which type.
        job_type: String,
    },
    /// Several jobs have such an id.
    Ambiguous {
        /// What was written.
        written: String,
        /// Some of the jobs.
        fits: Vec<String>,
    },
    /// No connection.
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// Somebody answers, but no jobplane server.
    Stranger {
        /// Where.
        address: String,
        /// What was asked for.
        doing: String,
        /// Who it is.
        who: String,
        /// What may be done now.
        next: String,
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
    /// Something on this machine does not do what it must.
    Local {
        /// What was to be done.
        doing: String,
        /// What the system said.
        cause: String,
    },
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
            Self::Usage { .. } | Self::File { .. } | Self::Ambiguous { .. } => Exit::Usage,
            Self::NoSuchJob { .. } | Self::Missing { .. } => Exit::NotFound,
            Self::Unreachable { .. } | Self::Stranger { .. } | Self::Unreadable(_) => {
                Exit::Unreachable
            }
            Self::NotDeclared { .. } => Exit::Refused,
            Self::Refused(refusal) => refusal.exit,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Output(_) | Self::Local { .. } => Exit::Io,
            Self::Closed => Exit::Ok,
        }
    }

    /// Whether the failure is that of one job, so that the next one may go well.
    #[must_use]
    pub fn is_about_this(&self) -> bool {
        match self {
            Self::NoSuchJob { .. } | Self::Ambiguous { .. } => true,
            Self::Refused(refusal) => refusal.exit != Exit::Unreachable,
            Self::Usage { .. }
            | Self::File { .. }
            | Self::Missing { .. }
            | Self::NotDeclared { .. }
            | Self::Unreachable { .. }
            | Self::Stranger { .. }
            | Self::TimedOut { .. }
            | Self::Unreadable(_)
            | Self::Local { .. }
            | Self::Output(_)
            | Self::Closed => false,
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
            Self::File { path, problem } => vec![
                format!("{path}: {problem}"),
                "next: docs/types.yaml shows every field and how it is written".to_owned(),
            ],
            Self::NoSuchJob { written } => vec![
                format!("no job has an id that begins or ends with {written}"),
                "looked among the newest 1,000 jobs, those that are not over, and those of that time"
                    .to_owned(),
                "next: see the ids with `jobplane list`; a job is there until it is deleted"
                    .to_owned(),
            ],
            Self::Missing { what, next } => {
                vec![format!("there is no {}", format::plain(what)), format!("next: {next}")]
            }
            Self::NotDeclared { job_type } => vec![
                format!("{} is not declared, only seen on jobs", format::plain(job_type)),
                "next: declare it with `jobplane apply -f FILE`".to_owned(),
            ],
            Self::Ambiguous { written, fits } => {
                let mut lines = vec![format!("{written} may be any of several jobs:")];
                lines.extend(fits.iter().map(|fit| format!("  {}", format::plain(fit))));
                lines.push("next: write more of the id".to_owned());
                lines
            }
            Self::Unreachable { address, cause } => {
                let cause = format::plain(cause);
                vec![format!("cannot reach the server at {address}: {cause}"), reach(&cause)]
            }
            Self::Stranger { address, doing, who, next } => vec![
                format!("cannot {doing}: {who}"),
                format!("asked {address}"),
                format!("next: {next}"),
            ],
            Self::Refused(refusal) => refusal.lines(),
            Self::TimedOut { doing, after, next } => vec![
                format!("gave up after {}: {doing}", format::span(*after)),
                format!("next: {next}"),
            ],
            Self::Unreadable(what) => vec![
                format!("the server's answer cannot be understood: {what}"),
                "next: check that this program and the server are of the same version".to_owned(),
            ],
            Self::Local { doing, cause } => vec![
                format!("cannot {doing}: {cause}"),
                "next: check that there is room on the disk, and that TMPDIR names a folder that \
                 can be written"
                    .to_owned(),
            ],
            Self::Output(error) => vec![format!("cannot write the output: {error}")],
            Self::Closed => Vec::new(),
        }
    }
}

/// The advice when there is no connection, by the words of the system.
fn reach(cause: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    let next = if has(&["lookup address", "Name or service", "nodename", "resolve"]) {
        "check how the host is written in --endpoint or JOBPLANE_ENDPOINT, and that this machine \
         can look up names"
    } else if has(&["timed out", "deadline", "unreachable", "No route"]) {
        "the host does not answer: check the address in --endpoint or JOBPLANE_ENDPOINT, the \
         network, and firewalls in between"
    } else {
        return check_address();
    };
    format!("next: {next}")
}

/// The advice when nobody listens.
pub fn check_address() -> String {
    "next: check that the server runs (`jobplane serve`) and that --endpoint or JOBPLANE_ENDPOINT \
     names its address"
        .to_owned()
}
