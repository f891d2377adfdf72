//! Many jobs of an hour, and questions about them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use prost::Message as _;
use tonic::transport::Channel;
use uuid::Uuid;

use jobplane::domain::stats::Changes;
use jobplane::domain::{BatchId, Job, JobId, SessionId, Timestamp};
use jobplane::proto::v1;
use jobplane::store::{Batch, NewJob, Store};

use super::measure::{Measurable, Sample, median};
use super::wire::unary;
use crate::bare::life::Life;

/// Commits that a history is written in, whatever its size.
const BATCHES: usize = 200;
/// Minutes it is spread over: the figures of the last hour add up as many buckets for few jobs as for many.
const MINUTES: usize = 50;
/// Types they are spread over.
const TYPES: usize = 10;
/// For so many jobs that are over, one waits.
const OVER_TO_WAITING: usize = 10;
/// Jobs of each commit that have a label of their own: as many whatever the size, for whoever asks for it.
const LABELLED: usize = 3;
const LABEL: (&str, &str) = ("tenant", "acme");
/// The small size.
pub const FEW: usize = 10_000;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `GetStats` of everything.
    Stats,
    /// `GetSummary` of everything.
    Summary,
    /// The first page of `ListJobs`.
    FirstPage,
    /// A page of it in the middle of all jobs.
    DeepPage,
    /// The first page of those with a label.
    Labelled,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Stats => "/jobplane.v1.JobService/GetStats",
            Self::Summary => "/jobplane.v1.JobService/GetSummary",
            Self::FirstPage | Self::DeepPage | Self::Labelled => "/jobplane.v1.JobService/ListJobs",
        }
    }

    /// The request, for a server with so many jobs that are over.
    pub async fn request(self, channel: &Channel, jobs: usize) -> Result<Bytes> {
        let request = match self {
            Self::Stats => v1::GetStatsRequest::default().encode_to_vec(),
            Self::Summary => v1::GetSummaryRequest::default().encode_to_vec(),
            Self::FirstPage => v1::ListJobsRequest::default().encode_to_vec(),
            Self::DeepPage => deep(channel, jobs / 2).await?.encode_to_vec(),
            Self::Labelled => {
                let labels = [(LABEL.0.to_owned(), LABEL.1.to_owned())].into();
                let filter = Some(v1::JobFilter { labels, ..v1::JobFilter::default() });
                v1::ListJobsRequest { filter, ..v1::ListJobsRequest::default() }.encode_to_vec()
            }
        };
        Ok(request.into())
    }

    /// Asks it so often; answers the middle of how long that took.
    pub async fn ask(
        self,
        server: &impl Measurable,
        channel: &Channel,
        request: &Bytes,
        rounds: usize,
    ) -> Result<Sample> {
        let cpu = server.cpu_time()?;
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let began = Instant::now();
            unary(channel, self.path(), request.clone()).await?;
            times.push(1e6 * began.elapsed().as_secs_f64());
        }
        let cpu = server.cpu_time()?.saturating_sub(cpu).as_secs_f64();
        Ok(Sample { value: median(times), cpu_us: Some(1e6 * cpu / rounds as f64) })
    }
}

/// The request for the page after so many jobs: its token is had by turning the pages.
async fn deep(channel: &Channel, after: usize) -> Result<v1::ListJobsRequest> {
    let mut request = v1::ListJobsRequest { page_size: 1_000, ..v1::ListJobsRequest::default() };
    for _ in 0..(after / 1_000).max(1) {
        let asked = request.encode_to_vec().into();
        let answer = unary(channel, Question::DeepPage.path(), asked).await?;
        let page = v1::ListJobsResponse::decode(answer)?;
        request.page_token = page.next_page_token;
    }
    anyhow::ensure!(!request.page_token.is_empty(), "there are too few jobs");
    Ok(v1::ListJobsRequest { page_size: 0, ..request })
}

/// Jobs to be written.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Those that have succeeded.
    pub over: usize,
    /// Those that wait.
    pub waiting: usize,
    /// When it ends.
    pub long_ago: Duration,
    /// Days it is spread over, as many of each.
    pub days: usize,
}

impl History {
    /// So many that have succeeded, until now.
    pub const fn over(jobs: usize) -> Self {
        Self { over: jobs, waiting: 0, long_ago: Duration::ZERO, days: 1 }
    }

    /// So many that have succeeded, and a tenth of it that wait, until now.
    pub const fn of(jobs: usize) -> Self {
        Self { over: jobs, waiting: jobs / OVER_TO_WAITING, ..Self::over(jobs) }
    }
}

/// Writes jobs by the store itself, and closes it.
pub async fn fill(store: &dyn Store, history: History) -> Result<()> {
    let History { over, waiting, long_ago, days } = history;
    let session = SessionId(Uuid::now_v7());
    for number in 0..BATCHES {
        let since = std::time::UNIX_EPOCH.elapsed()?;
        let (days, minutes) = ((number % days) as u64, (number % MINUTES) as u64);
        let ago = long_ago + Duration::from_secs(86_400 * days + 60 * minutes);
        let now = i64::try_from(since.saturating_sub(ago).as_micros())?;
        let now = Timestamp::from_micros(now);
        let lives: Vec<Life> = (0..TYPES)
            .map(|number| Life::at(now, &format!("bench.type_{number}"), session))
            .collect::<Result<_>>()?;
        let mut labelled = Life::at(now, "bench.type_0", session)?;
        let (key, value) = LABEL;
        Arc::make_mut(&mut labelled.spec).labels.insert(key.to_owned(), value.to_owned());
        let mut batch = Batch::new(BatchId(Uuid::now_v7()), now);
        batch.creates = lives.iter().cycle().take(over / BATCHES).map(born).collect();
        batch.creates.extend(lives.iter().cycle().take(waiting / BATCHES).map(waits));
        batch.creates.extend((0..LABELLED).map(|_| born(&labelled)));
        store.commit(batch).await.context("a history that cannot be written")?;
    }
    store.close().await;
    Ok(())
}

fn born(life: &Life) -> NewJob {
    let changes = life.changes.clone();
    NewJob { job: life.finished(), request: None, fire: None, session: None, changes }
}

fn waits(life: &Life) -> NewJob {
    let mut changes = Changes::default();
    changes.record(None, &life.pending);
    let (spec, status) = (Arc::clone(&life.spec), life.pending.clone());
    let job = Job { id: JobId(Uuid::now_v7()), spec, status };
    NewJob { job, request: None, fire: None, session: None, changes }
}
