//! A watch of many jobs that outlives its streams: when one breaks, another goes on from the newest token.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use prost::Message as _;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

use super::patience::{Break, SILENCE_MAX, pause, unheard, unreadable};
use super::{Address, Client, REQUEST_TIMEOUT};
use crate::cli::exit::Failure;
use crate::proto::v1::job_service_client::JobServiceClient;
use crate::proto::v1::watch_jobs_response::removed::Reason;
use crate::proto::v1::watch_jobs_response::{Event as Wire, Reset};
use crate::proto::v1::{Job, WatchJobsRequest, WatchJobsResponse};
use crate::runtime::Clock;

#[cfg(test)]
mod tests;

/// One event of the watch.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub seen: Seen,
    /// The event as it came; none of a break, of which the server could not tell.
    pub wire: Option<WatchJobsResponse>,
}

/// What happened.
#[derive(Debug)]
pub enum Seen {
    /// Jobs that match, as they are now.
    Upsert(Vec<Job>),
    /// A job that matches no more.
    Removed {
        /// Its id.
        job_id: String,
        /// True if it was deleted.
        deleted: bool,
        /// As it is now, if it was not deleted.
        job: Option<Box<Job>>,
    },
    /// All that match are here.
    Complete,
    /// All changes up to now are here.
    Bookmark,
    /// Start over: all jobs that match come again, and then [`Seen::Complete`].
    Reset,
    /// Nothing, and the server is there.
    Heartbeat,
    /// The stream broke; another is tried after the pause.
    Lost {
        /// Why.
        cause: String,
        /// How long is waited.
        pause: Duration,
    },
}

type Opened = Result<Response<Streaming<WatchJobsResponse>>, Status>;

/// Where the stream is.
enum Link {
    /// To be opened, but not before this.
    Closed { not_before: Option<Instant> },
    /// On its way.
    Opening { call: Pin<Box<dyn Future<Output = Opened> + Send>>, until: Instant },
    /// There, and last heard at this moment.
    Open { stream: Box<Streaming<WatchJobsResponse>>, heard: Instant },
}

/// A watch of many jobs. It ends with a failure only; to end it, drop it.
pub struct FollowMany {
    service: JobServiceClient<Channel>,
    address: Address,
    request: WatchJobsRequest,
    link: Link,
    until: Option<(Instant, Duration)>,
    heard: bool,
    /// Jobs were told that a later stream without a token would not take back.
    told: bool,
    reset_due: bool,
    breaks: u32,
}

impl FollowMany {
    /// Follows the jobs within the client's limit of time.
    #[must_use]
    pub fn new(client: &Client, request: WatchJobsRequest) -> Self {
        Self {
            service: client.jobs(),
            address: client.address.clone(),
            request,
            link: Link::Closed { not_before: None },
            until: client.deadline(),
            heard: false,
            told: false,
            reset_due: false,
            breaks: 0,
        }
    }

