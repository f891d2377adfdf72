//! What is said at the end: what was done, what was to be seen, whether it agrees, what to try next.

use std::time::Duration;

use serde_json::{Value, json};

use super::check::Account;
use super::plan::Part;
use super::show::{Show, name, status};
use crate::cli::paint::{Paint, painted};
use crate::cli::{describe, format, names};
use crate::proto::v1::{Job, JobState, Priority};

/// Commands to try next, and what they do.
const NEXT: [(&str, &str); 3] = [
    ("jobplane serve", "a server that stays"),
    ("jobplane run --type backup -- tar czvf b.tgz .", "any command as a job"),
    ("jobplane top", "everything live, steered by keys"),
];

/// The summary for people.
#[must_use]
pub fn lines(show: &Show, account: &Account, took: Duration, colour: bool) -> Vec<String> {
    let paint = |text: &str, paint| painted(text, Some(paint), colour);
    let count = |state, colour| {
        let text = format!("{} {}", account.count(state), names::short(state).to_lowercase());
        paint(&text, colour)
    };
    let mut lines = vec![
        String::new(),
        format!(
            "{} jobs in {}: {}, {}, {}; {} retried",
            account.jobs,
            format::span(took),
            count(JobState::Succeeded, Paint::Green),
            count(JobState::Failed, Paint::Red),
            count(JobState::Cancelled, Paint::Yellow),
            account.retried,
        ),
        format!(
            "{} items of real work done, {} on average",
            format::count(account.items),
            format::rate(pace(account, took)).unwrap_or_else(|| "0/s".to_owned()),
        ),
        String::new(),
        "What there was to see:".to_owned(),
    ];
    let seen = seen(show);
    let widest = seen.iter().map(|(name, _)| format::width(name)).max().unwrap_or_default();
    lines.extend(seen.into_iter().map(|(name, what)| format!("  {name:<widest$}  {what}")));
    lines.push(String::new());
    if account.differences.is_empty() {
        lines.push(format!(
            "{} the server and the workers say the same: {} jobs, {} attempts, {} items",
            paint("checked:", Paint::Green),
            account.jobs,
            account.attempts,
            format::count(account.items)
        ));
    } else {
        lines.push(paint("checked: the server and the workers do NOT say the same", Paint::Red));
        lines.extend(account.differences.iter().map(|text| format!("  {text}")));
    }
    lines
}

/// What to try next.
#[must_use]
pub fn next() -> Vec<String> {
    let lines = NEXT.iter().map(|(command, does)| format!("  {command:<46}  {does}"));
    [String::new(), "Next:".to_owned()].into_iter().chain(lines).collect()
}

/// The summary for programs.
#[must_use]
pub fn json(account: &Account, took: Duration) -> Value {
    let states = account.states.iter().map(|(state, count)| (state.to_lowercase(), json!(count)));
    json!({
        "seconds": (took.as_secs_f64() * 10.0).round() / 10.0,
        "jobs": account.jobs,
        "states": states.collect::<serde_json::Map<_, _>>(),
        "attempts": account.attempts,
        "retried": account.retried,
        "items": account.items,
        "itemsPerSecond": (pace(account, took) * 10.0).round() / 10.0,
        "checked": account.differences.is_empty(),
        "differences": account.differences,
    })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn pace(account: &Account, took: Duration) -> f64 {
    account.items as f64 / took.as_secs_f64().max(0.1)
}

/// What there was to see, as far as it was.
fn seen(show: &Show) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for job in show.of_part(Part::Retried) {
        let status = status(job);
        if let Some(code) = show.failed_once(&job.id) {
            let end = names::short(status.state());
            let attempt = describe::attempt(&status);
            seen.push((
                name(job),
                format!("failed first ({code}), then {end} in attempt {attempt}"),
            ));
        }
    }
    for job in show.of_part(Part::Fails) {
        let status = status(job);
        if let (JobState::Failed, Some(error)) = (status.state(), &status.error) {
            let said = format!("failed for good, no retry would help: {}", describe::error(error));
            seen.push((name(job), said));
        }
    }
    for job in show.of_part(Part::Cancelled) {
        let status = status(job);
        let far = status.progress.as_ref().and_then(|progress| progress.percent);
        if let (JobState::Cancelled, Some(far)) = (status.state(), far) {
            seen.push((name(job), format!("cancelled on its way, at {}", format::percent(far))));
        }
    }
    seen.extend(overtaking(show));
    seen
}

/// Whom the urgent job overtook.
fn overtaking(show: &Show) -> Option<(String, String)> {
    let urgent =
        |job: &Job| job.spec.as_ref().is_some_and(|spec| spec.priority() == Priority::Urgent);
    let at = |moment: Option<prost_types::Timestamp>| moment.map(|at| (at.seconds, at.nanos));
    let hotfix = { show.all() }.find(|job| urgent(job))?;
    let started = at(status(hotfix).start_time)?;
    let created = at(status(hotfix).create_time)?;
    let overtaken = show.all().filter(|job| {
        let other = status(job);
        at(other.create_time).is_some_and(|moment| moment < created)
            && at(other.start_time).is_some_and(|start| start > started)
            && other.attempt == 1
    });
    let count = overtaken.count();
    (count > 0).then(|| {
        let said = format!("was URGENT, and overtook {count} that were waiting before it");
        (name(hotfix), said)
    })
}
