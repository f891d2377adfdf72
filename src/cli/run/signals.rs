//! Signals that reach us: they are meant for the command.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal as Received, SignalKind, signal};

use crate::cli::process::{Process, Signal};

/// The signals that are passed on.
pub(super) struct Signals {
    interrupt: Received,
    terminate: Received,
    hang_up: Received,
    quit: Received,
    /// How often we were told to end.
    told: u32,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            told: 0,
        })
    }

    /// The next signal. Safe to drop.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Signal::INT,
            Some(()) = self.terminate.recv() => Signal::TERM,
            Some(()) = self.hang_up.recv() => Signal::HUP,
            Some(()) = self.quit.recv() => Signal::QUIT,
            else => std::future::pending().await,
        }
    }

    /// Passes a signal on. SIGTERM is the begin of the end: what is left after `grace` is killed. So is a second SIGINT or
    /// SIGQUIT, and a third one kills.
    pub(super) fn pass_on(&mut self, signal: Signal, process: &Process, grace: Duration) {
        match signal {
            Signal::HUP => process.signal(signal),
            Signal::TERM => process.stop(grace),
            _ => {
                self.told += 1;
                // The terminal told the whole group in front.
                if !process.shares_group() {
                    process.signal(signal);
                }
                match self.told {
                    1 => {}
                    2 => process.stop(grace),
                    _ => process.stop(Duration::ZERO),
                }
            }
        }
    }
}

/// The next signal, if they are listened to.
pub(super) async fn next(signals: &mut Option<Signals>) -> Signal {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}
