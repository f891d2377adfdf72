//! Many small messages that nobody reads for a while.
//!
//! The transport (h2 from 0.4.16 on) charges each unread DATA frame of less than 256 bytes with what it lacks of
//! them, and loses the connection, with all its streams, when a budget is spent: half the connection's
//! window. docs/TRANSPORT.md has the arithmetic. What is held here: no reader and no handler that stalls
//! costs a connection, neither ours nor that of a client with default settings.
//!
//! `JOBPLANE_SOAK_SECONDS` repeats the rounds for so long; one round is the regression test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jobplane::domain::limits::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use jobplane::proto::from_worker::FromWorker;
use jobplane::proto::v1;
use jobplane::proto::v1::JobState as State;
use jobplane::proto::v1::report_progress_request::update::Report;
use jobplane::proto::v1::report_progress_request::{Capacity, Hello, Kind, Update, hello};
use jobplane::proto::v1::worker_service_client::WorkerServiceClient;
use jobplane::runtime::{Clock, Tasks};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::harness::{
    Client, Message, SOON, Seen, Server, Watcher, Weather, channel, done, eventually, seconds,
    spec, within,
};

/// The bound for tens of thousands of messages.
const LONG: Duration = Duration::from_secs(60);
/// The window of a connection that a client of tonic has if nothing is said.
const CLIENT_WINDOW_BYTES: u32 = 5 * 1024 * 1024;
/// What a frame lacks of this is charged.
const SMALL: usize = 256;
/// Before a message in its frame.
const PREFIX: usize = 5;

/// What so many unread frames of this payload are charged.
fn charged(frames: usize, payload: usize) -> usize {
    frames * SMALL.saturating_sub(payload)
}

/// What may be charged on a connection of this window.
fn budget(window: u32) -> usize {
    window as usize / 2
}

/// Plays rounds until the time of a soak is over; at least one.
async fn soak(mut round: impl AsyncFnMut()) {
    let wish = std::env::var("JOBPLANE_SOAK_SECONDS").ok();
    let length = wish.map_or(0, |text| text.parse().expect("a number of seconds"));
    let end = Clock::monotonic() + Duration::from_secs(length);
    loop {
        round().await;
        if Clock::monotonic() >= end {
            return;
        }
    }
}

/// A worker that shares its connection, and sends each message in a frame of its own.
struct Ticker {
    hello: Hello,
    requests: mpsc::Sender<v1::ReportProgressRequest>,
    answers: Streaming<v1::ReportProgressResponse>,
    job_id: String,
    lease_epoch: i64,
    seq: Arc<AtomicI64>,
}

fn request(kind: Kind) -> v1::ReportProgressRequest {
    v1::ReportProgressRequest { received_through: 0, kind: Some(kind) }
}

impl Ticker {
    async fn open(
        channel: &Channel,
        hello: Hello,
    ) -> (mpsc::Sender<v1::ReportProgressRequest>, Streaming<v1::ReportProgressResponse>) {
        // Room for one: what the transport takes is a single message.
        let (requests, receiver) = mpsc::channel(1);
        requests.send(request(Kind::Hello(hello))).await.expect("room");
        let mut client = WorkerServiceClient::new(channel.clone());
        let answer =
            client.report_progress(ReceiverStream::new(receiver).map(FromWorker::from)).await;
        (requests, answer.expect("a stream").into_inner())
    }

    /// Attaches, and takes a job of its own.
    async fn start(server: &Server, channel: &Channel, name: &str) -> Self {
        server.client().create(spec(name)).await;
        let hello = Hello {
            worker_id: name.to_owned(),
            instance_id: Uuid::new_v4().to_string(),
            types: vec![name.to_owned()],
            ..Hello::default()
        };
        let (requests, mut answers) = Self::open(channel, hello.clone()).await;
        requests.send(request(Kind::Capacity(Capacity { slots: 1 }))).await.expect("open");
        let assignment = loop {
            let answer = within(SOON, "a job", answers.message()).await.expect("open");
            if let Some(Message::Assignment(it)) = answer.expect("open").kind {
                break it;
            }
        };
        let job = v1::Job::decode(assignment.job.expect("a job")).expect("a job");
        let seq = Arc::new(AtomicI64::new(0));
        Self { hello, requests, answers, job_id: job.id, lease_epoch: assignment.lease_epoch, seq }
    }

    /// Loses its stream and opens another, on which it does not wait for the Welcome.
    async fn reopen(self, channel: &Channel) -> Self {
        let running = hello::Running { job_id: self.job_id.clone(), lease_epoch: self.lease_epoch };
        let hello = Hello { running: vec![running], ..self.hello };
        let (requests, answers) = Self::open(channel, hello.clone()).await;
        Self { hello, requests, answers, ..self }
    }

