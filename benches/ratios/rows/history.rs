//! Questions about many finished jobs.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;
use uuid::Uuid;

use jobplane::domain::{BatchId, SessionId, Timestamp};
use jobplane::proto::v1;
use jobplane::store::sqlite::{Options, SqliteStore};
use jobplane::store::{Batch, NewJob, Store as _};

use super::Setting;
use crate::bare::life::Life;
use crate::harness::child::{Server, database, folder};
use crate::harness::measure::{Figure, Measurable as _, Sample, median, pairs};
use crate::harness::wire::{connect, unary};

/// Commits that a history is written in, whatever its size.
const BATCHES: usize = 200;
/// Minutes it is spread over: the figures of the last hour add up as many buckets for few jobs as for many.
const MINUTES: usize = 50;
/// Types they are spread over.
const TYPES: usize = 10;
const FEW: usize = 10_000;

/// `GetStats` of everything.
pub async fn stats(setting: Setting) -> Result<Figure> {
    let request = v1::GetStatsRequest::default().encode_to_vec().into();
    ask(setting, "/jobplane.v1.JobService/GetStats", request).await
}

/// The first page of `ListJobs`.
pub async fn list(setting: Setting) -> Result<Figure> {
    let request = v1::ListJobsRequest::default().encode_to_vec().into();
    ask(setting, "/jobplane.v1.JobService/ListJobs", request).await
}

async fn ask(setting: Setting, path: &'static str, request: Bytes) -> Result<Figure> {
    let many = setting.plan.pick(1_000_000, 100_000);
    let many = Server::over(setting.places.server, finished(many).await?)?;
    let few = Server::over(setting.places.server, finished(FEW).await?)?;
    let (many_channel, few_channel) = (connect(many.address).await?, connect(few.address).await?);
    let rounds = setting.plan.pick(300, 30);
    let side = async |server: &Server, channel: &Channel| {
        let cpu = server.cpu_time()?;
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let began = Instant::now();
            unary(channel, path, request.clone()).await?;
            times.push(1e6 * began.elapsed().as_secs_f64());
        }
        let cpu = server.cpu_time()?.saturating_sub(cpu).as_secs_f64();
        Ok(Sample { value: median(times), cpu_us: Some(1e6 * cpu / rounds as f64) })
    };
    pairs(
        &setting.plan,
        async || side(&many, &many_channel).await,
        async || side(&few, &few_channel).await,
    )
    .await
}

/// A database of so many jobs that have succeeded, written by the store itself.
pub(super) async fn finished(jobs: usize) -> Result<TempDir> {
    ended(jobs, Duration::ZERO).await
}

/// The same, so long ago.
pub async fn ended(jobs: usize, long_ago: Duration) -> Result<TempDir> {
    let folder = folder()?;
    let url = database(folder.path()).display().to_string();
    let store = SqliteStore::open(Options { url, read_pool: 1 }).await?;
    let session = SessionId(Uuid::now_v7());
    for number in 0..BATCHES {
        let since = std::time::UNIX_EPOCH.elapsed()?;
        let ago = long_ago + Duration::from_secs(60 * (number % MINUTES) as u64);
        let now = i64::try_from(since.saturating_sub(ago).as_micros())?;
        let now = Timestamp::from_micros(now);
        let lives: Vec<Life> = (0..TYPES)
            .map(|number| Life::at(now, &format!("bench.type_{number}"), session))
            .collect::<Result<_>>()?;
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        batch.creates = lives.iter().cycle().take(jobs / BATCHES).map(born).collect();
        store.commit(batch).await?;
    }
    store.close().await;
    Ok(folder)
}

fn born(life: &Life) -> NewJob {
    NewJob {
        job: life.finished(),
        request: None,
        fire: None,
        session: None,
        changes: life.changes.clone(),
    }
}
