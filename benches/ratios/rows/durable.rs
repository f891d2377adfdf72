//! Durable changes of jobs on SQLite.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use jobplane::proto::v1;

use super::Setting;
use crate::bare::orders::{Order, Ran};
use crate::harness::child::{Loop, Server};
use crate::harness::crew::{Crew, Duty, fill};
use crate::harness::measure::{Figure, Running, Sample, alone, of_pairs, pairs};
use crate::harness::wire::{CREATE_ONE, connect, create_one, unary};
use crate::harness::worker::PATIENCE;

/// 1,024 slots in all.
pub const MANY: Duty = Duty { workers: 4, slots: 256, creates: true, pace: None };
/// What passes before a load is measured.
const WARM: Duration = Duration::from_millis(300);
const UNARY_CALLERS: usize = 256;
const UNARY_CONNECTIONS: usize = 4;

/// An order to the bare loop.
pub fn order(batch: f64, length: Duration) -> Order {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    Order { batch: batch.round().max(1.0) as usize, millis, pause_micros: 0 }
}

/// Against the same statements at the same batch size in a tight loop.
pub async fn transitions(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let mut bare = Loop::sqlite(setting.places.server)?;
    let batch = std::cell::Cell::new(1.0);
    pairs(
        &setting.plan,
        async || {
            let (sample, per_commit) = mixed(&ours, MANY, setting.plan.block).await?;
            batch.set(per_commit);
            Ok(sample)
        },
        async || Ok(sample(&bare.run(&order(batch.get(), setting.plan.block))?)),
    )
    .await
}

/// What the bare loop did, as a measurement.
fn sample(ran: &Ran) -> Sample {
    let transitions = ran.transitions as f64;
    Sample { value: transitions / ran.seconds, cpu_us: Some(1e6 * ran.cpu_seconds / transitions) }
}

/// A load at its height: transitions per second, and in a commit.
pub async fn mixed(server: &Server, duty: Duty, length: Duration) -> Result<(Sample, f64)> {
    let mut crew = Crew::start(server.address, duty).await?;
    crew.work(WARM).await?;
    let (before, commits) = (crew.counts.transitions(), server.commits()?);
    let running = Running::begin(server)?;
    let counts = std::sync::Arc::clone(&crew.counts);
    tokio::select! {
        () = running.lasts(length, || counts.transitions() > before) => {}
        // It only ends by failing.
        failed = crew.work(PATIENCE) => failed?,
    }
    let done = crew.counts.transitions() - before;
    let sample = running.end(done)?;
    let commits = server.commits()? - commits;
    crew.finish().await;
    Ok((sample, done as f64 / commits.max(1) as f64))
}

/// Jobs made beforehand, started and finished.
pub async fn life_cycles(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let jobs = setting.plan.pick(40_000, 4_000);
    alone(&setting.plan, async || {
        fill(ours.address, jobs).await?;
        let running = Running::begin(&ours)?;
        let mut crew = Crew::start(ours.address, Duty { creates: false, ..MANY }).await?;
        crew.work_until(jobs as u64).await?;
        let sample = running.end(jobs as u64);
        crew.finish().await;
        sample
    })
    .await
}

/// Transitions in a commit with 64 slots.
pub async fn per_fsync_64(setting: Setting) -> Result<Figure> {
    per_fsync(setting, Duty { workers: 1, slots: 64, ..MANY }).await
}

/// Transitions in a commit with 1,024 slots.
pub async fn per_fsync_1024(setting: Setting) -> Result<Figure> {
    per_fsync(setting, MANY).await
}

/// Every commit is one fsync: WAL with `synchronous=FULL`.
async fn per_fsync(setting: Setting, duty: Duty) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let jobs = setting.plan.pick(20_000, 2_000);
    let one = Sample { value: 1.0, cpu_us: None };
    let mut sides = Vec::new();
    for _ in 0..setting.plan.pairs {
        fill(ours.address, jobs).await?;
        let commits = ours.commits()?;
        let running = Running::begin(&ours)?;
        let mut crew = Crew::start(ours.address, Duty { creates: false, ..duty }).await?;
        crew.work_until(jobs as u64).await?;
        let done = 2 * jobs as u64;
        let cpu_us = running.end(done)?.cpu_us;
        let commits = ours.commits()? - commits;
        crew.finish().await;
        sides.push((Sample { value: done as f64 / commits.max(1) as f64, cpu_us }, one));
    }
    Ok(of_pairs(&sides))
}

/// The same by calls of one job each.
pub async fn unary_calls(setting: Setting) -> Result<Figure> {
    let ours = Server::ours(setting.places.server)?;
    let mut channels = Vec::new();
    for _ in 0..UNARY_CONNECTIONS {
        channels.push(connect(ours.address).await?);
    }
    alone(&setting.plan, async || {
        let until = tokio::time::Instant::now() + setting.plan.block;
        let running = Running::begin(&ours)?;
        let mut callers = JoinSet::new();
        for channel in channels.iter().cycle().take(UNARY_CALLERS) {
            callers.spawn(call(channel.clone(), until));
        }
        let mut done = 0;
        while let Some(caller) = callers.join_next().await {
            done += caller??;
        }
        running.end(done)
    })
    .await
}

async fn call(channel: Channel, until: tokio::time::Instant) -> Result<u64> {
    let create = create_one();
    let acquire: Bytes = v1::AcquireJobsRequest {
        worker_id: "bench".to_owned(),
        max_jobs: 1,
        wait: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        ..Default::default()
    }
    .encode_to_vec()
    .into();
    let mut done = 0;
    while tokio::time::Instant::now() < until {
        unary(&channel, CREATE_ONE, create.clone()).await?;
        let path = "/jobplane.v1.WorkerService/AcquireJobs";
        let answer = unary(&channel, path, acquire.clone()).await?;
        let answer = v1::AcquireJobsResponse::decode(answer)?;
        let assignment = answer.assignments.first().context("no job came up")?;
        let complete = v1::CompleteJobRequest {
            job_id: crate::harness::worker::job_id(assignment)?.to_owned(),
            lease_epoch: assignment.lease_epoch,
            ..Default::default()
        };
        let complete = complete.encode_to_vec().into();
        unary(&channel, "/jobplane.v1.WorkerService/CompleteJob", complete).await?;
        done += 3;
    }
    Ok(done)
}