    fn sender(&self) -> Sender {
        Sender {
            requests: self.requests.clone(),
            seq: Arc::clone(&self.seq),
            job_id: self.job_id.clone(),
            lease_epoch: self.lease_epoch,
        }
    }

    /// What the frame of the next tick holds.
    fn frame(&self) -> usize {
        PREFIX + self.sender().tick().encoded_len()
    }

    /// Reads until all that was sent is acked.
    async fn acked(&mut self) -> Result<(), Status> {
        let through = self.seq.load(Ordering::Relaxed);
        loop {
            match self.answers.message().await? {
                Some(answer) => match answer.kind {
                    Some(Message::Ack(ack)) if ack.through_seq >= through => return Ok(()),
                    _ => {}
                },
                None => return Err(Status::aborted("the stream is over")),
            }
        }
    }
}

/// Sends ticks for a [`Ticker`].
struct Sender {
    requests: mpsc::Sender<v1::ReportProgressRequest>,
    seq: Arc<AtomicI64>,
    job_id: String,
    lease_epoch: i64,
}

impl Sender {
    fn tick(&self) -> v1::ReportProgressRequest {
        let seq = self.seq.load(Ordering::Relaxed) + 1;
        request(Kind::Update(Box::new(Update {
            seq,
            job_id: self.job_id.clone(),
            lease_epoch: self.lease_epoch,
            report: Some(Report::Progress(done(seq, 1 << 40))),
        })))
    }

