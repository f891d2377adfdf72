//! A job on one row: short texts that are safe for a terminal, for a view to place and colour.

use std::time::Duration;

use crate::cli::{describe, format};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobState, JobStatus, Progress};

/// Letters of an id that are shown: its last ones, because the first ones are the time and alike in jobs of one minute.
const SHORT_ID: usize = 8;

/// What a terminal can draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Blocks, in eighths.
    #[default]
    Blocks,
    /// `#` and `.`.
    Ascii,
}

/// A job on one row. What there is nothing to say of is empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    /// The end of its id; commands take it for the job.
    pub id: String,
    /// Its type.
    pub job_type: String,
    /// Its state.
    pub state: JobState,
    /// How far it is, 0 to 100.
    pub percent: Option<f64>,
    /// `1523/2847 (53.5 %)`.
    pub amount: String,
    /// `42.0/s`.
    pub rate: String,
    /// How long it will still take.
    pub eta: String,
    /// Step and message; of a job that waits, for what; of one that ended, how.
    pub doing: String,
    /// Who runs it.
    pub worker: String,
    /// How long it runs; before it starts, how long it has waited; once it is over, how long it ran.
    pub age: String,
}

impl Row {
    /// The row of a job now.
    #[must_use]
    pub fn of(job: &Job, now: Timestamp) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let progress = status.progress.clone().unwrap_or_default();
        let running = status.state() == JobState::Running;
        let silence = describe::silence(&status, now);
        let moves = running && silence.is_none();
        let remaining = progress.remaining.as_ref().filter(|_| moves).map(format::duration);
        let remaining = remaining.filter(|left| !left.is_zero());
        Self {
            id: short_id(&job.id),
            job_type: format::plain(job.spec.as_ref().map_or("", |spec| &spec.r#type)),
            state: status.state(),
            percent: progress.percent,
            amount: amount(&progress),
            rate: format::rate(progress.rate_per_second).filter(|_| moves).unwrap_or_default(),
            eta: remaining.map(format::span).unwrap_or_default(),
            doing: doing(&status, silence, now),
            worker: format::plain(&status.worker_id),
            age: age(&status, now),
        }
    }
}

/// The part of an id that is shown where there is no room for all of it.
#[must_use]
pub fn short_id(id: &str) -> String {
    let letters = id.chars().count();
    format::plain(&id.chars().skip(letters.saturating_sub(SHORT_ID)).collect::<String>())
}

/// How far as a bar of this width.
#[must_use]
pub fn bar(percent: f64, width: usize, style: Style) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let tenths = (percent.clamp(0.0, 100.0) * 10.0) as usize;
    let eighths = tenths * width * 8 / 1_000;
    let (full, part) = (eighths / 8, eighths % 8);
    match style {
        Style::Ascii => format!("{}{}", "#".repeat(full), ".".repeat(width - full)),
        Style::Blocks if full == width => "█".repeat(full),
        Style::Blocks => {
            let mut bar = "█".repeat(full);
            bar.push(if part == 0 { '·' } else { EIGHTHS[part] });
            bar.push_str(&"·".repeat(width - full - 1));
            bar
        }
    }
}

/// `1523/2847 (53.5 %)`, or as much of it as is known.
#[must_use]
pub fn amount(progress: &Progress) -> String {
    let share = progress.percent.map(|percent| format!("{} %", format::share(percent)));
    match (progress.total, share) {
        (Some(total), Some(share)) => format!("{}/{total} ({share})", progress.completed),
        (Some(total), None) => format!("{}/{total}", progress.completed),
        (None, Some(share)) => share,
        (None, None) if progress.completed > 0 => progress.completed.to_string(),
        (None, None) => String::new(),
    }
}

fn doing(status: &JobStatus, silence: Option<String>, now: Timestamp) -> String {
    match status.state() {
        JobState::Unspecified => String::new(),
        JobState::Running => {
            let progress = status.progress.clone().unwrap_or_default();
            let mut parts = Vec::new();
            if status.attempt > 1 {
                parts.push(format!("attempt {}", describe::attempt(status)));
            }
            parts.extend(describe::stopping(status));
            parts.extend(silence);
            parts.extend(describe::step(&progress));
            parts.extend(Some(format::plain(&progress.message)).filter(|said| !said.is_empty()));
            parts.join("  ")
        }
        JobState::Pending => describe::pending(status, now),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Skipped => {
            describe::why_ended(status)
        }
    }
}

fn age(status: &JobStatus, now: Timestamp) -> String {
    let since = |moment: Option<&prost_types::Timestamp>| {
        moment.map(|moment| now.since(format::timestamp(moment)))
    };
    let age: Option<Duration> = match status.state() {
        JobState::Unspecified => None,
        JobState::Pending => since(status.create_time.as_ref()),
        JobState::Running => since(status.start_time.as_ref()),
        JobState::Succeeded | JobState::Failed | JobState::Cancelled | JobState::Skipped => {
            status.run_duration.as_ref().map(format::duration)
        }
    };
    age.map(format::span).unwrap_or_default()
}

impl Style {
    /// What the terminal can draw, as far as the locale tells: blocks in UTF-8, which is also taken for granted where
    /// nothing is said.
    #[must_use]
    pub fn here() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let plain = |locale: String| {
            let locale = locale.to_lowercase();
            !locale.contains("utf-8") && !locale.contains("utf8")
        };
        if locale.is_some_and(plain) { Self::Ascii } else { Self::Blocks }
    }
}
