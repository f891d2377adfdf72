//! What a process tells while it runs, and how it ended.

use serde_json::{Map, Value};

use super::progress::Reading;
use super::quota::QuotaUse;
use crate::domain::Timestamp;
use crate::domain::logs::LogLevel;

/// What happened to a process.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It wrote a line.
    Line(Line),
    /// So many lines were dropped here, because nobody took them in time.
    Dropped(u64),
    /// It said how far it is. Only the newest is told.
    Progress(Reading),
    /// What its tree uses. Only the newest is told.
    Usage(Usage),
    /// What it said it used of outside quotas, all of it. Only the newest is told.
    QuotaUse(QuotaUse),
    /// It and all of its tree are gone. The last event.
    Ended(Box<Ended>),
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// A line, without its end, without escape sequences, at most
/// [`LOG_ENTRY_BYTES_MAX`](crate::domain::limits::LOG_ENTRY_BYTES_MAX) long with what a log entry adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written.
    pub stream: Stream,
    /// When it was read.
    pub time: Timestamp,
    /// How much it matters, as far as its beginning says so; else INFO, on stderr too.
    pub level: LogLevel,
    /// The text.
    pub text: String,
}

/// What a tree of processes uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Processor time since the sample before, in percent of one core.
    pub cpu_percent: f64,
    /// Resident memory; memory that processes share is counted once where the system tells.
    pub memory_bytes: u64,
    /// The most resident memory of all samples.
    pub peak_memory_bytes: u64,
    /// How many processes there are.
    pub processes: usize,
}

/// A limit that was passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Over {
    /// The tree held more memory than it may.
    Memory {
        /// What was measured.
        used_bytes: u64,
        /// What was allowed.
        limit_bytes: u64,
    },
    /// The tree used more of the processor than it may, for some seconds.
    Cpu {
        /// What was measured, as mean over these seconds.
        used_percent: f64,
        /// What was allowed.
        limit_percent: f64,
    },
}

/// How the command itself ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl How {
    /// The code that a shell would tell: that of the command, or 128 and the signal.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Self::Signal(signal) => u8::try_from((128 + signal) & 0xff).unwrap_or(u8::MAX),
        }
    }

    /// Whether the command says that all went well.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// The end of a process.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// How the command ended.
    pub how: How,
    /// The limit for which it was stopped.
    pub over: Option<Over>,
    /// Whether [`stop`](super::Process::stop) was called before it ended.
    pub stopped: bool,
    /// The last line of stdout that was a JSON object, and neither progress nor use of quotas.
    pub result: Option<Map<String, Value>>,
    /// Why the last such line is not in `result`: too long.
    pub result_problem: Option<String>,
    /// The last lines of stderr.
    pub stderr_tail: Vec<String>,
    /// The newest progress.
    pub progress: Option<Reading>,
    /// The last sample, with the peak of all.
    pub usage: Option<Usage>,
    /// What it said it used of outside quotas.
    pub quota_use: QuotaUse,
    /// Processes that the command left behind and that were ended.
    pub left_behind: usize,
    /// Processes that not even SIGKILL ended in time: they wait for a device.
    pub unkillable: usize,
}