    /// Sends so many ticks, one after the other, or as many as the stream takes before its end.
    async fn send(self, ticks: i64) {
        for _ in 0..ticks {
            if self.requests.send(self.tick()).await.is_err() {
                return;
            }
            self.seq.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn tickers(server: &Server, channel: &Channel, count: usize) -> Vec<Ticker> {
    let mut tickers = Vec::new();
    for index in 0..count {
        tickers.push(Ticker::start(server, channel, &format!("ticker-{index}")).await);
    }
    tickers
}

#[tokio::test]
async fn ticks_are_read_while_the_store_hangs() {
    let server = Server::setup().in_memory().start().await;
    let channel = channel(server.address()).await;
    let mut tickers = tickers(&server, &channel, 8).await;
    let payload = tickers[0].frame();
    // Unread, they would be too much for the connection.
    let ticks = budget(CONNECTION_WINDOW_BYTES) / charged(1, payload) / tickers.len() + 100;
    let ticks = i64::try_from(ticks).expect("few");
    soak(async || {
        server.faults.set(Weather::Hanging);
        let all = tickers.iter_mut().map(async |ticker| {
            ticker.sender().send(ticks).await;
            ticker.acked().await.expect("the stream goes on");
        });
        within(LONG, "all ticks are acked while the store hangs", join_all(all)).await;
        server.faults.set(Weather::Fair);
    })
    .await;
    drop((tickers, channel));
    server.stop().await;
}

/// Handlers that wait for the store to attach them, and do not read meanwhile, while so many ticks come on
/// each of their streams; how it ends for another stream of the connection and for their own.
async fn stalled_handlers(
    windows: (u32, u32),
    handlers: usize,
    ticks: usize,
) -> Result<(), Status> {
    let setup = Server::setup().with(|config| {
        let transport = &mut config.transport;
        (transport.stream_window_bytes, transport.connection_window_bytes) = windows;
    });
    let server = setup.in_memory().start().await;
    let channel = channel(server.address()).await;
    let mut other = Ticker::start(&server, &channel, "other").await;
    let tickers = tickers(&server, &channel, handlers).await;
    server.faults.set(Weather::Hanging);
    let reopened = tickers.into_iter().map(|ticker| ticker.reopen(&channel));
    let mut stalled = join_all(reopened).await;
    let senders = Tasks::new();
    for ticker in &stalled {
        let (sender, ticks) = (ticker.sender(), i64::try_from(ticks).expect("few"));
        senders.spawn("sender", async move { sender.send(ticks).await });
    }
    // Numbers grow by some bytes on the way, and what is on the way is not known.
    let frames = ticks.min(windows.0 as usize / (stalled[0].frame() + 8));
    let sent: Vec<_> = stalled.iter().map(|ticker| Arc::clone(&ticker.seq)).collect();
    eventually(LONG, "the windows are full, or the connection is lost", || async {
        let full = |seq: &Arc<AtomicI64>| {
            usize::try_from(seq.load(Ordering::Relaxed)).is_ok_and(|sent| sent >= frames)
        };
        senders.running() == 0 || sent.iter().all(full)
    })
    .await;
    other.sender().send(50).await;
    let mut end = within(LONG, "the other stream's acks", other.acked()).await;
    server.faults.set(Weather::Fair);
    if end.is_ok() {
        within(LONG, "all is sent in the end", senders.ended()).await;
        for ticker in &mut stalled {
            end = end.and(within(LONG, "all is acked in the end", ticker.acked()).await);
        }
    }
    drop((other, stalled, channel));
    within(LONG, "the senders end", senders.ended()).await;
    server.stop().await;
    end
}

#[tokio::test]
async fn handlers_that_stall_cost_no_connection() {
    let windows = (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES);
    soak(async || {
        stalled_handlers(windows, 8, 2_500).await.expect("the connection lives");
    })
    .await;
}

/// The same with windows that are alike, as the transport has them by itself: what is held above is not so
/// by chance.
#[tokio::test]
async fn a_handler_that_stalls_costs_the_connection_if_the_windows_are_alike() {
    // The least that the settings allow.
    let windows = (1024 * 1024, 2 * 1024 * 1024);
    let ticks = budget(windows.1) / charged(1, 80) + 1_000;
    stalled_handlers(windows, 1, ticks).await.expect_err("the connection is lost");
}

/// A client whose connection has this window.
async fn client_with(server: &Server, window: u32) -> Client {
    let endpoint =
        Endpoint::from_shared(format!("http://{}", server.address())).expect("an address");
    let endpoint =
        endpoint.initial_connection_window_size(window).initial_stream_window_size(window);
    Client::new(endpoint.connect().await.expect("the server listens"))
}

/// The least that a DATA frame with an update of a job holds.
fn least_update(seen: &[v1::WatchJobResponse]) -> usize {
    let updates =
        seen.iter().filter(|response| matches!(Seen::of((*response).clone()), Seen::Update(_)));
    updates.map(|update| PREFIX + update.encoded_len()).min().expect("an update")
}

async fn read_all(mut stream: Streaming<v1::WatchJobResponse>) -> Vec<v1::WatchJobResponse> {
    let mut seen = Vec::new();
    while let Some(message) = within(LONG, "a message", stream.message()).await.expect("goes on") {
        seen.push(message);
    }
    seen
}

#[tokio::test]
async fn watchers_that_stall_cost_no_connection() {
    // The window of the connection, small so that it fills in a moment: the budget goes with it.
    let window = 256 * 1024;
    let server = Server::setup().in_memory().start().await;
    soak(async || {
        let client = client_with(&server, window).await;
        let id = server.client().create(spec("watched")).await.id;
        let worker = server.worker("w").job_type("watched").connect().await;
        let held = worker.expect_assignment().await;
        let wish = v1::WatchJobRequest { min_interval: seconds(0.0), ..Watcher::wish(&id) };
        let mut stalled = Vec::new();
        for _ in 0..4 {
            stalled.push(
                client.jobs.clone().watch_job(wish.clone()).await.expect("a watch").into_inner(),
            );
        }
        for completed in 1..=3_000 {
            held.report(done(completed, 3_000)).await.expect("taken");
        }
        held.succeed().await.expect("taken");
        let all = join_all(stalled.into_iter().map(read_all)).await;
        let (count, least) = (all.iter().map(Vec::len).sum::<usize>(), least_update(&all.concat()));
        // The window was full, and it took fewer of them than the budget allows. From two thirds of a small
        // frame on this is so for every window: window / payload * (256 - payload) <= window / 2.
        assert!(count * least >= window as usize / 2, "{count} messages of {least} bytes");
        assert!(least * 3 >= SMALL * 2, "an update has {least} bytes");
        for seen in &all {
            let last =
                seen.iter().rev().find_map(|response| Seen::of(response.clone()).status().cloned());
            assert_eq!(last.expect("a status").state(), State::Succeeded);
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_reads_no_acks_keeps_its_connection() {
    let server = Server::setup().in_memory().start().await;
    soak(async || {
        let channel = channel(server.address()).await;
        let mut deaf = Ticker::start(&server, &channel, "deaf").await;
        // An ack has at least two bytes for its own number and two for that of the update.
        let acks = budget(CLIENT_WINDOW_BYTES) / charged(1, PREFIX + 4) + 100;
        let ticks = i64::try_from(acks).expect("few");
        within(LONG, "the ticks are sent", deaf.sender().send(ticks)).await;
        within(LONG, "the acks", deaf.acked()).await.expect("the connection lives");
    })
    .await;
    server.stop().await;
}
