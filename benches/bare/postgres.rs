//! The statements of the PostgreSQL store over one bare sqlx connection: nothing decides, nothing answers, nobody
//! else runs.
//!
//! The statements are the store's own texts, the settings are copied from `store/postgres/open.rs`, the rows are as
//! long as the server's. What a server does for a commit and this loop does not: read requests, decide, encode each
//! status, answer, tell others, run the loops.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{ConnectOptions as _, Executor as _};
use uuid::Uuid;

use jobplane::domain::stats::Tally;
use jobplane::domain::{SessionId, Timestamp};
use jobplane::store::Store as _;
use jobplane::store::postgres::{Options, PostgresStore, statements};

use super::life::{Life, Step};
use super::orders::{Order, Ran, now, obey, the_one};
use crate::harness::machine;
use crate::harness::wire::TYPE;

/// Copied: the store keeps them to itself.
const SETTINGS: [(&str, &str); 5] = [
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// Obeys the orders on stdin until it ends.
pub fn run(url: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut bare = runtime.block_on(Loop::open(url))?;
    obey(|order| runtime.block_on(bare.obey(order)))
}

struct Loop {
    connection: PgConnection,
    /// For jobs that are made.
    make: &'static str,
    /// For jobs that were there before.
    change: &'static str,
    candidates: &'static str,
    life: Life,
    session: Uuid,
    spec: Vec<u8>,
    statuses: [Vec<u8>; 3],
    tally: Vec<u8>,
    step: Step,
    jobs: Vec<Uuid>,
}

impl Loop {
    async fn open(url: &str) -> Result<Self> {
        // The store makes its own schema.
        PostgresStore::open(Options { url: url.to_owned(), ..Options::default() })
            .await?
            .close()
            .await;
        let options: PgConnectOptions = url.parse()?;
        let options = options.options(SETTINGS).disable_statement_logging();
        let session = Uuid::now_v7();
        let life = Life::at(now(), TYPE, SessionId(session))?;
        let statuses = [&life.pending, &life.running, &life.succeeded];
        let [pending, running, succeeded] = statuses.map(rmp_serde::to_vec_named);
        Ok(Self {
            connection: options.connect().await?,
            make: written(true)?,
            change: written(false)?,
            candidates: the_one(
                statements(),
                "SELECT j.id, j.spec, j.payload, s.status, s.result, p.place FROM unnest",
            )?,
            session,
            spec: life.asked()?,
            statuses: [pending?, running?, succeeded?],
            tally: rmp_serde::to_vec_named(&Tally::default())?,
            life,
            step: Step::Create,
            jobs: Vec::new(),
        })
    }

    async fn obey(&mut self, order: Order) -> Result<Ran> {
        let pid = std::process::id();
        let (began, cpu) = (Instant::now(), machine::cpu_time(pid)?);
        let length = Duration::from_millis(order.millis);
        let mut ran =
            Ran { transitions: 0, seconds: 0.0, cpu_seconds: 0.0, commit_micros: Vec::new() };
        while began.elapsed() < length {
            if self.step == Step::Create {
                self.jobs = (0..order.batch.max(1)).map(|_| Uuid::now_v7()).collect();
            }
            let start = Instant::now();
            self.commit().await?;
            ran.commit_micros.push(1e6 * start.elapsed().as_secs_f64());
            ran.transitions += self.jobs.len() as u64;
            if order.pause_micros > 0 {
                tokio::time::sleep(Duration::from_micros(order.pause_micros)).await;
            }
        }
        ran.seconds = began.elapsed().as_secs_f64();
        ran.cpu_seconds = machine::cpu_time(pid)?.saturating_sub(cpu).as_secs_f64();
        Ok(ran)
    }

    /// One commit: the next step of each job of the batch. As in the store, a start is a transaction that looks
    /// first, all else is one statement.
    async fn commit(&mut self) -> Result<()> {
        if self.step == Step::Start {
            self.connection.execute("BEGIN").await?;
            self.look().await?;
            self.write().await?;
            self.connection.execute("COMMIT").await?;
        } else {
            self.write().await?;
        }
        self.step = self.step.next();
        Ok(())
    }

    async fn look(&mut self) -> Result<()> {
        let late = now().as_micros() + 3_600_000_000;
        let found: Vec<PgRow> = sqlx::query(self.candidates)
            .bind(vec!["default"])
            .bind(vec![TYPE])
            .bind(vec![self.jobs.len() as i64])
            .bind(late)
            .bind(late)
            .fetch_all(&mut self.connection)
            .await?;
        let (found, wanted) = (found.len(), self.jobs.len());
        ensure!(found == wanted, "{found} jobs wait, not {wanted}");
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        let jobs = self.jobs.len();
        let time = now();
        let micros = time.as_micros();
        let (state, status) = match self.step {
            Step::Create => (0_i16, &self.statuses[0]),
            Step::Start => (1, &self.statuses[1]),
            Step::Succeed => (2, &self.statuses[2]),
        };
        let (is_new, is_over) = (state == 0, state == 2);
        let known = if is_new { 0 } else { jobs };
        let guards = if is_new { &[][..] } else { &self.jobs };
        let closed = if is_over { &self.jobs[..] } else { &[] };
        let totals = totals(self.step, jobs as i64);
        let query = sqlx::query(if is_new { self.make } else { self.change })
            // Guards, and what others are told.
            .bind(guards)
            .bind(vec![Some(i64::from(state)); known])
            .bind(vec![Some(i64::from(is_over)); known])
            .bind(vec![false; known])
            .bind(None::<&str>);
        let query = if is_new {
            asked(query, &self.jobs, micros, &self.spec, self.life.spec.payload.as_deref())
        } else {
            query
        };
        let query = query
            // Statuses.
            .bind(&self.jobs)
            .bind(vec![TYPE; jobs])
            .bind(vec!["default"; jobs])
            .bind(vec![state; jobs])
            .bind(vec![i64::from(state) + 1; jobs])
            .bind(vec![i64::from(!is_new); jobs])
            .bind(vec![is_new.then_some(micros); jobs])
            .bind(vec![micros; jobs])
            .bind(vec![(state == 1).then_some(self.session); jobs])
            .bind(vec![(!is_new).then_some("bench"); jobs])
            .bind(vec![None::<i64>; jobs])
            .bind(vec![is_over.then_some(micros); jobs])
            .bind(vec![micros; jobs])
            .bind(vec![status.as_slice(); jobs])
            .bind(vec![None::<&[u8]>; jobs])
            .bind(vec![is_new; jobs])
            // Labels that cap what runs.
            .bind(vec![None::<&str>; jobs]);
        // Progress of leases that are over.
        let query = if is_new { query } else { query.bind(closed) };
        let query = query
            // Counters and minutes.
            .bind(vec![TYPE; totals.len()])
            .bind(vec!["default"; totals.len()])
            .bind(totals.iter().map(|(state, _, _)| *state).collect::<Vec<_>>())
            .bind(totals.iter().map(|(_, stored, _)| *stored).collect::<Vec<_>>())
            .bind(totals.iter().map(|(_, _, finished)| *finished).collect::<Vec<_>>())
            .bind(vec![time.minute()])
            .bind(vec![TYPE])
            .bind(vec!["default"])
            .bind(vec![self.tally.as_slice()])
            // The change log.
            .bind(Uuid::now_v7())
            .bind(micros)
            .bind(&self.jobs)
            .bind("[]")
            .bind(ready(self.step, time))
            .bind("[]");
        let row = query.fetch_one(&mut self.connection).await?;
        let passed: bool = sqlx::Row::try_get(&row, 0)?;
        ensure!(passed, "a guard missed");
        Ok(())
    }
}

/// What never changes of new jobs.
fn asked<'q>(
    query: Query<'q, Postgres, PgArguments>,
    jobs: &'q [Uuid],
    micros: i64,
    spec: &'q [u8],
    payload: Option<&'q [u8]>,
) -> Query<'q, Postgres, PgArguments> {
    let new = jobs.len();
    query
        .bind(jobs)
        .bind(vec![TYPE; new])
        .bind(vec!["default"; new])
        .bind(vec![""; new])
        .bind(vec![""; new])
        .bind(vec![""; new])
        .bind(vec!["anonymous"; new])
        .bind(vec![0_i16; new])
        .bind(vec![None::<&str>; new])
        .bind(vec![micros; new])
        .bind(vec!["{}"; new])
        .bind(vec![spec; new])
        .bind(vec![payload; new])
}

/// State, stored and finished of each counter that moves.
fn totals(step: Step, jobs: i64) -> Vec<(i16, i64, i64)> {
    match step {
        Step::Create => vec![(0, jobs, 0)],
        Step::Start => vec![(0, -jobs, 0), (1, jobs, 0)],
        Step::Succeed => vec![(1, -jobs, 0), (2, jobs, jobs)],
    }
}

/// Where jobs began to wait.
fn ready(step: Step, time: Timestamp) -> String {
    let place = serde_json::json!([{"queue": "default", "job_type": TYPE, "at": time.as_micros()}]);
    if step == Step::Create { place.to_string() } else { "[]".to_owned() }
}

/// The statement for batches of jobs that are all made, or were all there before.
fn written(made: bool) -> Result<&'static str> {
    let (wanted, unwanted) =
        if made { ("born AS (", "changed AS (") } else { ("changed AS (", "born AS (") };
    let of_kind = |text: &&str| text.contains(wanted) && !text.contains(unwanted);
    the_one(statements().filter(of_kind), "WITH passed AS MATERIALIZED")
}
