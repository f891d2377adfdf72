//! The stream of a worker and its repair: a loop that attaches, says what the book has to say and hears what the
//! server answers, until everything is said or the one who runs the jobs gives up.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::book::{Book, Next};
use super::event::{Cause, Event, Events};
use super::handle::{Handle, Shared};
use super::settings::Settings;
use crate::cli::client::{Break, ReportSender, ReportStream};
use crate::cli::exit::Failure;
use crate::cli::{format, parse};
use crate::domain::limits::{SLOTS_MAX, WORKER_EVENTS_MAX};
use crate::proto::v1::report_progress_request::{Hello, Kind as Say};
use crate::proto::v1::report_progress_response::{Kind, Welcome};
use crate::proto::v1::{ClientInfo, ReportProgressRequest, ReportProgressResponse};
use crate::runtime::{Clock, Shutdown, Tasks};

/// The first pause before another try: a lost stream keeps its jobs for ten seconds.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that takes the stream says Welcome within this time.
const WELCOME_WITHIN: Duration = Duration::from_secs(15);
/// After Goodbye the server ends the stream within this time, or is left to itself.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Starts a session: attaches in the background, and again whenever the stream is lost, until the handle closes it.
#[must_use]
pub fn start(settings: Settings, tasks: &Tasks, clock: &Clock) -> (Handle, Events) {
    let (events, received) = mpsc::channel(WORKER_EVENTS_MAX);
    let capacity = settings.slots.min(SLOTS_MAX);
    let book = Book::new(capacity, settings.spool_bytes, &settings.holding);
    let shared = Arc::new(Shared {
        book: Mutex::new(book),
        news: Notify::new(),
        room: Notify::new(),
        clock: clock.clone(),
        stop: Shutdown::new(),
        over: watch::Sender::new(false),
    });
    let handle = Handle(Arc::clone(&shared));
    let session = Session { settings, shared, events, attached: false, breaks: 0 };
    tasks.spawn("worker session", session.run());
    (handle, Events(received))
}

struct Session {
    settings: Settings,
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    /// It was attached at some time.
    attached: bool,
    /// Streams that broke since the last one that was welcomed.
    breaks: u32,
}

/// How a stream ended.
enum Ended {
    /// Everything is said.
    Left,
    /// Attach again, not before this moment.
    Again(Instant),
    /// It broke.
    Broken(Break),
}

impl Session {
    async fn run(mut self) {
        let stop = self.shared.stop.clone();
        tokio::select! {
            () = self.attach_again_and_again() => {}
            () = stop.signalled() => {}
        }
        self.shared.over.send_replace(true);
    }

    async fn attach_again_and_again(&mut self) {
        loop {
            // Nothing is to be said: nobody has to hear Goodbye.
            if self.is_done() {
                return;
            }
            let ended = self.attach().await;
            self.shared.book.lock().detached();
            self.shared.room.notify_waiters();
            match ended {
                Ended::Left => return,
                Ended::Again(at) => self.rest(at).await,
                Ended::Broken(Break::Fatal(failure)) if !self.attached => {
                    self.tell(Event::Refused(failure)).await;
                    return;
                }
                Ended::Broken(cause) => self.pause(&cause).await,
            }
        }
    }

    /// One stream, from Hello to its end.
    async fn attach(&mut self) -> Ended {
        let opened = ReportStream::open(&self.settings.address, self.hello()).await;
        let (sender, mut stream) = match opened {
            Ok(opened) => opened,
            Err(cause) => return Ended::Broken(cause),
        };
        let welcome = match timeout(WELCOME_WITHIN, welcome(&mut stream)).await {
            Ok(Ok((sequence, welcome))) => {
                let mut book = self.shared.book.lock();
                book.heard(sequence);
                book.welcome(welcome)
            }
            Ok(Err(cause)) => return Ended::Broken(cause),
            Err(_) => return Ended::Broken(said("no Welcome came")),
        };
        self.attached = true;
        self.breaks = 0;
        self.tell(Event::Connected).await;
        self.tell_all(welcome).await;
        self.talk(&sender, &mut stream).await
    }

