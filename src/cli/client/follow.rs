//! A watch of one job that outlives its streams: when one breaks, another takes its place where it stopped.

use std::time::Duration;

use prost::Message as _;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, Streaming};

use super::patience::{Break, SILENCE_MAX, pause, unheard, unreadable};
use super::{Client, REQUEST_TIMEOUT};
use crate::cli::exit::Failure;
use crate::cli::format;
use crate::cli::output::Out;
use crate::proto::v1::watch_job_response::{Event as Wire, Logs, Snapshot, Update};
use crate::proto::v1::{JobState, JobStatus, WatchJobRequest, WatchJobResponse};
use crate::runtime::Clock;

#[cfg(test)]
mod tests;

/// One event of the watch.
pub struct Event {
    /// What happened.
    pub happened: Happened,
    /// The event as it came.
    pub wire: WatchJobResponse,
}

/// What happened.
pub enum Happened {
    /// The job as it is: first of all, and again after each break.
    Snapshot(Box<crate::proto::v1::Job>),
    /// Its new status.
    Update(Box<JobStatus>),
    /// New lines, each seen for the first time.
    Logs(Logs),
    /// Nothing, and the server is there.
    Heartbeat,
}

/// A watch of one job until it is over.
pub struct Follow<'a> {
    client: &'a Client,
    request: WatchJobRequest,
    stream: Option<Streaming<WatchJobResponse>>,
    until: Option<(Instant, Duration)>,
    heard: bool,
    breaks: u32,
    terminal: bool,
    over: bool,
}

impl<'a> Follow<'a> {
    /// Follows a job within the client's limit of time.
    #[must_use]
    pub fn new(client: &'a Client, request: WatchJobRequest) -> Self {
        Self {
            client,
            request,
            stream: None,
            until: client.deadline(),
            heard: false,
            breaks: 0,
            terminal: false,
            over: false,
        }
    }

    /// Follows for so long from now at most; patient from the start, because the server was heard before.
    #[must_use]
    pub fn within(mut self, limit: Option<Duration>) -> Self {
        self.until = limit.map(|limit| (Clock::monotonic() + limit, limit));
        self.heard = true;
        self
    }

    /// The next event; `None` when the job is over and, if logs are included, all its lines are here.
    ///
    /// # Errors
    ///
    /// The job is not there, the server refuses for good, or the time is over. Breaks are mended with a note.
    pub async fn next(&mut self, out: &mut Out) -> Result<Option<Event>, Failure> {
        while !self.over {
            let received = match self.until {
                None => self.receive().await,
                Some((until, limit)) => tokio::time::timeout_at(until, self.receive())
                    .await
                    .unwrap_or_else(|_| Err(Break::Fatal(self.timed_out(limit)))),
            };
            match received {
                Ok(Some(wire)) => {
                    self.breaks = 0;
                    self.heard = true;
                    if let Some(event) = self.accept(wire)? {
                        return Ok(Some(event));
                    }
                }
                Ok(None) if self.terminal => self.over = true,
                Ok(None) => self.pause("the stream ended early", None, out).await?,
                Err(Break::Passing { cause, after }) => self.pause(&cause, after, out).await?,
                Err(Break::Fatal(failure)) => return Err(failure),
            }
        }
        Ok(None)
    }

    /// One message of the stream, opened if there is none.
    async fn receive(&mut self) -> Result<Option<WatchJobResponse>, Break> {
        if self.stream.is_none() {
            let mut jobs = self.client.jobs();
            let opened = timeout(REQUEST_TIMEOUT, jobs.watch_job(self.request.clone()))
                .await
                .map_err(|_| Break::passing("no answer"))?;
            self.stream = Some(opened.map_err(|status| self.broken(&status))?.into_inner());
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        match timeout(SILENCE_MAX, stream.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(self.broken(&status)),
            Err(_) => Err(Break::passing("nothing was heard")),
        }
    }

    /// Reads an event and remembers how far it goes; `None` if it says nothing new.
    fn accept(&mut self, wire: WatchJobResponse) -> Result<Option<Event>, Failure> {
        let happened = match &wire.event {
            Some(Wire::Snapshot(encoded)) => {
                let job =
                    Snapshot::decode(encoded.clone()).map_err(|error| unreadable(&error))?.job;
                let job = job.unwrap_or_default();
                self.note_state(job.status.as_ref());
                Happened::Snapshot(Box::new(job))
            }
            Some(Wire::Update(encoded)) => {
                let status =
                    Update::decode(encoded.clone()).map_err(|error| unreadable(&error))?.status;
                self.note_state(status.as_ref());
                Happened::Update(Box::new(status.unwrap_or_default()))
            }
            Some(Wire::Logs(encoded)) => {
                let mut logs = Logs::decode(encoded.clone()).map_err(|error| unreadable(&error))?;
                let seen = self.request.after_log_sequence;
                logs.entries.retain(|entry| entry.sequence > seen);
                let last = logs.entries.iter().map(|entry| entry.sequence).max();
                self.request.after_log_sequence =
                    seen.max(logs.next_sequence).max(last.unwrap_or_default());
                if logs.entries.is_empty() && logs.gaps.is_empty() {
                    return Ok(None);
                }
                Happened::Logs(logs)
            }
            Some(Wire::Heartbeat(_)) => Happened::Heartbeat,
            // An event of a newer server.
            None => return Ok(None),
        };
        Ok(Some(Event { happened, wire }))
    }

    /// A terminal state ends the watch; with logs, the stream has to end first.
    fn note_state(&mut self, status: Option<&JobStatus>) {
        self.terminal = status.is_some_and(|status| is_terminal(status.state()));
        self.over = self.terminal && !self.request.include_logs;
    }

    /// Waits before the next try, and says so.
    async fn pause(
        &mut self,
        cause: &str,
        after: Option<Duration>,
        out: &mut Out,
    ) -> Result<(), Failure> {
        self.stream = None;
        let pause = pause(self.breaks, after);
        self.breaks += 1;
        let address = &self.client.address;
        let said = format::span(pause);
        out.note(&format!("jobplane: lost {address} ({cause}); trying again in {said}"))?;
        match self.until {
            Some((until, limit)) if Clock::monotonic() + pause >= until => {
                tokio::time::sleep_until(until).await;
                Err(self.timed_out(limit))
            }
            _ => {
                sleep(pause).await;
                Ok(())
            }
        }
    }

    fn broken(&self, status: &Status) -> Break {
        let doing = format!("watch job {}", self.request.job_id);
        Break::of(status, &doing, &self.client.address.to_string(), self.heard)
    }

    fn timed_out(&self, limit: Duration) -> Failure {
        let id = &self.request.job_id;
        if !self.heard {
            return unheard(&format!("watch job {id}"), &self.client.address, limit);
        }
        Failure::TimedOut {
            doing: format!("job {id} is not over"),
            after: limit,
            next: format!("it goes on: see it with `jobplane watch {id}`"),
        }
    }
}

/// Whether a job in this state is over.
fn is_terminal(state: JobState) -> bool {
    match state {
        JobState::Unspecified | JobState::Pending | JobState::Running => false,
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Skipped => true,
    }
}
