//! From one server to another.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use prost::Message as _;
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection};
use tonic::Streaming;
use tonic::transport::Channel;

use jobplane::proto::v1;
use jobplane::proto::v1::report_progress_request::update::{Report, Succeeded};

use super::Setting;
use crate::harness::crew::fill;
use crate::harness::measure::{Figure, Measurable as _, Sample, of_pairs, percentile};
use crate::harness::wire::{Raw, connect, update};
use crate::harness::worker::{PATIENCE, Word, Worker};

/// Between the job's start and its end: whatever its start led to at the other server is over by then.
const REST: Duration = Duration::from_millis(50);

/// The middle.
pub async fn p50(setting: Setting) -> Result<Figure> {
    latency(setting, 0.5).await
}

/// The slowest in a hundred.
pub async fn p99(setting: Setting) -> Result<Figure> {
    latency(setting, 0.99).await
}

/// From the outcome at one server, its commit included, to its watcher at another; against a `NOTIFY` that commits by
/// itself, as durable as PostgreSQL is by default, to one who listens.
async fn latency(setting: Setting, part: f64) -> Result<Figure> {
    setting.postgres.clear().await;
    let side = setting.side(2).await?;
    let here = connect(side.servers[0].address).await?;
    let there = connect(side.servers[1].address).await?;
    let mut worker = Worker::attach(&here, "default").await?;
    worker.slots(1).await?;
    let mut speaker = side.connect().await?;
    let mut listener = PgListener::connect(&side.url).await?;
    listener.listen("bare").await?;
    let rounds = setting.plan.pick(100, 10);
    // Made by hundreds, whatever is asked for.
    fill(side.servers[0].address, rounds * setting.plan.pairs + 1).await?;
    let (mut seq, mut sides) = (0, Vec::new());
    for _ in 0..setting.plan.pairs {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        let cpu = side.cpu_time()?;
        for _ in 0..rounds {
            seq += 1;
            let took = outcome(&mut worker, &there, seq).await?;
            ours.push(1e6 * took.as_secs_f64());
            let took = notification(&mut speaker, &mut listener).await?;
            bare.push(1e6 * took.as_secs_f64());
        }
        // Both sides take turns round by round, so it cannot be told apart.
        let cpu = side.cpu_time()?.saturating_sub(cpu).as_secs_f64();
        let cpu_us = Some(1e6 * cpu / rounds as f64);
        let ours = Sample { value: percentile(ours, part), cpu_us };
        sides.push((ours, Sample { value: percentile(bare, part), cpu_us: None }));
    }
    speaker.close().await?;
    Ok(of_pairs(&sides))
}

/// Takes the next job and finishes it once it is watched.
async fn outcome(worker: &mut Worker, there: &Channel, seq: i64) -> Result<Duration> {
    let (id, epoch) = worker.take(1).await?.pop().context("no job")?;
    let mut watch = watch(there, &id).await?;
    next(&mut watch).await?.context("a watch without a snapshot")?;
    tokio::time::sleep(REST).await;
    let report = Report::Succeeded(Succeeded::default());
    let began = Instant::now();
    worker.mouth.send(Word::Message(Box::new(update(seq, id, epoch, Some(report))))).await?;
    loop {
        let message = next(&mut watch).await?.context("a watch ended too early")?;
        let event = v1::WatchJobResponse::decode(message)?.event;
        let Some(v1::watch_job_response::Event::Update(update)) = event else { continue };
        let update = v1::watch_job_response::Update::decode(update)?;
        let state = update.status.context("an update without a status")?.state;
        if state == v1::JobState::Succeeded as i32 {
            return Ok(began.elapsed());
        }
    }
}

async fn notification(speaker: &mut PgConnection, listener: &mut PgListener) -> Result<Duration> {
    tokio::time::sleep(REST).await;
    let began = Instant::now();
    sqlx::query("SELECT pg_notify('bare', 'there is something new')").execute(speaker).await?;
    listener.recv().await?;
    Ok(began.elapsed())
}

async fn next(watch: &mut Streaming<Bytes>) -> Result<Option<Bytes>> {
    let message = tokio::time::timeout(PATIENCE, watch.message()).await;
    Ok(message.context("a watcher hears nothing")??)
}

async fn watch(channel: &Channel, job_id: &str) -> Result<Streaming<Bytes>> {
    let request = v1::WatchJobRequest {
        job_id: job_id.to_owned(),
        min_interval: Some(prost_types::Duration::default()),
        ..Default::default()
    };
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    let request: Bytes = request.encode_to_vec().into();
    let path = http::uri::PathAndQuery::from_static("/jobplane.v1.JobService/WatchJob");
    let request = tonic::Request::new(request);
    Ok(client.server_streaming(request, path, Raw::default()).await?.into_inner())
}
