//! The statements of the SQLite store in a tight rusqlite loop: nothing decides, nothing answers, nobody else runs.
//!
//! The statements are the store's own texts, the settings are copied from `store/sqlite/open.rs`, the rows are as
//! long as the server's. What a server does for a commit and this loop does not: read requests, load jobs, decide,
//! encode each status, answer, hand over between threads.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use uuid::Uuid;

use jobplane::domain::SessionId;
use jobplane::domain::stats::Tally;
use jobplane::store::Store as _;
use jobplane::store::sqlite::{Options, SqliteStore, statements};

use super::life::{Life, Step};
use super::orders::{Order, Ran, now, obey, the_one};
use crate::harness::child::database;
use crate::harness::machine;
use crate::harness::wire::TYPE;

/// Copied: the store keeps them to itself.
const PRAGMAS: &str = "PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; \
    PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF;";

/// Statements a connection keeps prepared.
const PREPARED_MAX: usize = 32;

/// Obeys the orders on stdin until it ends.
pub fn run(folder: &Path) -> Result<()> {
    let file = database(folder);
    make_schema(&file)?;
    let connection = Connection::open(&file)?;
    connection.execute_batch(PRAGMAS)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
    let mut bare = Loop::new(connection)?;
    obey(|order| bare.obey(order))
}

/// The store makes its own schema.
fn make_schema(file: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = Options { url: file.display().to_string(), read_pool: 1 };
        SqliteStore::open(options).await?.close().await;
        Ok(())
    })
}

fn statement(beginning: &str) -> Result<&'static str> {
    the_one(statements(), beginning)
}

struct Statements {
    candidates: &'static str,
    misses: &'static str,
    insert_jobs: &'static str,
    upsert_status: &'static str,
    delete_progress: &'static str,
    upsert_totals: &'static str,
    some_buckets: &'static str,
    upsert_buckets: &'static str,
    insert_change: &'static str,
}

struct Loop {
    connection: Connection,
    statements: Statements,
    life: Life,
    session: Uuid,
    spec: Vec<u8>,
    statuses: [Vec<u8>; 3],
    tally: Vec<u8>,
    step: Step,
    jobs: Vec<Uuid>,
}

impl Loop {
    fn new(connection: Connection) -> Result<Self> {
        let session = Uuid::now_v7();
        let life = Life::at(now(), TYPE, SessionId(session))?;
        let statuses = [&life.pending, &life.running, &life.succeeded];
        let [pending, running, succeeded] = statuses.map(rmp_serde::to_vec_named);
        Ok(Self {
            connection,
            statements: Statements {
                candidates: statement(
                    "SELECT j.id, j.spec, j.payload, s.status, s.result, NULL AS",
                )?,
                misses: statement("SELECT e.key FROM jsonb_each(?1) AS e LEFT JOIN job_status")?,
                insert_jobs: statement("INSERT INTO jobs (")?,
                upsert_status: statement("INSERT INTO job_status (")?,
                delete_progress: statement("DELETE FROM job_progress WHERE id IN")?,
                upsert_totals: statement("INSERT INTO stat_totals (")?,
                some_buckets: statement("SELECT b.minute, b.job_type")?,
                upsert_buckets: statement("INSERT INTO stat_buckets (")?,
                insert_change: statement("INSERT INTO changes (")?,
            },
            session,
            spec: life.asked()?,
            statuses: [pending?, running?, succeeded?],
            tally: rmp_serde::to_vec_named(&Tally::default())?,
            life,
            step: Step::Create,
            jobs: Vec::new(),
        })
    }

