//! A job's status in one line: how far it is, or how it ended.

use std::time::Duration;

use super::format;
use super::names::{self, word};
use super::paint::{Paint, painted};
use crate::domain::Timestamp;
use crate::proto::v1::{JobError, JobState, JobStatus, Progress};

#[cfg(test)]
mod tests;

/// The width of the bar, in characters.
const BAR: usize = 24;
/// Room for the longest state, so that what follows stands in one column.
const STATE: usize = 9;
/// After a longer silence of the worker, how long it lasts is told in place of a pace and an ETA.
const SILENCE: Duration = Duration::from_secs(10);

/// The state's name.
#[must_use]
pub fn state(status: &JobStatus) -> String {
    word::<JobState>(status.state)
}

/// The state's name in its colour, padded.
fn state_padded(status: &JobStatus, colour: bool) -> String {
    let text = format!("{:STATE$}", state(status));
    painted(&text, Paint::of_state(status.state()), colour)
}

/// One line about a job now.
#[must_use]
pub fn line(status: &JobStatus, now: Timestamp, colour: bool) -> String {
    format!("{}  {}", state_padded(status, colour), rest(status, now)).trim_end().to_owned()
}

/// What there is to say about a job now beside its state.
#[must_use]
pub fn rest(status: &JobStatus, now: Timestamp) -> String {
    match status.state() {
        JobState::Pending => pending(status, now),
        JobState::Running => running(status, now, false),
        JobState::Succeeded
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Skipped
        | JobState::Unspecified => ended(status),
    }
}

/// One line about a job now, with a bar if it is known how far it is.
#[must_use]
pub fn drawn(status: &JobStatus, now: Timestamp, colour: bool) -> String {
    match status.state() {
        JobState::Running => {
            format!("{}  {}", state_padded(status, colour), running(status, now, true))
        }
        JobState::Unspecified
        | JobState::Pending
        | JobState::Succeeded
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Skipped => line(status, now, colour),
    }
}

/// What a job waits for.
#[must_use]
pub fn pending(status: &JobStatus, now: Timestamp) -> String {
    let queue = status.effective.as_ref().map_or("", |effective| effective.queue.as_str());
    let waits = match &status.schedule_time {
        Some(time) if format::timestamp(time) > now => {
            format!("starts {}", format::age(time, now))
        }
        _ if queue.is_empty() => "waits for a worker".to_owned(),
        _ => format!("waits for a worker in queue {}", format::plain(queue)),
    };
    match &status.error {
        Some(failed) if status.attempt > 0 => {
            format!("{waits}, attempt {} failed: {}", attempt(status), error(failed))
        }
        _ => waits,
    }
}

fn running(status: &JobStatus, now: Timestamp, with_bar: bool) -> String {
    let mut parts = Vec::new();
    if let Some(progress) = &status.progress {
        if let Some(share) = progress.percent {
            if with_bar {
                parts.push(bar(share));
            }
            parts.push(format!("{:>6}", format::percent(share)));
        }
        parts.extend(amount(progress));
        if let Some(silent) = silence(status, now) {
            // The status may be one held since the last report: its figures would stand still.
            parts.push(silent);
        } else {
            parts.extend(format::rate(progress.rate_per_second));
            parts.extend(eta(progress));
        }
        parts.extend(step(progress));
        parts.extend(Some(format::plain(&progress.message)).filter(|message| !message.is_empty()));
    }
    if parts.is_empty() {
        parts.push(format!("on worker {}", format::plain(&status.worker_id)));
    }
    parts.extend(stopping(status));
    parts.join("  ")
}

/// That a running job was asked to stop, and what for.
#[must_use]
pub fn stopping(status: &JobStatus) -> Option<String> {
    let request = status.cancel_request.as_ref()?;
    let cause = names::word::<crate::proto::v1::CancelCause>(request.cause);
    Some(format!("asked to stop ({})", cause.to_lowercase()))
}

