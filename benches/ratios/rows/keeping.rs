//! What keeping the house costs those who work in it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use tonic::transport::Channel;

use jobplane::proto::v1;

use super::Setting;
use super::durable::{MANY, mixed};
use super::history::ended;
use crate::harness::child::Server;
use crate::harness::measure::{Figure, pairs};
use crate::harness::wire::{connect, unary};

/// How long the jobs that go have been over.
const OLD: Duration = Duration::from_secs(3 * 86_400);
/// How long a purge that was given up may take to end, and how often it is asked whether it has.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const PURGE: &str = "/jobplane.v1.AdminService/PurgeJobs";

async fn purge(channel: &Channel, validate_only: bool) -> Result<i64> {
    let request = v1::PurgeJobsRequest { days_to_keep: 1, validate_only, ..Default::default() };
    let answer = unary(channel, PURGE, request.encode_to_vec().into()).await?;
    Ok(v1::PurgeJobsResponse::decode(answer)?.count)
}

/// How many are there to take, as soon as a purge that was given up is over.
async fn count(channel: &Channel) -> Result<i64> {
    let since = Instant::now();
    loop {
        match purge(channel, true).await {
            Err(_) if since.elapsed() < PATIENCE => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// A load at its height while old jobs are taken away, and without.
pub async fn purge_alongside(setting: Setting) -> Result<Figure> {
    let jobs = setting.plan.pick(400_000, 20_000);
    let ours = Server::over(setting.places.server, ended(jobs, OLD).await?)?;
    let channel = connect(ours.address).await?;
    pairs(
        &setting.plan,
        async || {
            let before = count(&channel).await?;
            let (sample, _) = tokio::select! {
                sample = mixed(&ours, MANY, setting.plan.block) => sample?,
                // The call is given up with the load; there is more to take than it comes to.
                gone = purge(&channel, false) => {
                    gone?;
                    return Err(anyhow::anyhow!("too few old jobs for the time of the load"));
                }
            };
            let gone = before - count(&channel).await.context("a count")?;
            ensure!(gone > 0, "nothing was taken away");
            Ok(sample)
        },
        async || Ok(mixed(&ours, MANY, setting.plan.block).await?.0),
    )
    .await
}