    /// The next event. May be dropped before it is there and asked for again: nothing is lost.
    ///
    /// # Errors
    ///
    /// The server refuses for good, or the time is over.
    pub async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if std::mem::take(&mut self.reset_due) {
                let wire = WatchJobsResponse { event: Some(Wire::Reset(Reset {})) };
                return Ok(Event { seen: Seen::Reset, wire: Some(wire) });
            }
            let received = match self.until {
                None => self.receive().await,
                Some((until, limit)) => timeout_at(until, self.receive())
                    .await
                    .unwrap_or_else(|_| Err(Break::Fatal(self.timed_out(limit)))),
            };
            match received {
                Ok(wire) => {
                    (self.breaks, self.heard) = (0, true);
                    if let Some(seen) = self.accept(&wire)? {
                        return Ok(Event { seen, wire: Some(wire) });
                    }
                }
                Err(Break::Passing { cause, after }) => return Ok(self.lost(cause, after)),
                Err(Break::Fatal(failure)) => return Err(failure),
            }
        }
    }

    /// One message. Whatever it waits for is kept in `link`, so that a caller who gives up in the middle loses nothing.
    async fn receive(&mut self) -> Result<WatchJobsResponse, Break> {
        loop {
            match &mut self.link {
                Link::Closed { not_before } => {
                    if let Some(moment) = *not_before {
                        sleep_until(moment).await;
                    }
                    self.open();
                }
                Link::Opening { call, until } => {
                    let opened = timeout_at(*until, call.as_mut()).await;
                    let opened = opened.map_err(|_| Break::passing("no answer"))?;
                    let stream = match opened {
                        Ok(stream) => Box::new(stream.into_inner()),
                        Err(status) => return Err(self.broken(&status)),
                    };
                    self.link = Link::Open { stream, heard: Clock::monotonic() };
                }
                Link::Open { stream, heard } => {
                    let message = timeout_at(*heard + SILENCE_MAX, stream.message()).await;
                    *heard = Clock::monotonic();
                    return match message {
                        Ok(Ok(Some(message))) => Ok(message),
                        Ok(Ok(None)) => Err(Break::passing("the stream ended")),
                        Ok(Err(status)) => Err(self.broken(&status)),
                        Err(_) => Err(Break::passing("nothing was heard")),
                    };
                }
            }
        }
    }

    fn open(&mut self) {
        let (mut service, mut request) = (self.service.clone(), self.request.clone());
        // What goes on from a token has no snapshot to skip.
        request.skip_snapshot &= request.resume_token.is_empty();
        let call = Box::pin(async move { service.watch_jobs(request).await });
        self.link = Link::Opening { call, until: Clock::monotonic() + REQUEST_TIMEOUT };
    }

    /// Reads an event and remembers how far it goes; `None` if this program does not know it.
    fn accept(&mut self, wire: &WatchJobsResponse) -> Result<Option<Seen>, Failure> {
        let job = |encoded: &bytes::Bytes| {
            Job::decode(encoded.clone()).map_err(|error| unreadable(&error))
        };
        let seen = match &wire.event {
            Some(Wire::Upsert(upsert)) => {
                self.told = true;
                Seen::Upsert(upsert.jobs.iter().map(job).collect::<Result<_, _>>()?)
            }
            Some(Wire::Removed(removed)) => Seen::Removed {
                job_id: removed.job_id.clone(),
                deleted: removed.reason() == Reason::Deleted,
                job: removed.job.as_ref().map(job).transpose()?.map(Box::new),
            },
            Some(Wire::SnapshotEnd(end)) => {
                self.request.resume_token.clone_from(&end.resume_token);
                Seen::Complete
            }
            Some(Wire::Bookmark(bookmark)) => {
                self.request.resume_token.clone_from(&bookmark.resume_token);
                Seen::Bookmark
            }
            Some(Wire::Reset(_)) => {
                self.request.resume_token.clear();
                Seen::Reset
            }
            Some(Wire::Heartbeat(_)) => Seen::Heartbeat,
            // An event of a newer server.
            None => return Ok(None),
        };
        Ok(Some(seen))
    }

    fn broken(&mut self, status: &Status) -> Break {
        // A server that cannot read the token of its predecessor starts over.
        if status.code() == Code::InvalidArgument && !self.request.resume_token.is_empty() {
            self.request.resume_token.clear();
            return Break::passing("the server does not know how far this watch was");
        }
        Break::of(status, "watch jobs", &self.address.to_string(), self.heard)
    }

    fn timed_out(&self, limit: Duration) -> Failure {
        if !self.heard {
            return unheard("watch jobs", &self.address, limit);
        }
        Failure::TimedOut {
            doing: "the time to watch is over".to_owned(),
            after: limit,
            next: "the jobs go on: watch them again, longer with --timeout or without it"
                .to_owned(),
        }
    }

    /// Plans the next try.
    fn lost(&mut self, cause: String, after: Option<Duration>) -> Event {
        let pause = pause(self.breaks, after);
        self.breaks += 1;
        self.link = Link::Closed { not_before: Some(Clock::monotonic() + pause) };
        // Without a token nobody says which of the jobs told so far are gone.
        self.reset_due = self.told && self.request.resume_token.is_empty();
        self.told &= !self.reset_due;
        Event { seen: Seen::Lost { cause, pause }, wire: None }
    }
}
