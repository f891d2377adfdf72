//! When PostgreSQL was gone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Setting;
use super::load::{MANY, at_height};
use crate::harness::crew::{Counts, Crew, fill};
use crate::harness::measure::{Figure, Measurable as _, Sample, of_pairs};
use crate::harness::worker::PATIENCE;
use crate::side::Side;

/// How long it is looked at afterwards.
const AFTERWARDS: Duration = Duration::from_secs(60);
/// And before, at most: nothing is expected to change there.
const BEFORE_MAX: Duration = Duration::from_secs(20);
/// Blocks of the plan that make up each of the two, if that is less.
const BLOCKS: u32 = 40;
/// Pairs at most: each takes more than a minute.
const PAIRS_MAX: usize = 3;
/// Pause between tries.
const AGAIN: Duration = Duration::from_millis(20);

/// All that is done from the moment a killed PostgreSQL takes connections again: recovered caches, lost connections
/// and the wait for a server that works again are in it.
pub async fn restart(setting: Setting) -> Result<Figure> {
    setting.postgres.clear().await;
    let side = setting.side(1).await?;
    let length =
        if setting.plan.quick { 4 * setting.plan.block } else { BLOCKS * setting.plan.block };
    let (mut sides, mut back) = (Vec::new(), 0.0_f64);
    for _ in 0..setting.plan.pairs.min(PAIRS_MAX) {
        let before = at_height(&side, MANY, length.min(BEFORE_MAX), Counts::succeeded).await?;
        setting.postgres.crash();
        let (after, ready) = afterwards(&side, length.min(AFTERWARDS)).await?;
        back = back.max(ready.as_secs_f64());
        sides.push((after, before));
    }
    Ok(of_pairs(&sides).noting(format!(
        "{:.0} s afterwards; the first job was made after {back:.2} s at most",
        length.min(AFTERWARDS).as_secs_f64()
    )))
}

/// What is done within that time, and when the server worked again.
async fn afterwards(side: &Side, length: Duration) -> Result<(Sample, Duration)> {
    let (began, cpu) = (Instant::now(), side.cpu_time()?);
    let address = side.servers[0].address;
    while let Err(error) = fill(address, 1).await {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the server does not recover: {error:#}");
        tokio::time::sleep(AGAIN).await;
    }
    let ready = began.elapsed();
    let mut crew = Crew::start(address, MANY).await?;
    let left = length.checked_sub(began.elapsed()).context("it took too long to recover")?;
    crew.work(left).await?;
    let (jobs, took) = (crew.counts.succeeded() as f64, began.elapsed().as_secs_f64());
    let cpu = side.cpu_time()?.saturating_sub(cpu).as_secs_f64();
    crew.finish().await;
    Ok((Sample { value: jobs / took, cpu_us: Some(1e6 * cpu / jobs) }, ready))
}
