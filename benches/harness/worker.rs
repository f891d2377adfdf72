//! A worker's stream, spoken to as fast as it takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{BufMut as _, Bytes};
use futures_util::Stream;
use http::uri::PathAndQuery;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::codec::EncodeBuf;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::{Capacity, Hello, Kind as Say};
use jobplane::proto::v1::report_progress_response::Kind;

use super::wire::{Put, Raw, TICK_BYTES, Ticks};

/// Messages that wait to be sent.
const WAITING_MAX: usize = 16_384;
/// Reports between two looks at the time.
const TICKS_A_LOOK: u32 = 256;
/// A server that says nothing for this long is stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent.
pub enum Word {
    /// Any message.
    Message(Box<v1::ReportProgressRequest>),
    /// A report, encoded.
    Tick([u8; TICK_BYTES]),
    /// Any message, encoded.
    Encoded(Bytes),
}

impl Put for Word {
    fn put(self, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match self {
            Self::Message(message) => {
                message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
            }
            Self::Tick(tick) => {
                buffer.put_slice(&tick);
                Ok(())
            }
            Self::Encoded(bytes) => bytes.put(buffer),
        }
    }
}

/// Reports that are sent as fast as the transport takes them, until a moment.
struct Flood {
    ticks: Ticks,
    until: Instant,
    since_look: u32,
}

/// What is to be sent: single messages, and floods of reports.
#[derive(Default)]
struct State {
    flood: Option<Flood>,
    /// The reports of the last flood, once it is over.
    flooded: Option<Ticks>,
    waker: Option<std::task::Waker>,
}

/// The sending side of a stream.
#[derive(Clone)]
pub struct Mouth {
    words: mpsc::Sender<Word>,
    state: Arc<Mutex<State>>,
}

impl Mouth {
    /// Says something.
    pub async fn say(&self, kind: Say) -> Result<()> {
        let message = v1::ReportProgressRequest { received_through: 0, kind: Some(kind) };
        self.send(Word::Message(Box::new(message))).await
    }

    /// Sends something.
    pub async fn send(&self, word: Word) -> Result<()> {
        self.words.send(word).await.ok().context("the stream is gone")
    }

