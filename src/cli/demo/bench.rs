//! One job in a worker's hands: its work piece by piece at the pace it asks for, told as it goes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::interval;

use super::ledger::{Ending, Ledger};
use super::work::{self, Labour, Piece, Problem, Shelf};
use crate::cli::json;
use crate::cli::worker::{Handle, Lease};
use crate::proto::v1::{Job, JobError, LogEntry, LogLevel, Progress};
use crate::runtime::Shutdown;

/// Pieces in a second if the payload does not say.
const PACE_DEFAULT: f64 = 20.0;
/// Slower than this nobody would see it move.
const PACE_MIN: f64 = 0.1;
/// The shortest pause there is.
const PACE_MAX: f64 = 1_000.0;
/// After so many pieces a line is written to the log.
const LOG_EVERY: u64 = 10;

/// One job in a worker's hands.
pub struct Bench {
    /// Who tells the server.
    pub handle: Handle,
    /// The job's lease.
    pub lease: Lease,
    /// What is worked on.
    pub shelf: Arc<Shelf>,
    /// Where the worker keeps account.
    pub ledger: Ledger,
    /// Given when the job is to stop.
    pub cancelled: Shutdown,
    /// Given when the worker leaves.
    pub leaving: Shutdown,
}

/// How far the work is.
#[derive(Default)]
struct Sums {
    pieces: u64,
    items: u64,
    counters: HashMap<String, f64>,
}

impl Bench {
    /// Does the work and reports how it ended.
    pub async fn run(self, job: Box<Job>) {
        let spec = job.spec.unwrap_or_default();
        let payload = spec.payload.as_ref().map_or(Value::Null, json::of_struct);
        let pace = payload["pace"].as_f64().unwrap_or(PACE_DEFAULT).clamp(PACE_MIN, PACE_MAX);
        let attempt = job.status.map_or(0, |status| status.attempt);
        self.log(LogLevel::Info, format!("attempt {attempt}: {} {payload}", spec.r#type));
        let ended = self.work(spec.r#type, payload, pace).await;
        // The account comes first: the server may answer at once.
        let account = |ending| self.ledger.reported(&self.lease.job_id, self.lease.epoch, ending);
        match ended {
            Ok(Some((progress, result))) => {
                self.log(LogLevel::Info, format!("done: {result}"));
                account(Ending::Done(u64::try_from(progress.completed).unwrap_or(0)));
                let result = json::to_struct(&result.to_string()).ok();
                self.handle.progress(&self.lease, progress);
                self.handle.succeed(&self.lease, result);
            }
            // Whoever leaves says Goodbye, and the server gives the job to somebody else.
            Ok(None) if self.leaving.is_signalled() => {}
            Ok(None) => {
                self.log(LogLevel::Warning, "stopped, as was asked".to_owned());
                account(Ending::Cancelled);
                self.handle.cancelled(&self.lease);
            }
            Err(problem) => {
                self.log(LogLevel::Error, format!("{}: {problem}", problem.code));
                account(Ending::Failed);
                self.handle.fail(&self.lease, error_of(&problem), None);
            }
        }
    }

    /// All pieces, one after the other; `None` if it was stopped on the way.
    async fn work(
        &self,
        kind: String,
        payload: Value,
        pace: f64,
    ) -> Result<Option<(Progress, Value)>, Problem> {
        let shelf = Arc::clone(&self.shelf);
        let mut labour = aside(move || work::begin(&shelf, &kind, &payload)).await??;
        let mut beat = interval(Duration::from_secs_f64(1.0 / pace));
        let mut sums = Sums::default();
        loop {
            tokio::select! {
                biased;
                () = self.cancelled.signalled() => return Ok(None),
                _ = beat.tick() => {}
            }
            let (back, next) = aside(move || {
                let next = labour.next();
                (labour, next)
            })
            .await?;
            labour = back;
            let Some(piece) = next? else {
                return Ok(Some((Self::progress(labour.as_ref(), &sums, None), labour.result())));
            };
            sums.add(&piece);
            self.handle.progress(&self.lease, Self::progress(labour.as_ref(), &sums, Some(&piece)));
            if sums.pieces % LOG_EVERY == 0 && !piece.about.is_empty() {
                self.log(
                    LogLevel::Debug,
                    format!("{} {}: {}", sums.items, labour.unit(), piece.about),
                );
            }
        }
    }

    fn progress(labour: &dyn Labour, sums: &Sums, piece: Option<&Piece>) -> Progress {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (step_number, step_count, step) =
            piece.and_then(|piece| piece.step).unwrap_or_default();
        Progress {
            total: labour.total().map(whole),
            completed: whole(sums.items),
            succeeded: whole(sums.items),
            unit: labour.unit().to_owned(),
            step_number,
            step_count,
            current_step: step.to_owned(),
            message: piece.map(|piece| piece.about.clone()).unwrap_or_default(),
            counters: sums.counters.clone().into_iter().collect(),
            ..Progress::default()
        }
    }

    fn log(&self, level: LogLevel, message: String) {
        let line = LogEntry { level: level.into(), message, ..LogEntry::default() };
        self.handle.logs(&self.lease, [line]);
    }
}

impl Sums {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn add(&mut self, piece: &Piece) {
        self.pieces += 1;
        self.items += piece.items;
        if let Some((name, more)) = piece.counter {
            *self.counters.entry(name.to_owned()).or_default() += more as f64;
        }
    }
}

fn error_of(problem: &Problem) -> JobError {
    JobError {
        code: problem.code.to_owned(),
        message: problem.message.clone(),
        non_retryable: !problem.retry,
        ..JobError::default()
    }
}

/// Work that keeps a processor busy, beside the tasks that must not wait.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem {
        code: "PANIC",
        message: format!("the work broke down: {error}"),
        retry: false,
    })
}
