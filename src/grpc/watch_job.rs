//! WatchJob: the first snapshot, then whatever is newest, no faster than the watcher wants.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use prost::Message as _;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use crate::auth::Caller;
use crate::config::Streams;
use crate::domain::limits::{PAGE_SIZE_MAX, WATCH_JOB_INTERVAL_DEFAULT};
use crate::domain::logs::LogLevel;
use crate::domain::validate::Violations;
use crate::domain::{Job, JobId};
use crate::engine::{self, Engine, ListLogs, LogPage};
use crate::proto::v1;
use crate::proto::v1::watch_job_response::{Event, Heartbeat, Logs, Snapshot, Update};
use crate::runtime::{Clock, Shutdown};
use crate::watch::{self, Encoding, Glance, Subscription};

use super::ageing::{Ageing, aged};
use super::convert::{self, View};
use super::show;
use super::status::{invalid, to_status};

/// What a watcher reads.
pub type WatchStream =
    Pin<Box<dyn Stream<Item = Result<v1::WatchJobResponse, Status>> + Send + 'static>>;

/// A checked request.
struct Wish {
    job_id: JobId,
    view: View,
    include_logs: bool,
    after_log_sequence: i64,
    min_interval: Duration,
}

fn wish(request: &v1::WatchJobRequest) -> Result<Wish, Status> {
    let mut violations = Violations::default();
    let wrong = &mut violations;
    let job_id = convert::ids::job_id(&request.job_id, "job_id", wrong);
    let view = convert::job::view(request.view, View::Full, "view", wrong);
    let after = convert::number::position(request.after_log_sequence, "after_log_sequence", wrong);
    let default = WATCH_JOB_INTERVAL_DEFAULT;
    let min_interval =
        convert::time::min_interval(request.min_interval, default, "min_interval", wrong);
    match (job_id, view, after, min_interval) {
        (Some(job_id), Some(view), Some(after_log_sequence), Some(min_interval)) => Ok(Wish {
            job_id,
            view,
            include_logs: request.include_logs,
            after_log_sequence,
            min_interval,
        }),
        _ => Err(invalid(violations)),
    }
}

/// Starts watching a job.
///
/// # Errors
/// If the request is invalid, or there is no such job.
pub async fn watch(
    engine: &Engine,
    streams: Streams,
    caller: &Caller,
    request: v1::WatchJobRequest,
) -> Result<WatchStream, Status> {
    let wish = wish(&request)?;
    let (subscription, first) = engine.watch(caller, wish.job_id).await.map_err(to_status)?;
    let logs = ListLogs {
        job_id: wish.job_id,
        lease_epoch: None,
        min_level: LogLevel::Debug,
        after_sequence: wish.after_log_sequence,
        page_size: PAGE_SIZE_MAX,
    };
    let now = Clock::monotonic();
    let ageing = Ageing::about(streams.max_age);
    let alarm = ageing.at_latest(now + streams.watch_heartbeat);
    let mut watcher = Watcher {
        engine: engine.clone(),
        view: wish.view,
        logs: wish.include_logs.then_some(logs),
        behind: wish.include_logs,
        // Read before the first lines are, so that none is missed.
        logs_seen: subscription.slot().logs_version(),
        subscription,
        min_interval: wish.min_interval,
        shutdown: engine.shutdown_signal(),
        stopped: stopped(engine.shutdown_signal()),
        ageing,
        heartbeat: streams.watch_heartbeat,
        alarm: Box::pin(tokio::time::sleep_until(alarm)),
        version: first.version,
        queue: VecDeque::new(),
        last_sent: now,
        last_news: now,
        held: false,
        last_look: now,
        phase: if first.job.status.kind().is_terminal() { Phase::Over } else { Phase::Live },
    };
    watcher.queue.push_back(event(Event::Snapshot(watcher.encode(&first, Form::Snapshot))));
    Ok(Box::pin(futures_util::stream::unfold(Some(watcher), step)))
}

