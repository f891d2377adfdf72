//! What events and the audit cost those who write jobs.

use std::time::Duration;

use anyhow::Result;

use super::child::Loop;
use super::measure::{Figure, Sample, pairs};
use super::options::Plan;
use crate::bare::orders::Order;

/// Transitions in a commit: as many as the server makes with 1,024 slots.
const BATCH: usize = 300;

/// A loop that tells of its jobs against one that does not; `database` is the processor time of a database that has
/// processes of its own.
pub async fn cost(
    plan: &Plan,
    mut telling: Loop,
    mut silent: Loop,
    database: impl Fn() -> Result<Duration>,
) -> Result<Figure> {
    let run = |line: &mut Loop| {
        let millis = u64::try_from(plan.block.as_millis()).unwrap_or(u64::MAX);
        let before = database()?;
        let ran = line.run(&Order { batch: BATCH, millis, pause_micros: 0 })?;
        let cpu = ran.cpu_seconds + database()?.saturating_sub(before).as_secs_f64();
        let transitions = ran.transitions as f64;
        Ok(Sample { value: transitions / ran.seconds, cpu_us: Some(1e6 * cpu / transitions) })
    };
    pairs(plan, async || run(&mut telling), async || run(&mut silent)).await
}
