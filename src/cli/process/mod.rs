//! A supervised process: what `run` and `work` run.
//!
//! Owns: the start of a command ([`Process::spawn`]), its output as lines ([`lines`], [`text`]), the progress found in
//! it ([`progress`]), what it says it used of quotas ([`quota`]), what its tree uses ([`scan`], [`meter`]), limits, signals and its end with nothing left ([`tree`]).
//! Does not own: jobs and the server; it knows neither.
//! Entry: [`Process::spawn`], which gives a handle and the [`Events`]; the last event is [`Event::Ended`].
//! Invariants: the command waits for whoever takes the events only as a program waits for the reader of its pipe, and
//! not for long (then what is too much is dropped and counted), and for whoever reads our own stdout and stderr when
//! these are echoed; after [`Event::Ended`] no process of the tree is
//! left, also none that made a session of its own or lost its parent.
//!
//! The tree is found by looking at the processes of the machine: descendants, their process groups and sessions,
//! those seen before, and what became our child because its parent died (this process is a subreaper on Linux) and
//! carries the mark of the tree in its environment. No resource limits of the kernel (`setrlimit`) are used: they hold
//! for a single process and for address space, which says nothing about the memory that a tree uses.

mod event;
mod lines;
mod meter;
pub mod progress;
mod queue;
mod quota;
mod reader;
mod result;
mod said;
mod scan;
mod sink;
mod spec;
mod supervisor;
mod text;
mod tree;

use std::io;
use std::process::Stdio;
use std::time::Duration;

pub use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use event::{Ended, Event, How, Line, Over, Stream, Usage};
pub use queue::Events;
pub use spec::{Limits, Mode, Spec, Stdin};

use crate::domain::limits::PROCESS_SIGNALS_MAX;
use crate::runtime::{Clock, Tasks};
use queue::Queue;
use sink::Sink;
use supervisor::Supervisor;
use tree::Tree;

#[cfg(test)]
mod tests;

/// The variable by which a process is known to belong to a tree, whatever became of its parents.
const MARK: &str = "JOBPLANE_PROCESS_TREE";

/// A command that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("{0}: command not found")]
    NotFound(String),
    /// It is there, but is no program, or not ours to run.
    #[error("{0}: cannot be executed: {1}")]
    NotExecutable(String, io::Error),
    /// The system refused.
    #[error("{0}: cannot be started: {1}")]
    Refused(String, io::Error),
}

impl SpawnError {
    /// The code that a shell would end with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(..) | Self::Refused(..) => 126,
        }
    }

    fn of(program: String, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound(program),
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::InvalidInput => Self::NotExecutable(program, error),
            // ENOEXEC: neither a binary of this machine nor a script with its `#!`.
            _ if error.raw_os_error() == Some(8) => Self::NotExecutable(program, error),
            _ => Self::Refused(program, error),
        }
    }
}

/// A running process with its tree. Cheap to clone; dropping it stops nothing.
#[derive(Clone)]
pub struct Process {
    pid: u32,
    shares_group: bool,
    stop: watch::Sender<Option<Instant>>,
    signals: mpsc::Sender<Signal>,
}

impl Process {
    /// Starts a command. Its tasks are among `tasks`, which must live until [`Event::Ended`].
    ///
    /// # Errors
    ///
    /// The command cannot be started.
    pub fn spawn(spec: &Spec, tasks: &Tasks, clock: &Clock) -> Result<(Self, Events), SpawnError> {
        let mark = uuid::Uuid::new_v4().to_string();
        let shares_group =
            spec.stdin == Stdin::Inherit && io::IsTerminal::is_terminal(&io::stdin());
        scan::adopt_orphans();
        let mut child = command(spec, &mark, shares_group)
            .spawn()
            .map_err(|error| SpawnError::of(spec.program.to_string_lossy().into_owned(), error))?;
        let pid = child.id().unwrap_or_default();
        if let (Stdin::Bytes(bytes), Some(mut pipe)) = (&spec.stdin, child.stdin.take()) {
            let bytes = bytes.clone();
            // A command that does not read its input to the end is no error.
            tasks.spawn("process input", async move { drop(pipe.write_all(&bytes).await) });
        }
        let queue = Queue::default();
        let sink = Sink::new(queue.clone(), clock.clone(), spec.progress);
        let readers = reader::start(&mut child, spec.echo, &sink, tasks);
        let (stop, stops) = watch::channel(None);
        let (signals, received) = mpsc::channel(PROCESS_SIGNALS_MAX);
        let tree = Tree::new(pid, mark);
        let events = queue.events();
        let supervisor = Supervisor::new(tree, spec, queue, sink, stops, received);
        tasks.spawn("process", supervisor.run(child, readers));
        Ok((Self { pid, shares_group, stop, signals }, events))
    }

    /// The command's own id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the command is in our own process group, so that Ctrl-C in the terminal reached it already.
    #[must_use]
    pub fn shares_group(&self) -> bool {
        self.shares_group
    }

    /// Ends the tree: SIGTERM to each of its processes, SIGKILL to those that are left after `grace`. Again, it may
    /// only shorten the grace.
    pub fn stop(&self, grace: Duration) {
        let deadline = Clock::monotonic() + grace;
        self.stop.send_modify(|stop| *stop = Some(stop.map_or(deadline, |old| old.min(deadline))));
    }

    /// Sends a signal to each process of the tree. It may be lost if many are under way.
    pub fn signal(&self, signal: Signal) {
        self.signals.try_send(signal).ok();
    }
}

fn command(spec: &Spec, mark: &str, shares_group: bool) -> Command {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .env(MARK, mark)
        .stdin(match spec.stdin {
            Stdin::Inherit => Stdio::inherit(),
            Stdin::Null => Stdio::null(),
            Stdin::Bytes(_) => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if !shares_group {
        command.process_group(0);
    }
    if let Some(directory) = &spec.directory {
        command.current_dir(directory);
    }
    command
}
