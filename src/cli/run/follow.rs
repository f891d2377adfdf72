//! Between the command and the server: while the command runs, and until the server knows how it ended.

use std::time::Duration;

use super::Args;
use super::signals::{Signals, next};
use super::start::Started;
use crate::cli::client::Address;
use crate::cli::exit::Failure;
use crate::cli::output::warn;
use crate::cli::process::{self, Ended, Process, Signal, SpawnError};
use crate::cli::relay::{self, ResultFile, Told, Verdict};
use crate::cli::worker::{self, Closed, Handle, Lease};
use crate::cli::{Context, each, format, names};
use crate::proto::v1::{CancelCause, LogLevel};

/// A terminal tells the command and us at once: its end may be seen this much before the signal that it ended by.
const SIGNAL_LATE_MAX: Duration = Duration::from_secs(2);

/// Passes on what the command says, and what the server asks.
pub(super) struct Follow<'a> {
    args: &'a Args,
    lease: Lease,
    address: &'a Address,
    handle: Handle,
    events: worker::Events,
    told: Told,
    away: bool,
    /// The server will hear nothing more of the job.
    given_up: bool,
}

impl<'a> Follow<'a> {
    pub(super) fn new(
        args: &'a Args,
        started: &Started,
        context: &'a Context,
        handle: Handle,
        events: worker::Events,
    ) -> Self {
        Self {
            args,
            lease: started.lease.clone(),
            address: &context.address,
            handle,
            events,
            told: Told::default(),
            away: false,
            given_up: false,
        }
    }

    /// Until the command ended and the server knows it, or its time is over; answers the exit code.
    pub(super) async fn until_over(
        mut self,
        process: Process,
        events: process::Events,
        mut signals: Option<Signals>,
        file: &ResultFile,
    ) -> u8 {
        let (lease, handle) = (self.lease.clone(), self.handle.clone());
        let mut relayed = std::pin::pin!(relay::relay(events, &lease, &handle));
        let ended = loop {
            tokio::select! {
                ended = &mut relayed => break ended,
                Some(event) = self.events.next() => self.server_says(event, Some(&process)),
                signal = next(&mut signals) => {
                    self.told.signal.get_or_insert(signal);
                    if let Some(signals) = &mut signals {
                        signals.pass_on(signal, &process, self.args.grace);
                    }
                }
            }
        };
        let Some(ended) = ended else {
            warn("jobplane: lost sight of the command; its job is left to the server");
            return u8::MAX;
        };
        self.tell_end(&ended, file);
        let is_signal_late = self.told.signal.is_none();
        self.close(&mut signals, is_signal_late).await;
        ended.how.exit_code()
    }

    /// The command could not be started: the job failed.
    pub(super) async fn not_started(
        mut self,
        error: &SpawnError,
        mut signals: Option<Signals>,
    ) -> u8 {
        warn(&format!("jobplane: {error}"));
        self.handle.fail(&self.lease, relay::not_started(error), None);
        self.close(&mut signals, false).await;
        error.exit_code()
    }

    /// What the server says is done to the command, while it runs.
    fn server_says(&mut self, event: worker::Event, process: Option<&Process>) {
        use worker::Event;
        match event {
            Event::Connected => {
                if std::mem::take(&mut self.away) {
                    self.args.note(&format!("the server at {} is back", self.address));
                }
            }
            Event::Lost(cause) => {
                if !std::mem::replace(&mut self.away, true) && process.is_some() {
                    let (address, said) = (self.address, &cause.said);
                    self.args.note(&format!(
                        "the server at {address} is away ({said}); the command goes on"
                    ));
                }
            }
            Event::Refused(failure) => self.refused(&failure, process.is_some()),
            Event::Cancel { cause, reason, grace, .. } => {
                self.cancel(cause, &reason, grace, process);
            }
            Event::Revoked { reason, .. } => {
                self.given_up = true;
                if let Some(process) = process {
                    warn(&format!(
                        "jobplane: the job is no longer ours ({}); stopping the command",
                        format::plain(&reason)
                    ));
                    process.stop(self.args.grace);
                }
            }
            Event::Settled { answer: Err(refusal), .. } => {
                self.given_up = true;
                each::report(&Failure::Refused(refusal));
            }
            Event::Rejected { what, refusal, .. } => {
                self.args.note(&format!("the server refused {what}: {}", refusal.cause()));
            }
            Event::Drain { .. }
            | Event::Assigned { .. }
            | Event::Settled { answer: Ok(()), .. } => {}
        }
    }

    fn refused(&mut self, failure: &Failure, running: bool) {
        self.given_up = true;
        each::report(failure);
        if running {
            warn("jobplane: the command goes on, but the server will not hear of it");
        }
    }