    /// Sends as many reports as the transport takes for so long. Give back what [`Self::flooded`] then holds.
    pub fn flood(&self, ticks: Ticks, length: Duration) {
        let mut state = self.state.lock();
        state.flood = Some(Flood { ticks, until: Instant::now() + length, since_look: 0 });
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// The reports of the last flood, once it is over.
    pub fn flooded(&self) -> Option<Ticks> {
        self.state.lock().flooded.take()
    }

    /// The reports of the last flood, once it is over and acknowledged up to its last one.
    pub fn flooded_through(&self, seq: i64) -> Option<Ticks> {
        let flooded = &mut self.state.lock().flooded;
        flooded.take_if(|ticks| ticks.last_seq() <= seq)
    }
}

/// What the transport reads: floods first.
pub struct Words {
    waiting: mpsc::Receiver<Word>,
    state: Arc<Mutex<State>>,
    /// Ends after the first flood.
    once: bool,
}

impl Stream for Words {
    type Item = Word;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Word>> {
        let this = &mut *self;
        let mut state = this.state.lock();
        if let Some(flood) = &mut state.flood {
            flood.since_look += 1;
            if flood.since_look < TICKS_A_LOOK || Instant::now() < flood.until {
                if flood.since_look >= TICKS_A_LOOK {
                    flood.since_look = 0;
                    // What else is to be said is not kept waiting.
                    if let Poll::Ready(Some(word)) = this.waiting.poll_recv(context) {
                        return Poll::Ready(Some(word));
                    }
                }
                return Poll::Ready(Some(Word::Tick(flood.ticks.next())));
            }
            state.flooded = state.flood.take().map(|flood| flood.ticks);
            if this.once {
                return Poll::Ready(None);
            }
        }
        match this.waiting.poll_recv(context) {
            Poll::Ready(word) => Poll::Ready(word),
            Poll::Pending => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Both ends of what is sent; a stream that ends `once` ends with its first flood.
pub fn words(once: bool) -> (Mouth, Words) {
    let (words, reader) = mpsc::channel(WAITING_MAX);
    let state = Arc::new(Mutex::new(State::default()));
    (Mouth { words, state: Arc::clone(&state) }, Words { waiting: reader, state, once })
}

/// Opens a stream.
pub async fn open(channel: &Channel, path: &'static str, words: Words) -> Result<Streaming<Bytes>> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    let request = tonic::Request::new(words);
    let path = PathAndQuery::from_static(path);
    Ok(client.streaming(request, path, Raw::<Word>::default()).await?.into_inner())
}

/// A worker that is attached.
pub struct Worker {
    /// What it says.
    pub mouth: Mouth,
    ear: Streaming<Bytes>,
    /// Messages heard since it last said which.
    unsaid: usize,
}

/// A worker says what it received after so many messages: to one that never does, the server sends acks slowly.
const UNSAID_MAX: usize = 64;

impl Worker {
    /// Attaches a worker that takes jobs of one queue.
    pub async fn attach(channel: &Channel, queue: &str) -> Result<Self> {
        let (mouth, words) = words(false);
        let hello = Hello {
            worker_id: "bench".to_owned(),
            instance_id: uuid::Uuid::new_v4().to_string(),
            queues: vec![queue.to_owned()],
            ..Default::default()
        };
        mouth.say(Say::Hello(hello)).await?;
        let ear = open(channel, "/jobplane.v1.WorkerService/ReportProgress", words).await?;
        let mut worker = Self { mouth, ear, unsaid: 0 };
        match worker.hear().await? {
            Kind::Welcome(_) => Ok(worker),
            other => bail!("a worker is greeted by {other:?}"),
        }
    }

    /// Says how many jobs it may hold.
    pub async fn slots(&self, slots: i32) -> Result<()> {
        self.mouth.say(Say::Capacity(Capacity { slots })).await
    }

    /// The next message.
    pub async fn hear(&mut self) -> Result<Kind> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.ear.message()).await;
            let message = message.context("the server says nothing")??;
            let message = message.context("the stream ended")?;
            let message = v1::ReportProgressResponse::decode(message)?;
            self.unsaid += 1;
            if self.unsaid >= UNSAID_MAX {
                let heard =
                    v1::ReportProgressRequest { received_through: message.sequence, kind: None };
                // With too much to say already, it is said later.
                if self.mouth.words.try_send(Word::Message(Box::new(heard))).is_ok() {
                    self.unsaid = 0;
                }
            }
            match message.kind.context("a message without a kind")? {
                Kind::Heartbeat(_) | Kind::ReportPolicy(_) => {}
                Kind::Reject(reject) => bail!("a report was refused: {reject:?}"),
                kind => return Ok(kind),
            }
        }
    }

    /// Waits for so many jobs: ids and epochs.
    pub async fn take(&mut self, jobs: usize) -> Result<Vec<(String, i64)>> {
        let mut taken = Vec::with_capacity(jobs);
        while taken.len() < jobs {
            if let Kind::Assignment(assignment) = self.hear().await? {
                taken.push((job_id(&assignment)?.to_owned(), assignment.lease_epoch));
            }
        }
        Ok(taken)
    }

    /// Waits until everything up to a report is acknowledged.
    pub async fn acked(&mut self, seq: i64) -> Result<()> {
        loop {
            if let Kind::Ack(ack) = self.hear().await?
                && ack.through_seq >= seq
            {
                return Ok(());
            }
        }
    }
}

/// The id in an assignment, read without the rest of the job: it is the first field of it.
pub fn job_id(assignment: &v1::Assignment) -> Result<&str> {
    let job = assignment.job.as_deref().unwrap_or_default();
    ensure!(job.len() > 38 && job[0] == 0x0a && job[1] == 36, "a job that begins otherwise");
    Ok(std::str::from_utf8(&job[2..38])?)
}
