//! What is held for those who only listen.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use prost::Message as _;
use tonic::Streaming;
use tonic::transport::Channel;

use jobplane::proto::v1;
use jobplane::proto::v1::watch_jobs_response::Event;

use super::Setting;
use super::fanout::{Audience, Stage, WATCH_JOB, watch_request};
use crate::harness::child::Server;
use crate::harness::crew::fill;
use crate::harness::machine::own_memory;
use crate::harness::measure::{Figure, Sample, of_alone};
use crate::harness::wire::{Raw, connect, unary};
use crate::harness::worker::PATIENCE;

/// Samples: each needs a server of its own.
const SAMPLES: usize = 3;

/// Memory that no longer changes, in bytes.
async fn settled(server: &Server) -> Result<f64> {
    let mut last = own_memory(server.pid())?;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = own_memory(server.pid())?;
        if now.abs_diff(last) <= 64 * 1024 {
            return Ok(now as f64);
        }
        last = now;
    }
}

/// KiB of one watch among many.
pub async fn watcher(setting: Setting) -> Result<Figure> {
    let size = setting.plan.pick(10_000, 2_000);
    let mut samples = Vec::new();
    for _ in 0..setting.plan.pick(SAMPLES, 1) {
        let stage = Stage::set(setting).await?;
        let request = watch_request(&stage.job.0);
        // What the first watcher costs is not what one more does.
        let first = Audience::gather(stage.server.address, 1, WATCH_JOB, &request).await?;
        let before = settled(&stage.server).await?;
        let crowd = Audience::gather(stage.server.address, size, WATCH_JOB, &request).await?;
        let grown = settled(&stage.server).await? - before;
        crowd.seen.all_open()?;
        first.seen.all_open()?;
        samples.push(Sample { value: grown / 1024.0 / size as f64, cpu_us: None });
    }
    Ok(of_alone(&samples))
}

/// Bytes of one more job in a watch of many.
pub async fn watched_job(setting: Setting) -> Result<Figure> {
    let jobs = setting.plan.pick(50_000, 5_000);
    let mut samples = Vec::new();
    for _ in 0..setting.plan.pick(SAMPLES, 1) {
        let server = Server::ours(setting.places.server)?;
        let channel = connect(server.address).await?;
        fill(server.address, jobs).await?;
        // Reads warm the caches of the database, or they would count as the watch's.
        read_all(&channel).await?;
        let nothing = v1::JobFilter { queues: vec!["empty".to_owned()], ..Default::default() };
        let (few, seen) = watch(&channel, nothing).await?;
        anyhow::ensure!(seen == 0, "{seen} jobs in an empty queue");
        let before = settled(&server).await?;
        let (all, seen) = watch(&channel, v1::JobFilter::default()).await?;
        anyhow::ensure!(seen == jobs, "{seen} of {jobs} jobs are watched");
        let grown = settled(&server).await? - before;
        samples.push(Sample { value: grown / jobs as f64, cpu_us: None });
        drop((few, all));
    }
    Ok(of_alone(&samples))
}

async fn read_all(channel: &Channel) -> Result<()> {
    let mut request = v1::ListJobsRequest { page_size: 1_000, ..Default::default() };
    loop {
        let encoded = request.encode_to_vec().into();
        let page = unary(channel, "/jobplane.v1.JobService/ListJobs", encoded).await?;
        request.page_token = v1::ListJobsResponse::decode(page)?.next_page_token;
        if request.page_token.is_empty() {
            return Ok(());
        }
    }
}

/// Watches a set of jobs; answers how many there are.
async fn watch(channel: &Channel, filter: v1::JobFilter) -> Result<(Streaming<Bytes>, usize)> {
    let request = v1::WatchJobsRequest { filter: Some(filter), ..Default::default() };
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    let request: Bytes = request.encode_to_vec().into();
    let path = http::uri::PathAndQuery::from_static("/jobplane.v1.JobService/WatchJobs");
    let request = tonic::Request::new(request);
    let mut events = client.server_streaming(request, path, Raw::default()).await?.into_inner();
    let mut seen = 0;
    loop {
        let event = tokio::time::timeout(PATIENCE, events.message()).await;
        let event = event.context("a watch hears nothing")??.context("a watch ended")?;
        match v1::WatchJobsResponse::decode(event)?.event {
            Some(Event::Upsert(upsert)) => seen += upsert.jobs.len(),
            Some(Event::SnapshotEnd(_)) => return Ok((events, seen)),
            Some(Event::Heartbeat(_) | Event::Bookmark(_)) => {}
            other => bail!("a watch begins with {other:?}"),
        }
    }
}
