//! A screen of its own that is drawn over and over; the terminal is as before when it is left, however that happens.
//!
//! No raw mode and no keys: Ctrl-C is a signal as ever.

use std::time::Duration;

use rustix::process::{Signal as Posix, getpid, kill_process};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::exit::{Exit, Failure};
use super::output::{self, Out};
use crate::runtime::Clock;

/// Another screen, no cursor, lines cut off at the edge.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J";
/// All of it undone.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Drawn no more often than this.
const FRAME: Duration = Duration::from_millis(100);
/// Drawn so often although nothing happens: ages go on.
const IDLE: Duration = Duration::from_secs(1);

/// What reaches a program from its terminal and its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, or the terminal is gone.
    Terminate,
    /// The terminal has another size.
    Resize,
    /// Ctrl-Z.
    Suspend,
}

impl Signal {
    /// How a view ends that goes on until it is told to stop; `None` if it goes on. Ctrl-C is how one stops it, and no
    /// failure.
    #[must_use]
    pub fn exit(self) -> Option<Exit> {
        match self {
            Self::Interrupt => Some(Exit::Ok),
            Self::Terminate => Some(Exit::Terminated),
            Self::Resize | Self::Suspend => None,
        }
    }
}

/// The signals that a live view handles itself.
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hang_up: Stream,
    resize: Stream,
    suspend: Stream,
}

impl Signals {
    /// Handles them from now on.
    pub fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::Output);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            resize: listen(SignalKind::window_change())?,
            suspend: listen(SignalKind::from_raw(Posix::TSTP.as_raw()))?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hang_up.recv() => Signal::Terminate,
            _ = self.resize.recv() => Signal::Resize,
            _ = self.suspend.recv() => Signal::Suspend,
        }
    }
}

/// The screen.
pub struct Screen<'a> {
    out: &'a mut Out,
    last: Vec<String>,
    left: bool,
}

impl<'a> Screen<'a> {
    /// Takes the terminal.
    pub fn enter(out: &'a mut Out) -> Result<Self, Failure> {
        out.raw(ENTER)?;
        Ok(Self { out, last: Vec::new(), left: false })
    }

    /// Columns and lines.
    #[must_use]
    pub fn size() -> (usize, usize) {
        let (columns, lines) = output::size();
        (columns.into(), lines.into())
    }

    /// Whether colour is welcome.
    #[must_use]
    pub fn colour(&self) -> bool {
        self.out.colour()
    }

    /// Shows these lines and nothing else.
    pub fn draw(&mut self, lines: Vec<String>) -> Result<(), Failure> {
        let (_, room) = Self::size();
        let shown: Vec<&str> = lines.iter().take(room).map(String::as_str).collect();
        let frame = shown.join("\x1b[K\r\n");
        self.out.raw(&format!("\x1b[H{frame}\x1b[K\x1b[J"))?;
        self.last = lines;
        Ok(())
    }

    /// Stops the process, as Ctrl-Z says, with the terminal as it was before; returns when it goes on.
    pub fn suspend(&mut self) -> Result<(), Failure> {
        self.out.raw(LEAVE)?;
        kill_process(getpid(), Posix::STOP).map_err(|error| Failure::Output(error.into()))?;
        self.out.raw(ENTER)
    }

    /// Gives the terminal back, and leaves on it what was drawn last.
    pub fn leave(mut self) -> Result<(), Failure> {
        self.left = true;
        self.out.raw(LEAVE)?;
        for line in std::mem::take(&mut self.last) {
            self.out.line(&line)?;
        }
        self.out.flush()
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if !self.left {
            // Nobody is left to tell if this fails too.
            drop(self.out.raw(LEAVE));
        }
    }
}

/// When to draw: soon after something changed, but not too often, and now and then in any case.
pub struct Frames {
    drawn: Instant,
    changed: bool,
}

impl Frames {
    /// The first frame is due at once.
    #[must_use]
    pub fn new() -> Self {
        Self { drawn: Clock::monotonic(), changed: true }
    }

    /// Something is there to be drawn.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// Waits until a frame is due, and counts it as drawn.
    pub async fn due(&mut self) {
        sleep_until(self.drawn + if self.changed { FRAME } else { IDLE }).await;
        self.drawn = Clock::monotonic();
        self.changed = false;
    }
}
