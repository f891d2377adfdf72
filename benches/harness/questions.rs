//! Questions about many jobs: the rows of every store that are alike.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use prost::Message as _;
use tonic::transport::Channel;

use jobplane::proto::v1;

use super::child::Server;
use super::history::{FEW, LABEL};
use super::measure::{Figure, Measurable as _, Sample, median, pairs};
use super::options::Plan;
use super::wire::{connect, unary};

/// Where questions are asked.
pub trait Archive {
    /// How long and how often.
    fn plan(&self) -> Plan;

    /// Two servers, each over a database with so many jobs that are over, and others that wait.
    async fn servers(&self, jobs: [usize; 2]) -> Result<[Server; 2]>;
}

/// `GetStats` of everything.
pub async fn stats(archive: impl Archive) -> Result<Figure> {
    ask(archive, Question::Stats).await
}

/// `GetSummary` of everything.
pub async fn summary(archive: impl Archive) -> Result<Figure> {
    ask(archive, Question::Summary).await
}

/// The first page of `ListJobs`.
pub async fn list(archive: impl Archive) -> Result<Figure> {
    ask(archive, Question::FirstPage).await
}

/// A page in the middle of all jobs.
pub async fn deep(archive: impl Archive) -> Result<Figure> {
    ask(archive, Question::DeepPage).await
}

/// The first page of the jobs with a label.
pub async fn labelled(archive: impl Archive) -> Result<Figure> {
    ask(archive, Question::Labelled).await
}

async fn ask(archive: impl Archive, question: Question) -> Result<Figure> {
    let plan = archive.plan();
    let jobs = plan.many_jobs();
    let [many, few] = archive.servers([jobs, FEW]).await?;
    let (to_many, to_few) = (connect(many.address).await?, connect(few.address).await?);
    let of_many = question.request(&to_many, jobs).await?;
    let of_few = question.request(&to_few, FEW).await?;
    let rounds = plan.pick(300, 30);
    pairs(
        &plan,
        async || question.ask(&many, &to_many, &of_many, rounds).await,
        async || question.ask(&few, &to_few, &of_few, rounds).await,
    )
    .await
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
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
    async fn request(self, channel: &Channel, jobs: usize) -> Result<Bytes> {
        let request = match self {
            Self::Stats => v1::GetStatsRequest::default().encode_to_vec(),
            Self::Summary => v1::GetSummaryRequest::default().encode_to_vec(),
            Self::FirstPage => v1::ListJobsRequest::default().encode_to_vec(),
            Self::DeepPage => page_after(channel, jobs / 2).await?.encode_to_vec(),
            Self::Labelled => {
                let labels = [(LABEL.0.to_owned(), LABEL.1.to_owned())].into();
                let filter = Some(v1::JobFilter { labels, ..v1::JobFilter::default() });
                v1::ListJobsRequest { filter, ..v1::ListJobsRequest::default() }.encode_to_vec()
            }
        };
        Ok(request.into())
    }

    /// Asks it so often; answers the middle of how long that took.
    async fn ask(
        self,
        server: &Server,
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
async fn page_after(channel: &Channel, after: usize) -> Result<v1::ListJobsRequest> {
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
