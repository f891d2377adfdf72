//! One job to many watchers. Reports come faster than they can be delivered to all: each watcher gets the newest
//! whenever it can, so both sides are busy with nothing but deliveries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use prost::Message as _;
use tokio::task::JoinHandle;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::Report;

use super::Setting;
use crate::bare::services::{PUBLISH, WATCH, WATCH_NAIVE};
use crate::frames::{Seen, Watchers};
use crate::harness::child::Server;
use crate::harness::crew::fill;
use crate::harness::measure::{Figure, Running, Sample, pairs};
use crate::harness::wire::{Ticks, connect, update};
use crate::harness::worker::{Mouth, PATIENCE, Word, Worker, open, words};

/// Where a job is watched.
pub const WATCH_JOB: &str = "/jobplane.v1.JobService/WatchJob";
/// Watchers on one connection.
pub const A_CONNECTION: usize = 1_000;
/// What passes before a load is measured.
const WARM: Duration = Duration::from_millis(200);
/// Nothing came for this long: nothing more comes.
const QUIET: Duration = Duration::from_millis(100);

/// The request of a watcher that wants everything as soon as it can have it.
pub fn watch_request(job_id: &str) -> Vec<u8> {
    let request = v1::WatchJobRequest {
        job_id: job_id.to_owned(),
        min_interval: Some(prost_types::Duration::default()),
        ..Default::default()
    };
    request.encode_to_vec()
}

/// A job that is reported on, and whoever reports.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The job and its epoch.
    pub job: (String, i64),
    /// Where reports are sent.
    pub mouth: Mouth,
    hearing: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

impl Stage {
    /// A server with one running job.
    pub async fn set(setting: Setting) -> Result<Self> {
        let server = Server::ours(setting.places.server)?;
        fill(server.address, 1).await?;
        let mut worker = Worker::attach(&connect(server.address).await?, "default").await?;
        worker.slots(1).await?;
        let job = worker.take(1).await?.pop().context("no job")?;
        let mouth = worker.mouth.clone();
        // Acks are read, or they would fill the window.
        let hearing = tokio::spawn(async move { while worker.hear().await.is_ok() {} });
        Ok(Self { server, job, mouth, hearing })
    }
}

/// Everybody who watches one thing.
pub struct Audience {
    /// What they saw.
    pub seen: Arc<Seen>,
    _watchers: Vec<Watchers>,
}

impl Audience {
    /// Opens so many watches and waits until each has its first message.
    pub async fn gather(
        address: SocketAddr,
        size: usize,
        path: &str,
        request: &[u8],
    ) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let mut watchers = Vec::new();
        let mut left = size;
        while left > 0 {
            let streams = left.min(A_CONNECTION);
            left -= streams;
            let seen = Arc::clone(&seen);
            watchers.push(Watchers::open(address, streams, path, request, seen).await?);
        }
        let audience = Self { seen, _watchers: watchers };
        audience.reaches(size as u64).await?;
        Ok(audience)
    }

    /// Waits until so many messages came.
    pub async fn reaches(&self, messages: u64) -> Result<()> {
        let began = Instant::now();
        while self.seen.messages() < messages {
            self.seen.all_open()?;
            let seen = self.seen.messages();
            ensure!(began.elapsed() < PATIENCE, "{seen} of {messages} messages come");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Waits until nothing more comes.
    pub async fn quiet(&self) -> Result<()> {
        let mut last = (self.seen.messages(), Instant::now());
        while last.1.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let seen = self.seen.messages();
            if seen != last.0 {
                last = (seen, Instant::now());
            }
        }
        self.seen.all_open()
    }
}

/// What is said again and again.
type Script = Box<dyn FnMut() -> Word + Send>;

/// Sends at an even pace until it is dropped.
struct Pump(JoinHandle<Result<()>>);

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pump {
    fn start(mouth: &Mouth, mut script: Script, per_second: u32) -> Self {
        let mouth = mouth.clone();
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                mouth.send(script()).await?;
            }
        }))
    }
}

/// Deliveries per second while reports come at a pace.
async fn deliveries(
    server: &Server,
    audience: &Audience,
    mouth: &Mouth,
    script: Script,
    play: &Play,
    length: Duration,
) -> Result<Sample> {
    let pump = Pump::start(mouth, script, play.per_second);
    tokio::time::sleep(WARM).await;
    let before = audience.seen.messages();
    let running = Running::begin(server)?;
    running.lasts(length, || audience.seen.messages() > before).await;
    let sample = running.end(audience.seen.messages() - before)?;
    ensure!(!pump.0.is_finished(), "the reports stopped");
    drop(pump);
    audience.quiet().await?;
    Ok(sample)
}

/// What is played to whom.
#[derive(Clone, Copy)]
struct Play {
    watchers: usize,
    per_second: u32,
    large: bool,
    against: &'static str,
}