    fn hello(&self) -> ReportProgressRequest {
        let settings = &self.settings;
        let running = self.shared.book.lock().hello();
        let hello = Hello {
            worker_id: settings.worker_id.clone(),
            instance_id: settings.instance_id.clone(),
            client: Some(ClientInfo {
                name: "jobplane".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            queues: settings.queues.clone(),
            types: settings.types.clone(),
            labels: settings.labels.clone(),
            slots: i32::try_from(settings.slots).unwrap_or(i32::MAX),
            memory_bytes: settings.memory_bytes,
            lease_ttl: Some(parse::wire_duration(settings.lease_ttl)),
            running,
        };
        ReportProgressRequest { received_through: 0, kind: Some(Say::Hello(hello)) }
    }

    /// Says what there is to say and hears what is answered.
    async fn talk(&mut self, sender: &ReportSender, stream: &mut ReportStream) -> Ended {
        let shared = Arc::clone(&self.shared);
        let mut room: Option<mpsc::Permit<'_, ReportProgressRequest>> = None;
        let mut deaf = false;
        // Set by Reconnect, and by Goodbye: the stream is given up at that moment.
        let mut until: Option<(Instant, Option<Instant>)> = None;
        loop {
            let mut wake = None;
            if let Some(permit) = room.take() {
                let mut book = shared.book.lock();
                if book.needs_hello() {
                    return Ended::Again(Clock::monotonic());
                }
                match book.next(Clock::monotonic()) {
                    Next::Say(message) => {
                        if book.has_left() && until.is_none() {
                            until = Some((Clock::monotonic() + LEAVE_WITHIN, None));
                        }
                        drop(book);
                        permit.send(*message);
                    }
                    Next::Wait(at) => {
                        wake = at;
                        room = Some(permit);
                    }
                }
            }
            let has_room = room.is_some();
            let left = shared.book.lock().has_left();
            tokio::select! {
                biased;
                message = stream.next() => match message {
                    Ok(Some(message)) => match self.hear(message, stream).await {
                        Ok(None) => {}
                        Ok(Some(at)) => until = Some((at, Some(at))),
                        Err(cause) => return Ended::Broken(cause),
                    },
                    Ok(None) if left => return Ended::Left,
                    end => return match (until.and_then(|until| until.1), end) {
                        (Some(at), _) => Ended::Again(at),
                        (None, Err(cause)) => Ended::Broken(cause),
                        (None, Ok(_)) => Ended::Broken(said("the stream ended")),
                    },
                },
                () = sleep_until(until.map_or_else(Clock::monotonic, |until| until.0)),
                    if until.is_some() =>
                {
                    return until.and_then(|until| until.1).map_or(Ended::Left, Ended::Again);
                }
                // Without a permit the transport is gone, and the stream will say why.
                permit = sender.reserve(), if !has_room && !deaf => match permit {
                    Ok(permit) => room = Some(permit),
                    Err(_) => deaf = true,
                },
                () = shared.news.notified(), if has_room => {}
                () = sleep_until(wake.unwrap_or_else(Clock::monotonic)),
                    if has_room && wake.is_some() => {}
            }
        }
    }

    /// A message of the server; the moment to attach again, if it sends the worker away.
    async fn hear(
        &mut self,
        message: ReportProgressResponse,
        stream: &ReportStream,
    ) -> Result<Option<Instant>, Break> {
        let now = Clock::monotonic();
        let events = {
            let mut book = self.shared.book.lock();
            book.heard(message.sequence);
            match message.kind {
                Some(Kind::Welcome(welcome)) => book.welcome(welcome),
                Some(Kind::Assignment(assignment)) => book
                    .assigned(assignment)
                    .map_err(|error| said(&format!("a job that cannot be read: {error}")))?,
                Some(Kind::Ack(ack)) => {
                    let events = book.acked(ack.through_seq);
                    self.shared.room.notify_waiters();
                    events
                }
                Some(Kind::Reject(reject)) => {
                    let refusal = stream.refusal(reject.error);
                    book.rejected(reject.seq, refusal, now).into_iter().collect()
                }
                Some(Kind::CancelRequest(cancel)) => {
                    book.asked_to_stop(cancel).into_iter().collect()
                }
                Some(Kind::Revoke(revoke)) => book.revoke(revoke).into_iter().collect(),
                Some(Kind::Drain(drain)) => {
                    let grace = drain.grace.as_ref().map(format::duration).unwrap_or_default();
                    vec![Event::Drain { grace, reason: drain.reason }]
                }
                Some(Kind::Reconnect(reconnect)) => {
                    let after = reconnect.after.as_ref().map(format::duration).unwrap_or_default();
                    return Ok(Some(now + jittered(after)));
                }
                Some(Kind::ReportPolicy(policy)) => {
                    book.policy(&policy);
                    Vec::new()
                }
                // A sign of life, or a message of a newer server.
                Some(Kind::Heartbeat(_)) | None => Vec::new(),
            }
        };
        self.tell_all(events).await;
        Ok(None)
    }

    async fn pause(&mut self, cause: &Break) {
        let pause = PAUSE_MIN.saturating_mul(1 << self.breaks.min(8)).min(PAUSE_MAX);
        let pause = jittered(pause).max(cause.retry_after().unwrap_or_default());
        self.breaks += 1;
        self.tell(Event::Lost(Cause { said: cause.said(), retry_after: pause })).await;
        self.rest(Clock::monotonic() + pause).await;
    }

    /// Waits until then, unless there is nothing to wait for.
    async fn rest(&self, until: Instant) {
        while !self.is_done() {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.shared.news.notified() => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        let book = self.shared.book.lock();
        book.is_closing() && book.is_settled()
    }

    async fn tell_all(&self, events: Vec<Event>) {
        for event in events {
            self.tell(event).await;
        }
    }

    async fn tell(&self, event: Event) {
        // Nobody listens: nobody has to know.
        let _ = self.events.send(event).await;
    }
}

/// Waits for the first message, which is Welcome.
async fn welcome(stream: &mut ReportStream) -> Result<(i64, Welcome), Break> {
    let message = stream.next().await?.ok_or_else(|| said("the stream ended"))?;
    match message.kind {
        Some(Kind::Welcome(welcome)) => Ok((message.sequence, welcome)),
        Some(Kind::Reconnect(_)) => Err(said("the server is about to stop")),
        _ => Err(said("the first message was no Welcome")),
    }
}

/// Many who lost the same server do not come back in the same moment.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(1.0..1.25))
}

fn said(what: &str) -> Break {
    Break::Unreachable(Failure::Unreadable(what.to_owned()))
}
