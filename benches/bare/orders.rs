//! What a bare loop is told and what it answers: a line of JSON each.

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use jobplane::domain::Timestamp;

/// What it is told to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Order {
    /// Transitions in a commit.
    pub batch: usize,
    /// How long it runs.
    pub millis: u64,
    /// The pause after each commit.
    pub pause_micros: u64,
}

/// What came of an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ran {
    /// Transitions committed.
    pub transitions: u64,
    /// How long it took.
    pub seconds: f64,
    /// Processor time for it.
    pub cpu_seconds: f64,
    /// How long each commit took.
    pub commit_micros: Vec<f64>,
}

/// Obeys the orders on stdin until it ends.
pub fn obey(mut run: impl FnMut(Order) -> Result<Ran>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let ran = run(serde_json::from_str(&line?)?)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&ran)?)?;
        out.flush()?;
    }
    Ok(())
}

/// The one statement of a store that begins so.
pub fn the_one(
    statements: impl Iterator<Item = &'static str>,
    beginning: &str,
) -> Result<&'static str> {
    let mut found = statements.filter(|text| text.starts_with(beginning));
    let text = found.next().with_context(|| format!("the store has no statement {beginning:?}"))?;
    ensure!(found.next().is_none(), "the store has several statements {beginning:?}");
    Ok(text)
}

/// Now, as jobs have it.
pub fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
