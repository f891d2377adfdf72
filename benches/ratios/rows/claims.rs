//! How fast waiting jobs of many types in many queues are claimed.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;
use uuid::Uuid;

use jobplane::domain::stats::Changes;
use jobplane::domain::{BatchId, Job, JobId, QueueName, SessionId};
use jobplane::proto::v1;
use jobplane::store::sqlite::{Options, SqliteStore};
use jobplane::store::{Batch, NewJob, Store as _};

use super::Setting;
use super::history;
use crate::bare::life::Life;
use crate::bare::orders::now;
use crate::harness::child::{Server, database};
use crate::harness::measure::{Figure, Measurable as _, Sample, pairs};
use crate::harness::wire::{connect, unary};

/// Types that wait, each in one queue.
const TYPES: usize = 500;
/// Queues they wait in.
const QUEUES: usize = 50;
/// Jobs of a commit that makes them.
const BATCH: usize = 1_000;
/// Jobs that a call asks for.
const AT_ONCE: i32 = 100;
/// What no rule of the benchmark ever comes to: rules are looked at, and hold nothing.
const PLENTY: i64 = 1_000_000;

/// With a long history beside them; with none.
pub async fn history(setting: Setting) -> Result<Figure> {
    let finished = setting.plan.pick(1_000_000, 50_000);
    let many = waiting(setting, history::finished(finished).await?).await?;
    let none = waiting(setting, history::finished(0).await?).await?;
    compare(setting, many, none, async |_, _| Ok(())).await
}

/// With caps, rates, weights and a quota on everything; with none. Of weights that differ, some queues get ahead of others:
/// jobs start in another order than without.
pub async fn ruled(setting: Setting) -> Result<Figure> {
    with_weights(setting, |number| 1 + number % 3).await
}

/// The same with all weights alike: jobs start in much the same order as without.
pub async fn ruled_evenly(setting: Setting) -> Result<Figure> {
    with_weights(setting, |_| 1).await
}

async fn with_weights(setting: Setting, weight: fn(i32) -> i32) -> Result<Figure> {
    let ruled = waiting(setting, history::finished(0).await?).await?;
    let free = waiting(setting, history::finished(0).await?).await?;
    compare(setting, ruled, free, async |channel, _| rule(channel, weight).await).await
}

async fn compare(
    setting: Setting,
    ours: TempDir,
    other: TempDir,
    prepare: impl AsyncFnOnce(&Channel, &Server) -> Result<()>,
) -> Result<Figure> {
    let ours = Server::over(setting.places.server, ours)?;
    let other = Server::over(setting.places.server, other)?;
    let (our_channel, other_channel) =
        (connect(ours.address).await?, connect(other.address).await?);
    prepare(&our_channel, &ours).await?;
    let jobs = claimed_at_a_time(setting);
    pairs(
        &setting.plan,
        async || claim(&ours, &our_channel, jobs).await,
        async || claim(&other, &other_channel, jobs).await,
    )
    .await
}

/// All measurements together leave some waiting.
fn claimed_at_a_time(setting: Setting) -> usize {
    setting.plan.pick(100_000, 10_000) / (setting.plan.pairs + 1)
}

/// Takes so many jobs from all queues.
async fn claim(server: &Server, channel: &Channel, jobs: usize) -> Result<Sample> {
    let queues = (0..QUEUES).map(|number| format!("queue_{number}")).collect();
    let request: Bytes = v1::AcquireJobsRequest {
        worker_id: "bench".to_owned(),
        queues,
        max_jobs: AT_ONCE,
        ..Default::default()
    }
    .encode_to_vec()
    .into();
    let cpu = server.cpu_time()?;
    let (began, mut taken) = (Instant::now(), 0);
    while taken < jobs {
        let path = "/jobplane.v1.WorkerService/AcquireJobs";
        let answer = unary(channel, path, request.clone()).await?;
        let some = v1::AcquireJobsResponse::decode(answer)?.assignments.len();
        ensure!(some > 0, "{taken} of {jobs} jobs are claimed, and no more");
        taken += some;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = server.cpu_time()?.saturating_sub(cpu).as_secs_f64();
    Ok(Sample { value: taken as f64 / seconds, cpu_us: Some(1e6 * cpu / taken as f64) })
}

/// Adds jobs that wait to a database.
async fn waiting(setting: Setting, folder: TempDir) -> Result<TempDir> {
    let jobs = setting.plan.pick(100_000, 10_000);
    let url = database(folder.path()).display().to_string();
    let store = SqliteStore::open(Options { url, read_pool: 1 }).await?;
    let session = SessionId(Uuid::now_v7());
    for first in (0..jobs).step_by(BATCH) {
        let now = now();
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        for number in first..first + BATCH {
            let number = number % TYPES;
            let life = Life::at(now, &format!("bench.type_{number}"), session)?;
            batch.creates.push(born(life, QueueName::new(&format!("queue_{}", number % QUEUES))?));
        }
        store.commit(batch).await?;
    }
    store.close().await;
    Ok(folder)
}

fn born(life: Life, queue: QueueName) -> NewJob {
    let Life { mut spec, pending: mut status, .. } = life;
    Arc::make_mut(&mut spec).queue.clone_from(&queue);
    status.effective.queue = queue;
    let mut changes = Changes::default();
    changes.record(None, &status);
    let job = Job { id: JobId(Uuid::now_v7()), spec, status };
    NewJob { job, request: None, fire: None, session: None, changes }
}

/// Sets up rules that hold nothing, on everything there is.
async fn rule(channel: &Channel, weight: fn(i32) -> i32) -> Result<()> {
    let period = v1::QuotaPeriod::Day.into();
    let quota =
        v1::Quota { name: "bench".to_owned(), limit: 1 << 50, period, ..Default::default() };
    let quota = v1::PutQuotaRequest { quota: Some(quota) }.encode_to_vec().into();
    unary(channel, "/jobplane.v1.AdminService/PutQuota", quota).await?;
    let rate = v1::StartRate { per_second: PLENTY as f64, burst: PLENTY };
    for number in 0..QUEUES {
        let queue = v1::Queue {
            name: format!("queue_{number}"),
            max_running: PLENTY,
            start_rate: rate.per_second,
            weight: weight(i32::try_from(number)?),
            ..Default::default()
        };
        let request = v1::UpdateQueueRequest { queue: Some(queue), update_mask: None };
        let path = "/jobplane.v1.AdminService/UpdateQueue";
        unary(channel, path, request.encode_to_vec().into()).await?;
    }
    for number in 0..TYPES {
        let key = v1::ConcurrencyKey { label: "tenant".to_owned(), max_running: PLENTY };
        let job_type = v1::JobType {
            r#type: format!("bench.type_{number}"),
            max_concurrent: PLENTY,
            concurrency_key: Some(key),
            start_rate: Some(rate),
            quota_costs: [("bench".to_owned(), 1)].into(),
            circuit: Some(v1::Circuit { max_failures: 10, ..Default::default() }),
            ..Default::default()
        };
        let request = v1::PutJobTypeRequest { job_type: Some(job_type), ..Default::default() };
        let path = "/jobplane.v1.JobTypeService/PutJobType";
        unary(channel, path, request.encode_to_vec().into()).await?;
    }
    Ok(())
}
