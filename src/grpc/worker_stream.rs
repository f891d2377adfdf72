//! ReportProgress: one stream for a worker process. A task reads what the worker says; what it is to
//! be told waits in its outbox, which the transport reads.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream};
use parking_lot::Mutex;
use tonic::{Status, Streaming};

use crate::auth::Caller;
use crate::config::Streams;
use crate::domain::JobId;
use crate::domain::limits::{HELLO_WITHIN, SETTLE_WITHIN};
use crate::domain::validate::Violations;
use crate::engine::session::{Attach, Hello, Outbox, WorkerFacts};
use crate::engine::{Adoption, Engine};
use crate::proto::from_worker::FromWorker;
use crate::proto::v1;
use crate::proto::v1::report_progress_request::Kind;
use crate::runtime::{Clock, Shutdown};

use super::ageing::{Ageing, aged};
use super::convert;
use super::oversize;
use super::status::{invalid, invalid_field, to_status};
use super::worker_messages::{progress_from_tick, to_wire, update_from_wire};

/// Messages taken before anything else is looked at.
const AT_ONCE_MAX: usize = 64;

/// What a worker reads.
pub type ReportStream =
    Pin<Box<dyn Stream<Item = Result<v1::ReportProgressResponse, Status>> + Send + 'static>>;

/// Serves one stream.
#[must_use]
pub fn serve(
    engine: &Engine,
    streams: Streams,
    caller: Caller,
    inbound: Streaming<FromWorker>,
) -> ReportStream {
    let outbox = Outbox::default();
    let gone = Shutdown::new();
    let last_word = Arc::new(Mutex::new(None));
    let reader = Reader {
        engine: engine.clone(),
        grace: streams.grace,
        ageing: Ageing::about(streams.max_age),
        caller,
        inbound,
        outbox: outbox.clone(),
        gone: gone.clone(),
        last_word: Arc::clone(&last_word),
    };
    engine.tasks().spawn("worker stream", reader.run());
    Box::pin(Outbound { outbox, last_word, gone, clock: engine.clock().clone() })
}

struct Reader {
    engine: Engine,
    ageing: Ageing,
    /// What is left of the stream once its worker was told to attach anew.
    grace: Duration,
    caller: Caller,
    inbound: Streaming<FromWorker>,
    outbox: Outbox,
    gone: Shutdown,
    /// The status the stream ends with, if it does not end well; set before the outbox ends.
    last_word: Arc<Mutex<Option<Status>>>,
}

impl Reader {
    async fn run(mut self) {
        if let Err(status) = self.serve().await {
            *self.last_word.lock() = Some(status);
        }
        self.outbox.end(None);
    }

    async fn serve(&mut self) -> Result<(), Status> {
        let hello = tokio::time::timeout(HELLO_WITHIN, self.hello())
            .await
            .unwrap_or_else(|_| Err(invalid_field("hello", "must come within 10 s")))?;
        let Some(hello) = hello else { return Ok(()) };
        let sessions = Arc::clone(self.engine.sessions());
        let attach =
            sessions.attach(&self.caller, hello, self.outbox.clone()).await.map_err(to_status)?;
        let end = self.read(&attach).await;
        attach.ack_settled();
        if end.is_ok() {
            // The worker closed its side well: it gets nothing more to do, and still hears what
            // became of its last words.
            attach.set_slots(&sessions, 0);
            let settled = tokio::time::timeout(SETTLE_WITHIN, attach.all_settled());
            tokio::select! {
                _ = settled => {}
                () = self.gone.signalled() => {}
            }
        }
        if let Err(status) = &end {
            *self.last_word.lock() = Some(status.clone());
        }
        sessions.detach(&attach, matches!(end, Ok(Goodbye(true))));
        end.map(drop)
    }

    /// The next message; `None` when the worker closed its side or the stream is gone.
    async fn message(&mut self) -> Result<Option<FromWorker>, Status> {
        tokio::select! {
            message = self.inbound.message() => message.map_err(oversize::on_stream),
            () = self.gone.signalled() => Ok(None),
        }
    }

    /// A message that is here already. Reports come many at a time, and to look at the clock, the end of the
    /// stream and its age for each one costs as much as to take it: that is done for a run of them.
    fn waiting(&mut self, at_once: &mut usize) -> Option<Result<Option<FromWorker>, Status>> {
        if *at_once >= AT_ONCE_MAX {
            *at_once = 0;
            return None;
        }
        let message = self.inbound.message().now_or_never();
        *at_once = if message.is_some() { *at_once + 1 } else { 0 };
        message
    }

