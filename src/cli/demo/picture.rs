//! How the demo looks: lines that stay, and below them the rows that move.

use std::time::Duration;

use super::show::{Kind, News, Show, name, status};
use crate::cli::live::{Style, bar};
use crate::cli::output::size;
use crate::cli::paint::{Paint, painted};
use crate::cli::{describe, format, names};
use crate::domain::Timestamp;
use crate::proto::v1::job_status::Effective;
use crate::proto::v1::{Job, JobState, Priority, Progress};

/// Room for the longest name.
const NAME: usize = 24;
/// The width of a job's bar.
const BAR: usize = 20;
/// Room for `1,234/5,678 numbers`.
const AMOUNT: usize = 22;
/// A window this wide has room for steps.
const WIDE: usize = 110;

/// The line that stays of something that happened; `since` is the time since the beginning.
#[must_use]
pub fn told(news: &News, since: Duration, now: Timestamp, colour: bool) -> String {
    let status = status(&news.job);
    let urgent = priority(&news.job);
    let (mark, paint, rest) = match news.kind {
        Kind::Submitted => ("+", Some(Paint::Dim), format!("submitted{urgent}")),
        Kind::Started => {
            let again = if status.attempt > 1 {
                format!(", attempt {}", describe::attempt(&status))
            } else {
                String::new()
            };
            let worker = format::plain(&status.worker_id);
            ("▶", Some(Paint::Cyan), format!("started on {worker}{again}{urgent}"))
        }
        Kind::AttemptFailed => {
            let again = status.schedule_time.as_ref().map(|time| format::age(time, now));
            let again = again.unwrap_or_default();
            let error = status.error.as_ref().map(describe::error).unwrap_or_default();
            let attempt = describe::attempt(&status);
            let said = format!("attempt {attempt} failed, the next one {again}: {error}");
            ("↻", Some(Paint::Yellow), said)
        }
        Kind::Over => {
            let mark = match status.state() {
                JobState::Succeeded => "✔",
                JobState::Cancelled => "■",
                _ => "✘",
            };
            (mark, Paint::of_state(status.state()), describe::line(&status, now, colour))
        }
    };
    let time = painted(&format!("{:>6}", seconds(since)), Some(Paint::Dim), colour);
    format!("{time}  {} {:NAME$}  {rest}", painted(mark, paint, colour), name(&news.job))
}

/// The rows that move: the state of the whole, then the jobs that are not over, no more than there is room for.
#[must_use]
pub fn rows(
    show: &Show,
    since: Duration,
    window: Duration,
    now: Timestamp,
    colour: bool,
) -> Vec<String> {
    let (width, height) = size();
    let (width, height) = (usize::from(width), usize::from(height));
    let jobs = show.alive();
    let room = height.saturating_sub(4).max(1);
    let mut rows = vec![String::new(), whole(show, since, window, colour)];
    rows.extend(jobs.iter().take(room).map(|job| row(job, now, width, colour)));
    if jobs.len() > room {
        rows.push(painted(
            &format!("  … and {} more", jobs.len() - room),
            Some(Paint::Dim),
            colour,
        ));
    }
    rows
}

fn whole(show: &Show, since: Duration, window: Duration, colour: bool) -> String {
    let part = since.as_secs_f64() / window.as_secs_f64().max(0.1) * 100.0;
    let count = |state, paint: Paint| {
        let count = show.count(state);
        let text = format!("{count} {}", names::short(state).to_lowercase());
        painted(&text, (count > 0).then_some(paint), colour)
    };
    let rate = format::rate(show.items_per_second()).unwrap_or_default();
    format!(
        "  {:>6} {}  {}  {} waiting  {}  {}  {}  {rate}",
        seconds(since),
        painted(&bar(part, 10, Style::Blocks), Some(Paint::Dim), colour),
        count(JobState::Running, Paint::Cyan),
        show.count(JobState::Pending),
        count(JobState::Succeeded, Paint::Green),
        count(JobState::Failed, Paint::Red),
        count(JobState::Cancelled, Paint::Yellow),
    )
}

fn row(job: &Job, now: Timestamp, width: usize, colour: bool) -> String {
    let status = status(job);
    let title = format!("{:NAME$.NAME$}", name(job));
    if status.state() == JobState::Pending {
        let waits = describe::pending(&status, now);
        let paint = if status.error.is_some() { Paint::Yellow } else { Paint::Dim };
        return format!(
            "  {title}  {}",
            painted(&format!("{waits}{}", priority(job)), Some(paint), colour)
        );
    }
    let progress = status.progress.clone().unwrap_or_default();
    let stopping = describe::stopping(&status);
    let paint = if stopping.is_some() { Paint::Yellow } else { Paint::Cyan };
    let drawn = match progress.percent {
        Some(percent) => painted(&bar(percent, BAR, Style::Blocks), Some(paint), colour),
        None => painted(&format!("{:BAR$}", to_and_fro(&progress)), Some(paint), colour),
    };
    let share = progress.percent.map(format::percent).unwrap_or_default();
    let amount = describe::amount(&progress).unwrap_or_default();
    let rate = format::rate(progress.rate_per_second).unwrap_or_default();
    let mut tail = vec![describe::eta(&progress).unwrap_or_default()];
    tail.extend(stopping);
    if status.attempt > 1 {
        tail.push(format!("attempt {}", describe::attempt(&status)));
    }
    tail.push(priority(job).trim_start_matches(", ").to_owned());
    if width >= WIDE {
        tail.extend(describe::step(&progress));
        tail.push(format::plain(&progress.message));
    }
    tail.retain(|text| !text.is_empty());
    format!("  {title}  {drawn} {share:>6}  {amount:<AMOUNT$} {rate:>8}  {}", tail.join("  "))
}

/// A mark that moves with the work, where nobody knows how much there is.
fn to_and_fro(progress: &Progress) -> String {
    let way = BAR - 3;
    let at = usize::try_from(progress.sequence).unwrap_or(0) % (2 * way);
    let at = if at < way { at } else { 2 * way - at };
    format!("{}███{}", "·".repeat(at), "·".repeat(way - at))
}

/// That a job is more, or less, urgent than others; nothing if it is neither.
fn priority(job: &Job) -> String {
    let effective = job.status.as_ref().and_then(|status| status.effective.as_ref());
    match effective.map(Effective::priority) {
        Some(Priority::Urgent) => ", URGENT".to_owned(),
        Some(Priority::High) => ", HIGH priority".to_owned(),
        Some(Priority::Low) => ", LOW priority".to_owned(),
        Some(Priority::Normal | Priority::Unspecified) | None => String::new(),
    }
}

fn seconds(since: Duration) -> String {
    format!("{:.1}s", since.as_secs_f64())
}
