//! WatchJobs: the jobs that match, then what changes, in messages that a reader can take.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;

use crate::auth::Caller;
use crate::config::Streams;
use crate::domain::limits::{RESPONSE_BYTES_MAX, WATCH_JOBS_INTERVAL_DEFAULT};
use crate::domain::validate::Violations;
use crate::engine::{self, Engine, JobsWatch, Resume, Sent, Start, WatchJobs};
use crate::proto::v1;
use crate::proto::v1::watch_jobs_response::{
    Bookmark, Event, Heartbeat, Removed, Reset, SnapshotEnd, Upsert, removed::Reason,
};
use crate::runtime::{Clock, Shutdown};
use crate::watch::{Encoding, Snapshot, Why};

use super::ageing::{Ageing, aged};
use super::convert::{self, View};
use super::resume_token::{self, Scope};
use super::show;
use super::status::{invalid, to_status};

/// What a watcher reads.
pub type WatchJobsStream =
    Pin<Box<dyn Stream<Item = Result<v1::WatchJobsResponse, Status>> + Send + 'static>>;

/// Places among the encodings of a snapshot: those of WatchJob come before.
const BASIC: Encoding = Encoding(4);
const FULL: Encoding = Encoding(5);

fn wish(request: v1::WatchJobsRequest) -> Result<(WatchJobs, View, Scope), Status> {
    let mut violations = Violations::default();
    let wrong = &mut violations;
    let filter = convert::filter::from_proto(request.filter, "filter", wrong);
    let view = convert::job::view(request.view, View::Basic, "view", wrong);
    let default = WATCH_JOBS_INTERVAL_DEFAULT;
    let min_interval =
        convert::time::min_interval(request.min_interval, default, "min_interval", wrong);
    let resumes = !request.resume_token.is_empty();
    if resumes && request.skip_snapshot {
        wrong.add("skip_snapshot", "must not be set with a resume_token".to_owned());
    }
    let (Some(filter), Some(view), Some(min_interval), []) =
        (filter, view, min_interval, violations.as_slice())
    else {
        return Err(invalid(violations));
    };
    let filter = WatchJobs::normalized(filter);
    let scope = Scope::of(&filter, view);
    let start = match (resumes, request.skip_snapshot) {
        (true, _) => Start::After(resume_token::from_token(&request.resume_token, scope)?),
        (false, true) => Start::Now,
        (false, false) => Start::Snapshot,
    };
    Ok((WatchJobs { filter, full: view == View::Full, start, min_interval }, view, scope))
}

/// Starts watching many jobs.
///
/// # Errors
/// If the request is invalid, or too much is watched.
pub async fn watch(
    engine: &Engine,
    streams: Streams,
    caller: &Caller,
    request: v1::WatchJobsRequest,
) -> Result<WatchJobsStream, Status> {
    let (wish, view, scope) = wish(request)?;
    let watch = engine.watch_jobs(caller, wish).await.map_err(to_status)?;
    let watcher = Watcher {
        engine: engine.clone(),
        round: round(watch),
        view,
        scope,
        shutdown: engine.shutdown_signal(),
        ageing: Ageing::about(streams.max_age),
        heartbeat: streams.watch_heartbeat,
        queue: VecDeque::new(),
        last_sent: Clock::monotonic(),
    };
    Ok(Box::pin(futures_util::stream::unfold(Some(watcher), step)))
}

async fn step(
    watcher: Option<Watcher>,
) -> Option<(Result<v1::WatchJobsResponse, Status>, Option<Watcher>)> {
    let mut watcher = watcher?;
    match watcher.next().await {
        Ok(message) => Some((Ok(message), Some(watcher))),
        Err(status) => Some((Err(status), None)),
    }
}

/// What a watch is about to send, and the watch.
type Round = Pin<Box<dyn Future<Output = (JobsWatch, engine::Result<Vec<Sent>>)> + Send>>;

fn round(mut watch: JobsWatch) -> Round {
    Box::pin(async move {
        let sent = watch.next().await;
        (watch, sent)
    })
}

struct Watcher {
    engine: Engine,
    /// Kept from one message to the next: a heartbeat does not start a long read anew.
    round: Round,
    view: View,
    scope: Scope,
    shutdown: Shutdown,
    ageing: Ageing,
    /// Silence after which a heartbeat is sent.
    heartbeat: Duration,
    /// What the reader takes next; encoded when it does.
    queue: VecDeque<Sent>,
    last_sent: Instant,
}

impl Watcher {
    async fn next(&mut self) -> Result<v1::WatchJobsResponse, Status> {
        let event = loop {
            if self.shutdown.is_signalled() {
                return Err(to_status(engine::Error::Draining));
            }
            if let Some(event) = self.pack() {
                break event;
            }
            tokio::select! {
                (watch, sent) = &mut self.round => {
                    self.round = round(watch);
                    self.queue.extend(sent.map_err(to_status)?);
                }
                () = tokio::time::sleep_until(self.last_sent + self.heartbeat) => {
                    let server_time = Some(convert::time::to_proto(self.engine.clock().now()));
                    break Event::Heartbeat(Heartbeat { server_time });
                }
                () = self.shutdown.signalled() => {}
                () = self.ageing.over() => return Err(aged()),
            }
        };
        self.last_sent = Clock::monotonic();
        Ok(v1::WatchJobsResponse { event: Some(event) })
    }

    /// The next message of what is queued: jobs that follow each other go together, up to a bound.
    fn pack(&mut self) -> Option<Event> {
        let mut jobs = Vec::new();
        let mut bytes = 0;
        while let Some(Sent::Job(snapshot)) = self.queue.front() {
            let job = self.encode(snapshot);
            bytes += job.len();
            if bytes > RESPONSE_BYTES_MAX && !jobs.is_empty() {
                break;
            }
            jobs.push(job);
            self.queue.pop_front();
        }
        if !jobs.is_empty() {
            return Some(Event::Upsert(Upsert { jobs }));
        }
        let event = match self.queue.pop_front()? {
            Sent::Job(snapshot) => Event::Upsert(Upsert { jobs: vec![self.encode(&snapshot)] }),
            Sent::Removed { job_id, why, job } => {
                let reason = match why {
                    Why::Deleted => Reason::Deleted,
                    Why::Unmatched => Reason::Unmatched,
                };
                Event::Removed(Removed {
                    job_id: job_id.to_string(),
                    reason: reason.into(),
                    job: job.map(|snapshot| self.encode(&snapshot)),
                })
            }
            Sent::SnapshotEnd(here) => {
                Event::SnapshotEnd(SnapshotEnd { resume_token: self.token(&here) })
            }
            Sent::Bookmark(here) => Event::Bookmark(Bookmark { resume_token: self.token(&here) }),
            Sent::Reset => Event::Reset(Reset {}),
        };
        Some(event)
    }

    fn token(&self, here: &Resume) -> String {
        resume_token::to_token(here, self.scope)
    }

    /// The job in the view asked for, made once for all who watch it so.
    fn encode(&self, snapshot: &Snapshot) -> Bytes {
        let (engine, view) = (&self.engine, self.view);
        let form = if view == View::Full { FULL } else { BASIC };
        snapshot.encoded(form, |job| show::job(engine, job, view).encode_to_vec().into())
    }
}