fn ended(status: &JobStatus) -> String {
    let mut parts = Vec::new();
    if let Some(ran) = &status.run_duration {
        parts.push(format!("after {}", format::span(format::duration(ran))));
    }
    if let Some(progress) = &status.progress {
        parts.extend(amount(progress));
    }
    parts.extend(Some(why_ended(status)).filter(|why| !why.is_empty()));
    parts.join("  ")
}

/// Why a job that did not succeed is over.
#[must_use]
pub fn why_ended(status: &JobStatus) -> String {
    let mut parts = Vec::new();
    if status.skip_reason != 0 {
        parts.push(word::<crate::proto::v1::SkipReason>(status.skip_reason));
    }
    if let Some(request) = status.cancel_request.as_ref().filter(|of| !of.reason.is_empty()) {
        parts.push(format!("cancelled: {}", format::plain(&request.reason)));
    }
    if let (Some(failed), JobState::Failed | JobState::Cancelled) = (&status.error, status.state())
    {
        parts.push(error(failed));
    }
    // Last: where there is little room, it is what can be missed.
    if status.state() == JobState::Failed && status.attempt > 0 {
        parts.push(format!("attempt {}", attempt(status)));
    }
    parts.join("  ")
}

/// Which attempt of how many.
#[must_use]
pub fn attempt(status: &JobStatus) -> String {
    format!("{} of {}", status.attempt, status.max_attempts)
}

/// An error: its code and message.
#[must_use]
pub fn error(error: &JobError) -> String {
    match (error.code.as_str(), error.message.as_str()) {
        ("", message) => format::plain(message),
        (code, "") => format::plain(code),
        (code, message) => format::plain(&format!("{code}: {message}")),
    }
}

/// Completed of total with the unit; `None` if nothing is counted.
#[must_use]
pub fn amount(progress: &Progress) -> Option<String> {
    let unit = match progress.unit.as_str() {
        "" => "items".to_owned(),
        unit => format::plain(unit),
    };
    match progress.total {
        Some(total) => {
            Some(format!("{}/{} {unit}", format::count(progress.completed), format::count(total)))
        }
        None if progress.completed > 0 => {
            Some(format!("{} {unit}", format::count(progress.completed)))
        }
        None => None,
    }
}

/// How long it will still take: `ETA 4.0s`; `None` if it is not known.
#[must_use]
pub fn eta(progress: &Progress) -> Option<String> {
    let remaining = format::duration(progress.remaining.as_ref()?);
    // All items are done, but the job is not: nobody knows.
    (!remaining.is_zero()).then(|| format!("ETA {}", format::span(remaining)))
}

/// How old the newest report of a running job is: `last report 44s ago`; `None` if it is fresh or there
/// is none.
#[must_use]
pub fn silence(status: &JobStatus, now: Timestamp) -> Option<String> {
    let reported = status.progress.as_ref()?.report_time.as_ref()?;
    let silent = now.since(format::timestamp(reported)) > SILENCE;
    (silent && status.state() == JobState::Running)
        .then(|| format!("last report {}", format::age(reported, now)))
}

/// The step the work is in: `step 2/3 verify`.
#[must_use]
pub fn step(progress: &Progress) -> Option<String> {
    let name = format::plain(&progress.current_step);
    let number = match (progress.step_number, progress.step_count) {
        (0, _) => String::new(),
        (number, 0) => number.to_string(),
        (number, count) => format!("{number}/{count}"),
    };
    let words: Vec<&str> = [number.as_str(), &name].into_iter().filter(|s| !s.is_empty()).collect();
    (!words.is_empty()).then(|| format!("step {}", words.join(" ")))
}

/// How far as a bar.
#[must_use]
fn bar(percent: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    let tenths = (percent.clamp(0.0, 100.0) * 10.0) as usize;
    let full = tenths * BAR / 1_000;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}
