//! What is to be run, and within what bounds.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;

use crate::domain::limits::PROCESS_STOP_GRACE;

/// A command and how it is looked after.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: OsString,
    /// What it is given.
    pub args: Vec<OsString>,
    /// Variables beside those that this process has.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs; as this process if not said.
    pub directory: Option<PathBuf>,
    /// What it reads.
    pub stdin: Stdin,
    /// Whether its output also goes to our own, byte by byte as it comes.
    pub echo: bool,
    /// How progress, and use of quotas, is found in its output.
    pub progress: Mode,
    /// What it may use.
    pub limits: Limits,
    /// How long the tree may take to end after SIGTERM when it used too much. What a command leaves behind when it
    /// ends by itself gets no more than [`PROCESS_STOP_GRACE`](crate::domain::limits::PROCESS_STOP_GRACE).
    pub grace: Duration,
}

impl Spec {
    /// A command with nothing on stdin, no echo, no limits, progress found by itself.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            directory: None,
            stdin: Stdin::Null,
            echo: false,
            progress: Mode::Auto,
            limits: Limits::default(),
            grace: PROCESS_STOP_GRACE,
        }
    }
}

/// What a process reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// What we read ourselves. If that is a terminal, the process stays in our own process group, because the kernel
    /// lets only the group in front read; Ctrl-C then reaches it without us.
    Inherit,
    /// Nothing.
    Null,
    /// These bytes, then the end.
    Bytes(Bytes),
}

/// How progress is found in lines of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Mode {
    /// JSON lines, and what progress bars and counters usually look like
    #[default]
    Auto,
    /// Lines such as {"progress":{"completed":450,"total":1000}} and {"quota_use":{"youtube":240}} alone
    Json,
    /// Not at all
    Off,
}

/// What a tree of processes may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Resident memory of all its processes.
    pub memory_bytes: Option<u64>,
    /// Processor time of all its processes in percent of one core, for
    /// [`PROCESS_CPU_OVER_FOR`](crate::domain::limits::PROCESS_CPU_OVER_FOR).
    pub cpu_percent: Option<f64>,
}
