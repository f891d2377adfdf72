//! Throughput of whole lives.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use sqlx::Executor as _;

use super::Setting;
use crate::bare::orders::Order;
use crate::harness::child::Loop;
use crate::harness::crew::{Counts, Crew, Duty};
use crate::harness::measure::{Figure, Measurable as _, Running, Sample, pairs};
use crate::harness::worker::PATIENCE;
use crate::side::Side;

/// 1,024 slots in all.
pub const MANY: Duty = Duty { workers: 4, slots: 256, creates: true, pace: None };
/// As many for each number of servers: six sessions, shared by them.
const SESSIONS: usize = 6;
const SESSION_SLOTS: i32 = 170;
/// What passes before a load is measured.
const WARM: Duration = Duration::from_millis(500);

/// What is counted.
type Counted = fn(&Counts) -> u64;

/// A load at its height, each server under this duty: what is counted per second.
pub async fn at_height(
    side: &Side,
    duty: Duty,
    length: Duration,
    counted: Counted,
) -> Result<Sample> {
    let mut crews = Vec::new();
    for server in &side.servers {
        crews.push(Crew::start(server.address, duty).await?);
    }
    let counts: Vec<Arc<Counts>> = crews.iter().map(|crew| Arc::clone(&crew.counts)).collect();
    let done = || counts.iter().map(|counts| counted(counts)).sum::<u64>();
    tokio::time::sleep(WARM).await;
    let before = done();
    let running = Running::begin(side)?;
    let failing = futures_util::future::select_all(
        // They only end by failing.
        crews.iter_mut().map(|crew| Box::pin(crew.work(PATIENCE + length))),
    );
    tokio::select! {
        () = running.lasts(length, || done() > before) => {}
        (failed, ..) = failing => failed?,
    }
    let sample = running.end(done() - before);
    for crew in crews {
        crew.finish().await;
    }
    sample
}

/// Against the same statements at the same batch size over one bare connection.
pub async fn life_cycles(setting: Setting) -> Result<Figure> {
    setting.postgres.clear().await;
    let ours = setting.side(1).await?;
    let url = setting.postgres.database().await;
    let mut bare = Loop::postgres(setting.places.server, &url)?;
    let batch = Cell::new(1.0);
    let length = setting.plan.block;
    let figure = pairs(
        &setting.plan,
        async || {
            let (commits, mut crew) =
                (ours.commits().await?, Crew::start(ours.servers[0].address, MANY).await?);
            crew.work(WARM).await?;
            let before = crew.counts.succeeded();
            let running = Running::begin(&ours)?;
            let counts = Arc::clone(&crew.counts);
            tokio::select! {
                () = running.lasts(length, || counts.succeeded() > before) => {}
                failed = crew.work(PATIENCE + length) => failed?,
            }
            let sample = running.end(crew.counts.succeeded() - before);
            let transitions = crew.counts.transitions();
            let commits = ours.commits().await? - commits;
            batch.set(transitions as f64 / commits.max(1) as f64);
            crew.finish().await;
            sample
        },
        async || {
            let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            let batch = batch.get().round().max(1.0) as usize;
            let database = setting.postgres.cpu_time()?;
            let ran = bare.run(&Order { batch, millis, pause_micros: 0 })?;
            let database = setting.postgres.cpu_time()?.saturating_sub(database).as_secs_f64();
            let jobs = ran.transitions as f64 / 3.0;
            let cpu_us = 1e6 * (ran.cpu_seconds + database) / jobs;
            Ok(Sample { value: jobs / ran.seconds, cpu_us: Some(cpu_us) })
        },
    )
    .await?;
    Ok(figure.noting(format!("{:.0} transitions in a commit", batch.get())))
}

/// Two servers.
pub async fn two(setting: Setting) -> Result<Figure> {
    several(setting, 2).await
}

/// Three servers.
pub async fn three(setting: Setting) -> Result<Figure> {
    several(setting, 3).await
}

async fn several(setting: Setting, servers: usize) -> Result<Figure> {
    setting.postgres.clear().await;
    let (ours, one) = (setting.side(servers).await?, setting.side(1).await?);
    let duty = |servers| Duty { workers: SESSIONS / servers, slots: SESSION_SLOTS, ..MANY };
    let length = setting.plan.block;
    pairs(
        &setting.plan,
        async || at_height(&ours, duty(servers), length, Counts::succeeded).await,
        async || at_height(&one, duty(1), length, Counts::succeeded).await,
    )
    .await
}

/// 1,024 slots of many workers, and of few.
pub async fn claims(setting: Setting) -> Result<Figure> {
    setting.postgres.clear().await;
    let side = setting.side(1).await?;
    let (many, few) =
        (Duty { workers: 256, slots: 4, ..MANY }, Duty { workers: 16, slots: 64, ..MANY });
    let length = setting.plan.block;
    pairs(
        &setting.plan,
        async || at_height(&side, many, length, Counts::started).await,
        async || at_height(&side, few, length, Counts::started).await,
    )
    .await
}

/// A transaction that has a number and a snapshot, and so holds up all cleaning: in the database of one side only,
/// from the first block to the last.
const HOLD: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; \
    SELECT pg_current_xact_id(), count(*) FROM job_status";

/// With a transaction that stays open.
pub async fn held(setting: Setting) -> Result<Figure> {
    setting.postgres.clear().await;
    let (ours, free) = (setting.side(1).await?, setting.side(1).await?);
    let mut holder = ours.connect().await?;
    holder.execute(sqlx::raw_sql(HOLD)).await?;
    let length = setting.plan.block;
    let figure = pairs(
        &setting.plan,
        async || at_height(&ours, MANY, length, Counts::succeeded).await,
        async || at_height(&free, MANY, length, Counts::succeeded).await,
    )
    .await;
    holder.execute("ROLLBACK").await?;
    let jobs = "SELECT coalesce(sum(finished_total), 0)::bigint FROM \
        (SELECT finished_total FROM stat_totals UNION ALL SELECT finished_total FROM stat_deltas) AS all_of_them";
    let jobs: i64 = sqlx::query_scalar(jobs).fetch_one(&mut holder).await?;
    Ok(figure?.noting(format!("{jobs} jobs were finished while it was open")))
}
