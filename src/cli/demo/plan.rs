//! What the demo shows, and how much of it fits into the time.
//!
//! Each job gets a part of the time and as many items as this machine does in it at ease: the pace leaves the
//! processor idle for at least half of the time.

use std::time::Duration;

use serde_json::{Value, json};

use super::speed::Speed;
use crate::proto::v1::Priority;

#[cfg(test)]
mod tests;

/// The part of the machine's power that the work may take.
const EASE: f64 = 0.5;
/// Where the jobs wait: what can wait longer, apart.
pub const QUEUES: [&str; 2] = ["default", "later"];
/// Jobs at a time, over all workers.
pub const SLOTS: u32 = 6;
/// A job is worth looking at only with some pieces of work in it.
const PIECES_MIN: f64 = 4.0;

/// A job of the demo.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// When it is submitted, counted from the beginning.
    pub after: Duration,
    /// The kind of work.
    pub kind: &'static str,
    /// What it works on, for people.
    pub subject: &'static str,
    /// How urgent it is.
    pub priority: Priority,
    /// The input of the work, with the pace in it.
    pub payload: Value,
    /// What is special about it.
    pub part: Part,
}

/// The part a job plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It runs and succeeds.
    Plain,
    /// Its first attempt fails, its second succeeds.
    Retried,
    /// It fails for good.
    Fails,
    /// It is cancelled half-way.
    Cancelled,
}

/// One line of the programme, with times as shares of the whole.
struct Line {
    after: f64,
    share: f64,
    kind: &'static str,
    subject: &'static str,
    priority: Priority,
    part: Part,
    /// How lively it is, against others of its kind.
    lively: f64,
}

const fn line(kind: &'static str, subject: &'static str, share: f64, lively: f64) -> Line {
    let (priority, part) = (Priority::Normal, Part::Plain);
    Line { after: 0.0, share, kind, subject, priority, part, lively }
}

/// The programme. What is cancelled half-way has twice its time, so that the cancel is never late. The first six run at once, the others wait; the hotfix comes later and overtakes them.
const PROGRAMME: [Line; 13] = [
    Line { part: Part::Retried, ..line("files.backup", "nightly", 0.25, 1.0) },
    Line { part: Part::Cancelled, ..line("image.render", "poster", 1.1, 1.0) },
    line("text.count", "library", 0.46, 1.0),
    line("files.compress", "archive", 0.52, 0.8),
    line("files.hash", "shelf-1", 0.32, 1.0),
    line("primes.search", "small", 0.4, 1.0),
    line("files.hash", "shelf-2", 0.29, 0.7),
    Line { part: Part::Fails, ..line("records.import", "customers", 0.14, 1.0) },
    line("files.compress", "letters", 0.25, 1.3),
    line("primes.search", "large", 0.32, 0.6),
    Line { priority: Priority::Low, ..line("text.count", "drafts", 0.23, 0.7) },
    Line { priority: Priority::Low, ..line("files.hash", "attic", 0.23, 1.2) },
    Line { after: 0.18, priority: Priority::Urgent, ..line("files.hash", "hotfix", 0.17, 1.4) },
];

/// The jobs of one round, the first one being 0, that lasts about `window`, on a machine of `cores` that works at `speed`.
#[must_use]
pub fn round(number: usize, window: Duration, speed: &Speed, cores: u32) -> Vec<Planned> {
    let lines = PROGRAMME.iter().enumerate();
    lines
        .map(|(at, line)| planned(number * PROGRAMME.len() + at, line, window, speed, cores))
        .collect()
}

/// How long a retry waits: long enough to be seen.
#[must_use]
pub fn back_off(window: Duration) -> Duration {
    (window / 20).clamp(Duration::from_millis(400), Duration::from_secs(2))
}

fn planned(at: usize, line: &Line, window: Duration, speed: &Speed, cores: u32) -> Planned {
    let time = window.mul_f64(line.share);
    // All slots at once share the cores.
    let crowd = (f64::from(SLOTS) / f64::from(cores.max(1))).max(1.0);
    let able = EASE / (speed.seconds(line.kind).max(1e-6) * crowd);
    let wanted = liveliest(line.kind) * line.lively;
    let pieces = (able.min(wanted) * time.as_secs_f64()).max(PIECES_MIN);
    Planned {
        after: window.mul_f64(line.after),
        kind: line.kind,
        subject: line.subject,
        priority: line.priority,
        payload: payload(at, line, pieces, pieces / time.as_secs_f64().max(0.1)),
        part: line.part,
    }
}

/// Pieces of work in a second beyond which nobody sees more.
fn liveliest(kind: &str) -> f64 {
    match kind {
        "primes.search" => 60.0,
        "image.render" => 40.0,
        "records.import" => 12.0,
        _ => 25.0,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn payload(at: usize, line: &Line, pieces: f64, per_second: f64) -> Value {
    let count = pieces.round() as u64;
    let pace = (per_second * 100.0).round() / 100.0;
    match line.kind {
        // A backup copies, checks and lists: two pieces for each file, and one.
        "files.backup" => {
            let files = (count / 2).max(2);
            let name = format!("{}-{at}", line.subject);
            json!({"name": name, "files": files, "bad_block": files * 3 / 5, "pace": pace})
        }
        "text.count" => json!({"files": count, "pace": pace}),
        "primes.search" => {
            let from = if line.subject == "large" { 10_000_000 } else { 2 };
            json!({"from": from, "numbers": count * super::work::PRIMES_CHUNK as u64, "pace": pace})
        }
        "image.render" => {
            json!({"width": super::speed::PICTURE_WIDTH, "rows": count, "pace": pace})
        }
        "records.import" => json!({"pace": pace}),
        _ => json!({"from": at, "files": count, "pace": pace}),
    }
}
