//! What a job's life writes.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::Setting;
use super::load::MANY;
use crate::harness::crew::Crew;
use crate::harness::measure::{Figure, Measurable as _, Sample, of_alone};
use crate::harness::worker::PATIENCE;

/// Samples: each needs a database of its own.
const SAMPLES: usize = 3;

/// What is in the books between the two moments, for jobs that all began and ended there.
struct Written {
    jobs: u64,
    /// Transactions: reads, upkeep, start and end of the server included.
    transactions: i64,
    /// Entries of the change log.
    commits: i64,
    wal_bytes: i64,
    full_pages: i64,
    checkpoints: i64,
    cpu_us: f64,
}

const BOOKS: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint, \
    (SELECT wal_fpi FROM pg_stat_wal), \
    (SELECT (redo_lsn - '0/0')::bigint FROM pg_control_checkpoint())";

const TRANSACTIONS: &str =
    "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";

const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

async fn books(connection: &mut PgConnection) -> Result<(i64, i64, i64)> {
    Ok(sqlx::query_as(BOOKS).fetch_one(connection).await?)
}

/// Lets a crew of 1,024 slots make jobs and finish them all.
async fn written(setting: &Setting) -> Result<Written> {
    setting.postgres.clear().await;
    let mut side = setting.side(1).await?;
    let mut connection = side.connect().await?;
    // From here on the first change of each page writes it whole.
    connection.execute("CHECKPOINT").await?;
    let (wal, full_pages, checkpoint) = books(&mut connection).await?;
    let (commits, cpu) = (side.commits().await?, side.cpu_time()?);
    let mut crew = Crew::start(side.servers[0].address, MANY).await?;
    let length = setting.plan.block * if setting.plan.quick { 2 } else { 4 };
    crew.work(length).await?;
    let counts = crew.finish_all().await?;
    let jobs = counts.succeeded();
    ensure!(jobs > 0, "nothing was done");
    let cpu = side.cpu_time()?.saturating_sub(cpu);
    let commits = side.commits().await? - commits;
    let after = books(&mut connection).await?;
    // Sessions keep their figures to themselves for a while, but not beyond their end.
    side.servers.clear();
    let began = Instant::now();
    while sqlx::query_scalar::<_, i64>(OTHERS).fetch_one(&mut connection).await? > 0 {
        ensure!(began.elapsed() < PATIENCE, "connections of a server that is gone stay");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let transactions = sqlx::query_scalar(TRANSACTIONS).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(Written {
        jobs,
        transactions,
        commits,
        wal_bytes: after.0 - wal,
        full_pages: after.1 - full_pages,
        checkpoints: i64::from(after.2 != checkpoint),
        cpu_us: 1e6 * cpu.as_secs_f64() / jobs as f64,
    })
}

async fn sampled(
    setting: Setting,
    value: fn(&Written) -> f64,
    note: fn(&Written) -> String,
) -> Result<Figure> {
    let (mut samples, mut last) = (Vec::new(), String::new());
    for _ in 0..setting.plan.pick(SAMPLES, 1) {
        let written = written(&setting).await?;
        samples.push(Sample { value: value(&written), cpu_us: Some(written.cpu_us) });
        last = note(&written);
    }
    Ok(of_alone(&samples).noting(last))
}

/// Transactions for each job.
pub async fn commits(setting: Setting) -> Result<Figure> {
    sampled(
        setting,
        |written| written.transactions as f64 / written.jobs as f64,
        |written| {
            format!(
                "{} transactions for {} jobs, reads and the server's start and end among them; {} commits of jobs",
                written.transactions, written.jobs, written.commits
            )
        },
    )
    .await
}

/// WAL for each job.
pub async fn wal(setting: Setting) -> Result<Figure> {
    sampled(
        setting,
        |written| written.wal_bytes as f64 / 1024.0 / written.jobs as f64,
        |written| {
            format!(
                "{} jobs; a checkpoint before, {} within; {} pages written whole",
                written.jobs, written.checkpoints, written.full_pages
            )
        },
    )
    .await
}
