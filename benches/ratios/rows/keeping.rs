//! What keeping the house costs those who work in it.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Result, ensure};
use prost::Message as _;
use tonic::transport::Channel;

use jobplane::proto::v1;

use super::Setting;
use super::durable::{MANY, mixed};
use super::history::written;
use crate::bare::store::Telling;
use crate::harness::child::{Loop, Server};
use crate::harness::history::History;
use crate::harness::measure::{Figure, pairs};
use crate::harness::telling;
use crate::harness::wire::{connect, unary};

/// How long the youngest jobs that go have been over.
const OLD: Duration = Duration::from_secs(36 * 3_600);
const PURGE: &str = "/jobplane.v1.AdminService/PurgeJobs";

/// Takes away what was over so many days ago; answers how many that were.
async fn purge(channel: &Channel, days_to_keep: usize) -> Result<i64> {
    let days_to_keep = i32::try_from(days_to_keep)?;
    let request = v1::PurgeJobsRequest { days_to_keep, ..Default::default() };
    let answer = unary(channel, PURGE, request.encode_to_vec().into()).await?;
    Ok(v1::PurgeJobsResponse::decode(answer)?.count)
}

/// A load at its height while old jobs are taken away, and without: for each pair the jobs of one day, the oldest
/// first, which are more than can be taken away in its time.
pub async fn purge_alongside(setting: Setting) -> Result<Figure> {
    let mut days = setting.plan.pairs;
    let over = days * setting.plan.pick(100_000, 10_000);
    let history = History { long_ago: OLD, days, ..History::over(over) };
    let ours = Server::over(setting.places.server, written(history).await?)?;
    let channel = connect(ours.address).await?;
    pairs(
        &setting.plan,
        async || {
            let mut purge = pin!(purge(&channel, days));
            days -= 1;
            let (sample, _) = tokio::select! {
                sample = mixed(&ours, MANY, setting.plan.block) => sample?,
                gone = &mut purge => {
                    anyhow::bail!("{} old jobs are too few for the time of the load", gone?);
                }
            };
            ensure!(purge.await? > 0, "nothing was taken away");
            Ok(sample)
        },
        async || Ok(mixed(&ours, MANY, setting.plan.block).await?.0),
    )
    .await
}

/// The store with what the server tells and records of jobs, and without.
pub async fn events_and_audit(setting: Setting) -> Result<Figure> {
    told(setting, Telling::Usual).await
}

/// The same with an event for each success.
pub async fn events_of_successes(setting: Setting) -> Result<Figure> {
    told(setting, Telling::Successes).await
}

async fn told(setting: Setting, telling: Telling) -> Result<Figure> {
    let telling = Loop::sqlite_store(setting.places.server, telling)?;
    let silent = Loop::sqlite_store(setting.places.server, Telling::Nothing)?;
    telling::cost(&setting.plan, telling, silent, || Ok(Duration::ZERO)).await
}