async fn step(
    watcher: Option<Watcher>,
) -> Option<(Result<v1::WatchJobResponse, Status>, Option<Watcher>)> {
    let mut watcher = watcher?;
    match watcher.next().await {
        Ok(Some(message)) => Some((Ok(message), Some(watcher))),
        Ok(None) => None,
        Err(status) => Some((Err(status), None)),
    }
}

/// The two forms a job is sent in.
#[derive(Clone, Copy)]
enum Form {
    Snapshot,
    Update,
}

/// How near its end a watch is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The job goes on.
    Live,
    /// The job has ended; the lines before its end are being sent.
    Ending,
    /// The terminal state is sent or queued.
    Over,
}

struct Watcher {
    engine: Engine,
    subscription: Subscription,
    view: View,
    /// What of the log is wanted next, if it is.
    logs: Option<ListLogs>,
    logs_seen: u64,
    /// Whether the log may go on after the lines queued so far.
    behind: bool,
    min_interval: Duration,
    shutdown: Shutdown,
    /// Waits for the shutdown. Made once: a wait of its own for each update costs as much as the update.
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    ageing: Ageing,
    /// Silence after which it says that it lives.
    heartbeat: Duration,
    /// Rings when the stream may be old or silent; set anew only when it rings, for the same reason.
    alarm: Pin<Box<Sleep>>,
    /// The slot's version sent last.
    version: u64,
    /// What the reader takes next: a page of lines and an update at most.
    queue: VecDeque<v1::WatchJobResponse>,
    last_sent: Instant,
    /// When anything but a heartbeat was sent last: from here the pace is counted.
    last_news: Instant,
    /// Something changed, and the watcher does not want it yet.
    held: bool,
    last_look: Instant,
    phase: Phase,
}

impl Watcher {
    async fn next(&mut self) -> Result<Option<v1::WatchJobResponse>, Status> {
        let mut fresh = false;
        loop {
            if let Some(message) = self.queue.pop_front() {
                // What was found this moment is sent this moment; what waited for the reader is sent now.
                self.last_sent = if fresh { self.last_look } else { Clock::monotonic() };
                if !matches!(message.event, Some(Event::Heartbeat(_))) {
                    self.last_news = self.last_sent;
                }
                return Ok(Some(message));
            }
            if self.behind {
                self.catch_up().await?;
                fresh = false;
                continue;
            }
            if self.phase == Phase::Over {
                return Ok(None);
            }
            if !self.held {
                tokio::select! {
                    biased;
                    () = self.subscription.changed() => self.held = true,
                    () = self.alarm.as_mut() => {
                        self.rung()?;
                        continue;
                    }
                    () = self.stopped.as_mut() => {}
                }
            }
            if self.shutdown.is_signalled() {
                return Err(to_status(engine::Error::Draining));
            }
            // Where updates never pause, the alarm is never listened to.
            if self.ageing.is_over(self.last_sent) {
                return Err(aged());
            }
            self.hold_back().await?;
            if self.queue.is_empty() {
                self.held = false;
                self.look()?;
                fresh = true;
            }
        }
    }

    /// What is to be done when the alarm rings; sets it anew.
    fn rung(&mut self) -> Result<(), Status> {
        let now = Clock::monotonic();
        if self.ageing.is_over(now) {
            return Err(aged());
        }
        let silent = self.last_sent + self.heartbeat;
        let next = if now >= silent {
            self.queue.push_back(self.heartbeat());
            now + self.heartbeat
        } else {
            silent
        };
        self.alarm.as_mut().reset(self.ageing.at_latest(next));
        Ok(())
    }