    fn obey(&mut self, order: Order) -> Result<Ran> {
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
            self.commit()?;
            ran.commit_micros.push(1e6 * start.elapsed().as_secs_f64());
            ran.transitions += self.jobs.len() as u64;
            std::thread::park_timeout(Duration::from_micros(order.pause_micros));
        }
        ran.seconds = began.elapsed().as_secs_f64();
        ran.cpu_seconds = machine::cpu_time(pid)?.saturating_sub(cpu).as_secs_f64();
        Ok(ran)
    }

    /// One commit: the next step of each job of the batch.
    fn commit(&mut self) -> Result<()> {
        self.execute("BEGIN IMMEDIATE", [])?;
        if self.step == Step::Start {
            self.candidates()?;
        }
        if self.step != Step::Create {
            self.misses()?;
        }
        if self.step == Step::Create {
            let (json, blob) = self.job_rows();
            self.execute(self.statements.insert_jobs, params![json, blob])?;
        }
        let (json, blob) = self.status_rows();
        self.execute(self.statements.upsert_status, params![json, blob])?;
        if self.step == Step::Succeed {
            let ids: Vec<String> = self.jobs.iter().map(hex).collect();
            self.execute(self.statements.delete_progress, params![format!("[{}]", ids.join(","))])?;
        }
        self.figures()?;
        let job_ids: Vec<u8> = self.jobs.iter().flat_map(|id| *id.as_bytes()).collect();
        let batch_id = Uuid::now_v7();
        let change = params![batch_id.as_bytes(), now().as_micros(), job_ids, "[]", "[]"];
        self.execute(self.statements.insert_change, change)?;
        self.execute("COMMIT", [])?;
        self.step = self.step.next();
        Ok(())
    }

    fn execute(&self, text: &str, values: impl rusqlite::Params) -> Result<()> {
        self.connection.prepare_cached(text)?.execute(values)?;
        Ok(())
    }

    /// Runs a query and reads a column of bytes of each row.
    fn rows(&self, text: &str, values: impl rusqlite::Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(text)?;
        let mut rows = statement.query(values)?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            std::hint::black_box(row.get_ref(0)?);
            count += 1;
        }
        Ok(count)
    }

    fn candidates(&self) -> Result<()> {
        let late = now().as_micros() + 3_600_000_000;
        let limit = self.jobs.len() as i64;
        let values = params!["default", TYPE, late, late, limit];
        let found = self.rows(self.statements.candidates, values)?;
        ensure!(found == self.jobs.len(), "{found} jobs wait, not {limit}");
        Ok(())
    }

    fn misses(&self) -> Result<()> {
        let (revision, epoch) = if self.step == Step::Start { (1, 0) } else { (2, 1) };
        let rows = self.jobs.iter().map(|id| format!("[{},{revision},{epoch},0]", hex(id)));
        let json = format!("[{}]", rows.collect::<Vec<_>>().join(","));
        let missed = self.rows(self.statements.misses, params![json])?;
        ensure!(missed == 0, "{missed} guards missed");
        Ok(())
    }

    fn job_rows(&self) -> (String, Vec<u8>) {
        let payload = self.life.spec.payload.as_deref().unwrap_or_default();
        let mut blob = Vec::new();
        let mut rows = Vec::with_capacity(self.jobs.len());
        for id in &self.jobs {
            let (spec_at, spec) = slice(&mut blob, &self.spec);
            let (payload_at, payload) = slice(&mut blob, payload);
            rows.push(format!(
                "[{},\"{TYPE}\",\"default\",\"\",\"\",\"\",\"anonymous\",0,null,{},{{}},\
                 {spec_at},{spec},{payload_at},{payload}]",
                hex(id),
                now().as_micros(),
            ));
        }
        (format!("[{}]", rows.join(",")), blob)
    }

    fn status_rows(&self) -> (String, Vec<u8>) {
        let time = now().as_micros();
        let (state, status) = match self.step {
            Step::Create => (0, &self.statuses[0]),
            Step::Start => (1, &self.statuses[1]),
            Step::Succeed => (2, &self.statuses[2]),
        };
        let (revision, epoch) = (state + 1, state.min(1));
        let ready = if state == 0 { time.to_string() } else { "null".to_owned() };
        let end = if state == 2 { time.to_string() } else { "null".to_owned() };
        let session = if state == 1 { hex(&self.session) } else { "null".to_owned() };
        let worker = if state == 0 { "null" } else { "\"bench\"" };
        let mut blob = Vec::new();
        let mut rows = Vec::with_capacity(self.jobs.len());
        for id in &self.jobs {
            let (at, length) = slice(&mut blob, status);
            rows.push(format!(
                "[{},\"{TYPE}\",\"default\",{state},{revision},{epoch},{ready},{time},{session},\
                 {worker},null,{end},{time},{at},{length},null,null,null]",
                hex(id),
            ));
        }
        (format!("[{}]", rows.join(",")), blob)
    }

    fn figures(&self) -> Result<()> {
        let jobs = self.jobs.len();
        let totals = match self.step {
            Step::Create => format!("[[\"{TYPE}\",\"default\",0,{jobs},0]]"),
            Step::Start => {
                format!(
                    "[[\"{TYPE}\",\"default\",0,-{jobs},0],[\"{TYPE}\",\"default\",1,{jobs},0]]"
                )
            }
            Step::Succeed => format!(
                "[[\"{TYPE}\",\"default\",1,-{jobs},0],[\"{TYPE}\",\"default\",2,{jobs},{jobs}]]"
            ),
        };
        self.execute(self.statements.upsert_totals, params![totals])?;
        let minute = now().minute();
        let bucket = format!("[[{minute},\"{TYPE}\",\"default\"]]");
        self.rows(self.statements.some_buckets, params![bucket])?;
        let bucket = format!("[[{minute},\"{TYPE}\",\"default\",1,{}]]", self.tally.len());
        self.execute(self.statements.upsert_buckets, params![bucket, self.tally])
    }
}

/// An id as the statements read it, quoted.
fn hex(id: &Uuid) -> String {
    format!("\"{}\"", id.as_simple())
}

/// Appends bytes; answers where they start, from 1, and how many they are.
fn slice(blob: &mut Vec<u8>, bytes: &[u8]) -> (usize, usize) {
    let start = blob.len() + 1;
    blob.extend_from_slice(bytes);
    (start, bytes.len())
}
