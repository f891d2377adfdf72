//! How long things take.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use prost::Message as _;
use tonic::transport::Channel;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};

use super::Setting;
use super::durable::{MANY, mixed, order};
use crate::bare::services::ROUND_TRIP;
use crate::harness::child::{Loop, Server};
use crate::harness::crew::{Crew, Duty, fill};
use crate::harness::measure::{
    Figure, Measurable as _, Sample, median, of_pairs, pairs, percentile,
};
use crate::harness::wire::{CREATE_ONE, Raw, Ticks, connect, create_one, unary, update};
use crate::harness::worker::{PATIENCE, Word, Worker};

/// The bare loop commits this often while it is only a witness.
const WITNESS_PAUSE: Duration = Duration::from_millis(5);

/// From outcome to ack at half of the peak, against a commit of as many transitions on the same disk at the same
/// time, on the processor of the load.
pub async fn ack_p99(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let mut witness = Loop::sqlite(setting.places.client)?;
    let (peak, _) = mixed(&ours, MANY, setting.plan.block).await?;
    // Three transitions a job.
    let pace = Some(peak.value / 3.0 / 2.0);
    let mut sides = Vec::new();
    for _ in 0..setting.plan.pairs {
        let mut crew = Crew::start(ours.address, Duty { pace, ..MANY }).await?;
        crew.work(setting.plan.block / 2).await?;
        crew.counts.take_acks();
        let (before, commits, cpu) = (crew.counts.transitions(), ours.commits()?, ours.cpu_time()?);
        crew.work(setting.plan.block / 2).await?;
        let done = crew.counts.transitions() - before;
        let per_commit = done as f64 / (ours.commits()? - commits).max(1) as f64;
        let pause_micros = u64::try_from(WITNESS_PAUSE.as_micros()).unwrap_or(u64::MAX);
        let mut order = order(per_commit, setting.plan.block);
        order.pause_micros = pause_micros;
        witness.begin(&order)?;
        crew.work(setting.plan.block).await?;
        let acks = crew.counts.take_acks();
        let done = (crew.counts.transitions() - before) as f64;
        let cpu = 1e6 * (ours.cpu_time()?.saturating_sub(cpu)).as_secs_f64() / done;
        let ours = Sample { value: percentile(acks, 0.99), cpu_us: Some(cpu) };
        crew.finish().await;
        let commits = witness.end()?.commit_micros;
        sides.push((ours, Sample { value: percentile(commits, 0.99), cpu_us: None }));
    }
    Ok(of_pairs(&sides))
}

/// Microseconds of so many rounds of something, the middle one.
async fn middle(
    server: &Server,
    rounds: usize,
    mut round: impl AsyncFnMut() -> Result<Duration>,
) -> Result<Sample> {
    let cpu = server.cpu_time()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        times.push(1e6 * round().await?.as_secs_f64());
    }
    let cpu = server.cpu_time()?.saturating_sub(cpu).as_secs_f64();
    Ok(Sample { value: median(times), cpu_us: Some(1e6 * cpu / rounds as f64) })
}

async fn round_trips(bare: &Server, channel: &Channel, rounds: usize) -> Result<Sample> {
    let message = create_one();
    middle(bare, rounds, async || {
        let began = Instant::now();
        unary(channel, ROUND_TRIP, message.clone()).await?;
        Ok(began.elapsed())
    })
    .await
}

/// From the call that creates a job to its assignment, on one connection.
pub async fn create_to_assignment(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let bare = Server::bare(setting.places.server)?;
    let (channel, bare_channel) = (connect(ours.address).await?, connect(bare.address).await?);
    let mut worker = Worker::attach(&channel, "default").await?;
    worker.slots(100).await?;
    let rounds = setting.plan.pick(500, 50);
    let (create, mut seq) = (create_one(), 0);
    pairs(
        &setting.plan,
        async || {
            middle(&ours, rounds, async || {
                let began = Instant::now();
                let call = unary(&channel, CREATE_ONE, create.clone());
                let assigned = async {
                    let job = worker.take(1).await?.pop().context("no job")?;
                    Ok::<_, anyhow::Error>((job, began.elapsed()))
                };
                let (called, assigned) = tokio::join!(call, assigned);
                called?;
                let ((id, epoch), took) = assigned?;
                seq += 1;
                let report = Report::Succeeded(Succeeded::default());
                let done = Box::new(update(seq, id, epoch, Some(report)));
                worker.mouth.send(Word::Message(done)).await?;
                worker.acked(seq).await?;
                Ok(took)
            })
            .await
        },
        async || round_trips(&bare, &bare_channel, rounds).await,
    )
    .await
}

/// From a report to the watcher of the job, on one connection.
pub async fn progress_to_watcher(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let bare = Server::bare(setting.places.server)?;
    let (channel, bare_channel) = (connect(ours.address).await?, connect(bare.address).await?);
    fill(ours.address, 1).await?;
    let mut worker = Worker::attach(&channel, "default").await?;
    worker.slots(1).await?;
    let jobs = worker.take(1).await?;
    let mut ticks = Ticks::of(&jobs)?;
    let mut watch = watch(&channel, &jobs[0].0).await?;
    let mut next = async || {
        let message = tokio::time::timeout(PATIENCE, watch.message()).await;
        message.context("a watcher hears nothing")??.context("a watch ended")
    };
    next().await?;
    let mouth = worker.mouth.clone();
    // Acks are read, or they would fill the window.
    let hearing = tokio::spawn(async move { while worker.hear().await.is_ok() {} });
    let rounds = setting.plan.pick(1_000, 50);
    let figure = pairs(
        &setting.plan,
        async || {
            middle(&ours, rounds, async || {
                let began = Instant::now();
                mouth.send(Word::Tick(ticks.next())).await?;
                next().await?;
                Ok(began.elapsed())
            })
            .await
        },
        async || round_trips(&bare, &bare_channel, rounds).await,
    )
    .await;
    hearing.abort();
    figure
}

async fn watch(channel: &Channel, job_id: &str) -> Result<tonic::Streaming<bytes::Bytes>> {
    let request = v1::WatchJobRequest {
        job_id: job_id.to_owned(),
        min_interval: Some(prost_types::Duration::default()),
        ..Default::default()
    };
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    let request: bytes::Bytes = request.encode_to_vec().into();
    let path = http::uri::PathAndQuery::from_static("/jobplane.v1.JobService/WatchJob");
    let request = tonic::Request::new(request);
    Ok(client.server_streaming(request, path, Raw::default()).await?.into_inner())
}