    fn cancel(
        &mut self,
        cause: CancelCause,
        reason: &str,
        grace: Duration,
        process: Option<&Process>,
    ) {
        self.told.cause = Some(cause);
        // One that ended already is not told, and its code counts.
        if let Some(process) = process {
            let cause = names::short(cause);
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let said = format::plain(&format!("asked to stop ({cause}{reason})"));
            self.args.note(&format!("{said}; the command has {}", format::span(grace)));
            process.stop(relay::stop_within(grace));
        }
    }

    /// Tells the server how the command ended.
    fn tell_end(&self, ended: &Ended, file: &ResultFile) {
        if ended.left_behind > 0 {
            let count = ended.left_behind;
            let noun = if count == 1 { "process" } else { "processes" };
            self.say(&format!("the command left {count} {noun} behind: ended"));
        }
        if ended.unkillable > 0 {
            self.say(&format!("{} processes could not be killed", ended.unkillable));
        }
        if let Some(over) = ended.over {
            warn(&format!("jobplane: stopped the command: it {}", relay::limit_passed(over)));
        }
        match relay::verdict(ended, self.told, Some(file)) {
            Verdict::Succeeded { result, problem } => {
                if let Some(problem) = problem {
                    self.say(&format!("the last line of JSON is not the result: {problem}"));
                }
                self.handle.succeed(&self.lease, result);
            }
            Verdict::Failed(error) => {
                if ended.how.is_success() && !ended.stopped && ended.over.is_none() {
                    // Its code does not tell.
                    warn(&format!("jobplane: the job failed: {}", format::plain(&error.message)));
                }
                self.handle.fail(&self.lease, *error, None);
            }
            Verdict::Cancelled => self.handle.cancelled(&self.lease),
        }
    }

    /// Says something here and in the job's log.
    fn say(&self, what: &str) {
        self.args.note(what);
        self.handle
            .logs(&self.lease, [relay::note(LogLevel::Warning, format!("jobplane: {what}"))]);
    }

    /// Waits until the server has all there is, at most for the time allowed; a signal ends the wait. What a terminal sent
    /// to the command as well `may_be_late`: then it is that by which the command ended.
    async fn close(&mut self, signals: &mut Option<Signals>, mut may_be_late: bool) {
        if self.given_up {
            self.handle.close(Duration::ZERO).await;
            return;
        }
        let handle = self.handle.clone();
        let within = self.args.flush_timeout;
        if self.away && !within.is_zero() {
            let (address, within) = (self.address, format::span(within));
            self.args.note(&format!(
                "the command ended; waiting up to {within} for the server at {address} to hear of it"
            ));
        }
        // No Goodbye with the job in hand: the server would give it to another, although its work was done.
        let mut closing = std::pin::pin!(handle.close(Duration::MAX));
        let mut over = std::pin::pin!(tokio::time::sleep(within));
        let mut late = std::pin::pin!(tokio::time::sleep(SIGNAL_LATE_MAX));
        loop {
            tokio::select! {
                _ = &mut closing => break,
                () = &mut over => break,
                Some(event) = self.events.next() => self.server_says(event, None),
                () = &mut late, if may_be_late => may_be_late = false,
                signal = next(signals) => {
                    let is_from_terminal = signal == Signal::INT || signal == Signal::QUIT;
                    if !(std::mem::take(&mut may_be_late) && is_from_terminal) {
                        break;
                    }
                }
            }
        }
        self.tell_undelivered(self.handle.open());
    }

    fn tell_undelivered(&self, closed: Closed) {
        let dropped = self.handle.dropped_lines();
        if dropped > 0 {
            self.args.note(&format!(
                "the server was away for too long: {dropped} lines of the log gave way, and the log says so"
            ));
        }
        if closed.open_jobs == 0 && closed.open_lines == 0 || self.given_up {
            return;
        }
        let (id, address) = (&self.lease.job_id, self.address);
        let lines = match closed.open_lines {
            0 => None,
            1 => Some("1 line of its log".to_owned()),
            lines => Some(format!("{lines} lines of its log")),
        };
        let outcome = (closed.open_jobs > 0).then(|| "how it ended".to_owned());
        let missing: Vec<_> = outcome.into_iter().chain(lines).collect();
        let missing = missing.join(", and ");
        warn(&format!(
            "jobplane: the server at {address} did not hear all of job {id}; not delivered: {missing}"
        ));
        if closed.open_jobs > 0 {
            warn("  the server will take the job for lost (LEASE_LOST) when its lease runs out");
            warn("  next: wait longer with --flush-timeout, or run it again");
        }
    }
}
