//! Progress reports on one stream.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;

use jobplane::proto::v1;

use super::Setting;
use crate::bare::services::{ECHO, SINK};
use crate::harness::child::Server;
use crate::harness::crew::fill;
use crate::harness::measure::{Figure, Running, Sample, pairs};
use crate::harness::wire::{Ticks, connect};
use crate::harness::worker::{Worker, open, words};

const JOBS: usize = 100;

/// Against a service that decodes and drops them.
pub async fn ingested(setting: Setting) -> Result<Figure> {
    against(setting, SINK).await
}

/// Against a service that answers each one.
pub async fn acked(setting: Setting) -> Result<Figure> {
    against(setting, ECHO).await
}

async fn against(setting: Setting, path: &'static str) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let bare = Server::bare(setting.places.server)?;
    fill(ours.address, JOBS).await?;
    let mut worker = Worker::attach(&connect(ours.address).await?, "default").await?;
    worker.slots(JOBS as i32).await?;
    let jobs = worker.take(JOBS).await?;
    let mut ticks = Some(Ticks::of(&jobs)?);
    let fresh = Ticks::of(&jobs)?;
    let channel = connect(bare.address).await?;
    let length = setting.plan.block;
    pairs(
        &setting.plan,
        async || {
            let before = ticks.take().context("no reports")?;
            let made = before.made();
            let running = Running::begin(&ours)?;
            let after = flood(&mut worker, before, length).await?;
            let sample = running.end(after.made() - made);
            ticks = Some(after);
            sample
        },
        async || flood_bare(&bare, &channel, path, fresh.clone(), length).await,
    )
    .await
}

/// Reports for so long, until all of it is acknowledged.
async fn flood(worker: &mut Worker, ticks: Ticks, length: Duration) -> Result<Ticks> {
    worker.mouth.flood(ticks, length);
    loop {
        let through = match worker.hear().await? {
            v1::report_progress_response::Kind::Ack(ack) => ack.through_seq,
            _ => 0,
        };
        if let Some(ticks) = worker.mouth.flooded_through(through) {
            return Ok(ticks);
        }
    }
}

/// The same at a bare service, until it has said that it got all.
async fn flood_bare(
    bare: &Server,
    channel: &tonic::transport::Channel,
    path: &'static str,
    ticks: Ticks,
    length: Duration,
) -> Result<Sample> {
    let (mouth, words) = words(true);
    mouth.flood(ticks, length);
    let running = Running::begin(bare)?;
    let mut answers = open(channel, path, words).await?;
    let (mut count, mut last) = (0_u64, None);
    while let Some(answer) = answers.message().await? {
        count += 1;
        last = Some(answer);
    }
    let made = mouth.flooded().context("no reports were sent")?.made();
    let sample = running.end(made)?;
    let last = v1::ReportProgressResponse::decode(last.context("no answer")?)?;
    ensure!(last.sequence == made as i64, "{} of {made} reports arrived", last.sequence);
    ensure!(path == SINK || count == made, "{count} answers to {made} reports");
    Ok(sample)
}