    async fn hello(&mut self) -> Result<Option<Hello>, Status> {
        let Some(message) = self.message().await? else { return Ok(None) };
        let Some(Kind::Hello(hello)) = message.into_whole().kind else {
            return Err(invalid_field("hello", "must be the first message of the stream"));
        };
        let mut violations = Violations::default();
        convert::worker::hello_from_proto(hello, "hello", &mut violations)
            .map(|hello| Some(hello_to_engine(hello)))
            .ok_or_else(|| invalid(violations))
    }

    async fn read(&mut self, attach: &Arc<Attach>) -> Result<Goodbye, Status> {
        let mut told = false;
        let mut at_once = 0;
        let mut received = 0;
        let mut unacked = false;
        let (mut now, mut heard) = (self.engine.clock().now(), Clock::monotonic());
        loop {
            let message = if let Some(message) = self.waiting(&mut at_once) {
                message.map_err(oversize::on_stream)?
            } else {
                if std::mem::take(&mut unacked) {
                    attach.ack_settled();
                }
                let ageing = self.ageing;
                let message = tokio::select! {
                    message = self.message() => message?,
                    () = ageing.over() => {
                        if told {
                            return Err(aged());
                        }
                        told = true;
                        attach.send_elsewhere(self.engine.sessions());
                        self.ageing = Ageing::exactly(self.grace);
                        continue;
                    }
                };
                (now, heard) = (self.engine.clock().now(), Clock::monotonic());
                message
            };
            let Some(message) = message else { return Ok(Goodbye(false)) };
            let sessions = self.engine.sessions();
            let message = match message {
                FromWorker::Tick(mut tick) => {
                    if let Some(progress) = progress_from_tick(&mut tick, now) {
                        // Within a run of messages there is nothing new to note.
                        if at_once == 0 || tick.received_through != received {
                            received = tick.received_through;
                            attach.heard(sessions, received, heard);
                        }
                        let of =
                            Adoption { job_id: JobId(tick.job_id), lease_epoch: tick.lease_epoch };
                        attach.progress(sessions, of, tick.seq, progress, now);
                        unacked = true;
                        continue;
                    }
                    FromWorker::Tick(tick).into_whole()
                }
                FromWorker::Whole(message) => message,
            };
            if message.received_through < 0 {
                return Err(invalid_field("received_through", "must not be negative"));
            }
            attach.heard(sessions, message.received_through, heard);
            unacked = true;
            match message.kind {
                Some(Kind::Update(mut update)) => {
                    let seq = update.seq;
                    match update_from_wire(&mut update, now) {
                        Ok(update) => attach.update(sessions, update, now),
                        Err(error) => attach.reject_update(seq, error),
                    }
                }
                Some(Kind::Capacity(capacity)) => {
                    let mut violations = Violations::default();
                    let field = "capacity.slots";
                    let slots = convert::number::slots(capacity.slots, field, &mut violations)
                        .ok_or_else(|| invalid(violations))?;
                    attach.set_slots(sessions, slots);
                }
                Some(Kind::Heartbeat(heartbeat)) => {
                    if let Some(usage) = heartbeat.host_usage {
                        let mut violations = Violations::default();
                        let usage = convert::usage::host(&usage, &mut violations);
                        attach.host_usage(usage.ok_or_else(|| invalid(violations))?);
                    }
                }
                Some(Kind::Goodbye(_)) => return Ok(Goodbye(true)),
                Some(Kind::Hello(_)) => {
                    return Err(invalid_field("hello", "must come only once in a stream"));
                }
                // A bare confirmation of what was received, or a message of a later version.
                None => {}
            }
        }
    }
}

/// Whether the worker said Goodbye.
struct Goodbye(bool);

fn hello_to_engine(hello: convert::worker::Hello) -> Hello {
    Hello {
        worker: WorkerFacts {
            worker_id: hello.worker_id,
            instance_id: hello.instance_id,
            client: hello.client,
            queues: hello.queues,
            types: hello.types,
            labels: hello.labels,
        },
        slots: hello.slots,
        memory_bytes: hello.memory_bytes,
        lease_ttl: hello.lease_ttl,
        running: hello
            .running
            .into_iter()
            .map(|(job_id, lease_epoch)| Adoption { job_id, lease_epoch })
            .collect(),
    }
}

/// The outbox as the transport reads it. Dropped when the stream is gone: the reader ends by that.
struct Outbound {
    outbox: Outbox,
    last_word: Arc<Mutex<Option<Status>>>,
    gone: Shutdown,
    clock: crate::runtime::Clock,
}

impl Stream for Outbound {
    type Item = Result<v1::ReportProgressResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.outbox).poll_next(context);
        next.map(|item| match item {
            Some(Ok((sequence, message))) => Some(Ok(to_wire(sequence, message, self.clock.now()))),
            Some(Err(error)) => Some(Err(to_status(error))),
            None => self.last_word.lock().take().map(Err),
        })
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.gone.signal();
    }
}