/// Against a server that sends the same bytes.
pub async fn to_1000(setting: Setting) -> Result<Figure> {
    let play = Play { watchers: 1_000, per_second: 2_500, large: false, against: WATCH };
    measure(setting, play).await
}

/// The same with ten times as many.
pub async fn to_10000(setting: Setting) -> Result<Figure> {
    let watchers = setting.plan.pick(10_000, 2_000);
    let play = Play { watchers, per_second: 250, large: false, against: WATCH };
    measure(setting, play).await
}

/// Large updates, against a server that encodes them for each watcher.
pub async fn large(setting: Setting) -> Result<Figure> {
    let play = Play { watchers: 1_000, per_second: 1_000, large: true, against: WATCH_NAIVE };
    measure(setting, play).await
}

async fn measure(setting: Setting, play: Play) -> Result<Figure> {
    let stage = Stage::set(setting).await?;
    let request = watch_request(&stage.job.0);
    let size = play.watchers;
    let ours = Audience::gather(stage.server.address, size, WATCH_JOB, &request).await?;
    let script = Arc::new(parking_lot::Mutex::new(reports(&stage, play.large)?));
    let script = || -> Script {
        let script = Arc::clone(&script);
        Box::new(move || (script.lock())())
    };

    // What an update is on the wire is what the bare server sends: not the first one, which knows no pace yet.
    let pump = Pump::start(&stage.mouth, script(), play.per_second / 10);
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(pump);
    ours.quiet().await?;
    let update = ours.seen.last.lock().clone();
    let wanted = if play.large { 1_900..2_300 } else { 150..500 };
    ensure!(wanted.contains(&update.len()), "an update has {} bytes", update.len());

    let bare = Server::bare(setting.places.server)?;
    let bare_mouth = publisher(bare.address).await?;
    let listening = Audience::gather(bare.address, size, play.against, b"").await?;
    bare_mouth.send(Word::Encoded(update.clone())).await?;
    listening.reaches(2 * size as u64).await?;

    pairs(
        &setting.plan,
        async || {
            let length = setting.plan.block;
            deliveries(&stage.server, &ours, &stage.mouth, script(), &play, length).await
        },
        async || {
            let update = update.clone();
            let next: Script = Box::new(move || Word::Encoded(update.clone()));
            deliveries(&bare, &listening, &bare_mouth, next, &play, setting.plan.block).await
        },
    )
    .await
}

/// Whoever publishes at the bare server.
async fn publisher(address: SocketAddr) -> Result<Mouth> {
    let (mouth, words) = words(false);
    let channel = connect(address).await?;
    // Answered when it ends, which it does with the server.
    tokio::spawn(async move { open(&channel, PUBLISH, words).await.map(drop) });
    Ok(mouth)
}

/// Reports on the job: small ones, or as large as a worker may send.
fn reports(stage: &Stage, large: bool) -> Result<Script> {
    if !large {
        let mut ticks = Ticks::of(std::slice::from_ref(&stage.job))?;
        return Ok(Box::new(move || Word::Tick(ticks.next())));
    }
    let job = stage.job.clone();
    let counters = (0..8).map(|number| (format!("counter_{number}_{}", "c".repeat(44)), 1.5));
    let progress = v1::Progress {
        total: Some(i64::from(u32::MAX)),
        message: "m".repeat(1_000),
        current_step: "s".repeat(150),
        counters: counters.collect(),
        ..Default::default()
    };
    let mut seq = 0;
    Ok(Box::new(move || {
        seq += 1;
        let progress = v1::Progress { completed: seq, ..progress.clone() };
        let report = update(seq, job.0.clone(), job.1, Some(Report::Progress(progress)));
        Word::Encoded(Bytes::from(report.encode_to_vec()))
    }))
}

/// Watchers that read, and those that do not.
const HEALTHY: usize = 900;
const STALLED: usize = 100;

/// Watchers that read, while others never do, against the same ones alone.
pub async fn stalled(setting: Setting) -> Result<Figure> {
    let play = Play { watchers: HEALTHY, per_second: 2_500, large: false, against: WATCH_JOB };
    let stage = Stage::set(setting).await?;
    let request = watch_request(&stage.job.0);
    let healthy = Audience::gather(stage.server.address, HEALTHY, WATCH_JOB, &request).await?;
    let script = Arc::new(parking_lot::Mutex::new(reports(&stage, false)?));
    let next = || -> Script {
        let script = Arc::clone(&script);
        Box::new(move || (script.lock())())
    };
    let length = setting.plan.block;
    pairs(
        &setting.plan,
        async || {
            let address = stage.server.address;
            // A connection of their own: they share none with those who read.
            let _deaf = Watchers::open_stalled(address, STALLED, WATCH_JOB, &request).await?;
            deliveries(&stage.server, &healthy, &stage.mouth, next(), &play, length).await
        },
        async || deliveries(&stage.server, &healthy, &stage.mouth, next(), &play, length).await,
    )
    .await
}
