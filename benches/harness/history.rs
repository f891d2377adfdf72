//! Many jobs, made within an hour.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use uuid::Uuid;

use jobplane::domain::stats::Changes;
use jobplane::domain::{BatchId, Job, JobId, SessionId, Timestamp};
use jobplane::store::{Batch, NewJob, Store};

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
/// That label.
pub const LABEL: (&str, &str) = ("tenant", "acme");
/// The small size.
pub const FEW: usize = 10_000;

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