    /// Waits until the watcher wants another update, or a heartbeat is queued; the end is not held back.
    async fn hold_back(&mut self) -> Result<(), Status> {
        let due = self.last_news + self.min_interval;
        while Clock::monotonic() < due && !self.is_ended() && !self.shutdown.is_signalled() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.subscription.changed() => {}
                () = self.alarm.as_mut() => {
                    self.rung()?;
                    if !self.queue.is_empty() {
                        break;
                    }
                }
                () = self.shutdown.signalled() => {}
            }
        }
        Ok(())
    }

    fn is_ended(&self) -> bool {
        let slot = self.subscription.slot();
        slot.is_deleted()
            || slot.latest().is_some_and(|snapshot| snapshot.job.status.kind().is_terminal())
    }

    /// Queues what changed since the last look; the end only after the lines before it.
    fn look(&mut self) -> Result<(), Status> {
        self.last_look = Clock::monotonic();
        let Glance { latest, logs: logs_version, deleted } = self.subscription.glance();
        let Some(snapshot) = latest else { return Ok(()) };
        let over = snapshot.job.status.kind().is_terminal();
        let ends = over && snapshot.version != self.version;
        if logs_version != self.logs_seen || (ends && self.phase == Phase::Live) {
            self.logs_seen = logs_version;
            self.behind = self.logs.is_some();
        }
        self.phase = if ends { Phase::Ending } else { Phase::Live };
        if ends && self.behind {
            return Ok(());
        }
        if snapshot.version != self.version {
            self.version = snapshot.version;
            let update = self.encode(&snapshot, Form::Update);
            self.queue.push_back(event(Event::Update(update)));
            if over {
                self.phase = Phase::Over;
            }
        }
        if deleted && !over {
            let job_id = self.subscription.job_id();
            return Err(to_status(engine::Error::JobNotFound(job_id)));
        }
        Ok(())
    }

    /// Queues the next page of lines, and what else changed: a long log does not hold up the rest.
    async fn catch_up(&mut self) -> Result<(), Status> {
        if self.shutdown.is_signalled() {
            return Err(to_status(engine::Error::Draining));
        }
        self.behind = false;
        if let Some(logs) = &mut self.logs {
            let page = self.engine.watched_logs(logs).await.map_err(to_status)?;
            logs.after_sequence = page.next_sequence;
            self.behind = page.more;
            if !page.lines.is_empty() || !page.gaps.is_empty() {
                self.queue.push_back(event(Event::Logs(encode_logs(page))));
            }
        }
        let due = self.last_look + self.min_interval;
        if self.phase != Phase::Over && (self.is_ended() || Clock::monotonic() >= due) {
            self.look()?;
        }
        Ok(())
    }

    /// The job in one form, made once for all who watch it in that form.
    fn encode(&self, snapshot: &watch::Snapshot, form: Form) -> Bytes {
        let full = usize::from(self.view == View::Full);
        let place = match form {
            Form::Snapshot => Encoding(full),
            Form::Update => Encoding(2 + full),
        };
        let (engine, view) = (&self.engine, self.view);
        snapshot.encoded(place, |job: &Job| match form {
            Form::Snapshot => {
                Snapshot { job: Some(show::job(engine, job, view)) }.encode_to_vec().into()
            }
            Form::Update => {
                Update { job_id: job.id.to_string(), status: Some(show::status(engine, job, view)) }
                    .encode_to_vec()
                    .into()
            }
        })
    }

    fn heartbeat(&self) -> v1::WatchJobResponse {
        let server_time = Some(convert::time::to_proto(self.engine.clock().now()));
        event(Event::Heartbeat(Heartbeat { server_time }))
    }
}

fn stopped(shutdown: Shutdown) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move { shutdown.signalled().await })
}

const fn event(event: Event) -> v1::WatchJobResponse {
    v1::WatchJobResponse { event: Some(event) }
}

fn encode_logs(page: LogPage) -> Bytes {
    let next_sequence = page.next_sequence;
    let gaps = page.gaps.iter().map(convert::logs::gap_to_proto).collect();
    let entries = page.lines.into_iter().map(convert::logs::line_to_proto).collect();
    Logs { entries, next_sequence, gaps }.encode_to_vec().into()
}
