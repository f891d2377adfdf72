//! What is told about one job: short facts, a line each, and whole documents.

use serde_json::Value;

use crate::cli::names::{short, word};
use crate::cli::{describe, format, json};
use crate::domain::Timestamp;
use crate::proto::v1::{
    CancelCause, CancelRequest, ErrorOrigin, Job, JobError, JobSpec, JobState, JobStatus,
    JobTrigger, Priority, Progress, ResourceLimits, ResourceUsage, SkipReason,
};

#[cfg(test)]
mod tests;

/// A fact's name and what is to be said.
pub type Fact = (&'static str, String);

/// The facts, in the order they are shown.
#[must_use]
pub fn facts(job: &Job, now: Timestamp) -> Vec<Fact> {
    let (spec, status) = (job.spec.clone().unwrap_or_default(), job.status.clone());
    let status = status.unwrap_or_default();
    let mut facts: Vec<Fact> =
        vec![("job", format::plain(&job.id)), ("type", kind(&spec, &status))];
    facts.push(("state", state(&status)));
    facts.push(("attempt", attempt(&status)));
    facts.extend(place(&spec, &status));
    facts.extend(times(&spec, &status, now));
    if let Some(progress) = &status.progress {
        facts.extend(how_far(progress, describe::silence(&status, now)));
    }
    facts.extend(status.resource_usage.as_ref().map(|usage| ("uses", uses(usage))));
    if let Some(error) = &status.error {
        facts.extend(failure(error));
    }
    facts.extend(status.cancel_request.as_ref().map(|of| ("asked", cancel(of, now))));
    facts.extend(asked(&spec, &status));
    facts.retain(|(_, text)| !text.is_empty());
    facts
}

/// The documents: payload, result and error details, if the job has them.
#[must_use]
pub fn documents(job: &Job) -> Vec<(&'static str, Value)> {
    let status = job.status.as_ref();
    let details = status.and_then(|status| status.error.as_ref()?.details.as_ref());
    let all = [
        ("payload", job.spec.as_ref().and_then(|spec| spec.payload.as_ref())),
        ("result", status.and_then(|status| status.result.as_ref())),
        ("error details", details),
    ];
    all.into_iter().filter_map(|(name, of)| Some((name, json::of_struct(of?)))).collect()
}

fn kind(spec: &JobSpec, status: &JobStatus) -> String {
    match status.category.as_str() {
        "" => format::plain(&spec.r#type),
        category => format::plain(&format!("{} (category {category})", spec.r#type)),
    }
}

fn state(status: &JobStatus) -> String {
    let state = describe::state(status);
    let stopping = status.state() == JobState::Running && status.cancel_request.is_some();
    match word::<SkipReason>(status.skip_reason) {
        reason if !reason.is_empty() => match &status.skip_until {
            Some(until) => format!("{state} ({reason} until {})", format::moment(until, 0)),
            None => format!("{state} ({reason})"),
        },
        _ if stopping => format!("{state}, asked to stop"),
        _ => state,
    }
}

fn attempt(status: &JobStatus) -> String {
    let attempt = describe::attempt(status);
    match status.worker_id.as_str() {
        "" => attempt,
        worker => {
            format!(
                "{attempt}, worker {} (lease epoch {})",
                format::plain(worker),
                status.lease_epoch
            )
        }
    }
}

/// Where it stands, and what it may use; what a retry rule changed with what was asked for.
fn place(spec: &JobSpec, status: &JobStatus) -> Vec<Fact> {
    let Some(effective) = &status.effective else { return Vec::new() };
    let queue = match spec.queue.as_str() {
        asked if asked.is_empty() || asked == effective.queue => effective.queue.clone(),
        asked => format!("{} (asked for {asked})", effective.queue),
    };
    let memory = |limits: Option<&ResourceLimits>| limits.map_or(0, |limits| limits.memory_bytes);
    let memory = match (memory(spec.limits.as_ref()), memory(effective.limits.as_ref())) {
        (asked, is) if asked == is => String::new(),
        (asked, is) => {
            format!("at most {} (asked for {})", format::bytes(is), format::bytes(asked))
        }
    };
    vec![
        ("queue", format::plain(&queue)),
        ("priority", word::<Priority>(effective.priority)),
        ("memory", memory),
        ("avoids", format::plain(&effective.avoid_worker)),
    ]
}

fn times(spec: &JobSpec, status: &JobStatus, now: Timestamp) -> Vec<Fact> {
    let moment = |time: &prost_types::Timestamp| {
        format!("{} ({})", format::moment(time, 0), format::age(time, now))
    };
    let by = match (word::<JobTrigger>(status.trigger).to_lowercase(), &status.created_by) {
        (trigger, by) if by.is_empty() => trigger,
        (trigger, by) => format::plain(&format!("{trigger}, {by}")),
    };
    let span = |span: &prost_types::Duration| format::span(format::duration(span));
    let mut facts = Vec::new();
    facts.extend(status.create_time.as_ref().map(|time| {
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        ("created", format!("{}{by}", moment(time)))
    }));
    if status.state() == JobState::Pending {
        facts.extend(status.schedule_time.as_ref().map(|time| ("ready", moment(time))));
        facts.extend(spec.expire_time.as_ref().map(|time| ("expires", moment(time))));
    }
    facts.extend(status.start_time.as_ref().map(|time| ("started", moment(time))));
    facts.extend(status.end_time.as_ref().map(|time| ("ended", moment(time))));
    facts.extend(status.wait_duration.as_ref().map(|wait| ("waited", span(wait))));
    facts.extend(status.run_duration.as_ref().map(|run| ("ran", span(run))));
    facts
}

fn how_far(progress: &Progress, silence: Option<String>) -> Vec<Fact> {
    let mut parts = Vec::new();
    parts.extend(progress.percent.map(format::percent));
    parts.extend(describe::amount(progress));
    if progress.succeeded > 0 || progress.failed > 0 {
        let (well, badly) = (format::count(progress.succeeded), format::count(progress.failed));
        parts.push(format!("{well} succeeded, {badly} failed"));
    }
    let average = format::rate(progress.average_rate_per_second);
    parts.extend(match (format::rate(progress.rate_per_second), average) {
        (Some(rate), Some(average)) => Some(format!("{rate} ({average} on average)")),
        (rate, average) => rate.or(average),
    });
    parts.extend(silence.or_else(|| describe::eta(progress)));
    let counters: Vec<String> =
        progress.counters.iter().map(|(name, sum)| format!("{name}={sum}")).collect();
    vec![
        ("progress", parts.join("  ")),
        (
            "step",
            describe::step(progress).unwrap_or_default().trim_start_matches("step ").to_owned(),
        ),
        ("message", format::plain(&progress.message)),
        ("counters", format::plain(&counters.join(" "))),
    ]
}

fn uses(usage: &ResourceUsage) -> String {
    let mut parts = Vec::new();
    parts.extend(usage.cpu_percent.map(|cpu| format!("{cpu:.0}% of a core")));
    parts.extend(usage.memory_bytes.map(format::bytes));
    parts.extend(usage.peak_memory_bytes.map(|peak| format!("{} at most", format::bytes(peak))));
    parts.join("  ")
}

fn failure(error: &JobError) -> Vec<Fact> {
    let origin = word::<ErrorOrigin>(error.origin).to_lowercase();
    let mut text = describe::error(error);
    if !origin.is_empty() {
        text = format!("{text} (says the {origin})");
    }
    if error.non_retryable {
        text.push_str(", not to be tried again");
    }
    let trace = format::plain_lines(&error.stack_trace, "            ");
    vec![("error", text), ("trace", trace)]
}

fn cancel(request: &CancelRequest, now: Timestamp) -> String {
    let mut text = format!("to stop ({})", word::<CancelCause>(request.cause).to_lowercase());
    if let Some(time) = &request.time {
        text = format!("{text} {}", format::age(time, now));
    }
    if !request.requested_by.is_empty() {
        text = format!("{text} by {}", request.requested_by);
    }
    if let Some(grace) = &request.grace {
        text = format!("{text}, within {}", format::span(format::duration(grace)));
    }
    if !request.reason.is_empty() {
        text = format!("{text}: {}", request.reason);
    }
    format::plain(&text)
}

fn asked(spec: &JobSpec, status: &JobStatus) -> Vec<Fact> {
    let labels: Vec<String> =
        spec.labels.iter().map(|(key, text)| format!("{key}={text}")).collect();
    let span = |span: Option<&prost_types::Duration>| {
        span.map_or_else(String::new, |span| format::span(format::duration(span)))
    };
    let held = if status.end_time.is_none() { &spec.unique_key } else { "" };
    let asked = match spec.priority() {
        Priority::Unspecified => String::new(),
        asked => short(asked).to_owned(),
    };
    let now_is = status.effective.as_ref().map(|effective| word::<Priority>(effective.priority));
    let asked = if now_is.as_ref() == Some(&asked) { String::new() } else { asked };
    vec![
        ("asked for", asked),
        ("labels", format::plain(&labels.join(" "))),
        ("owner", format::plain(&spec.owner)),
        ("subject", format::plain(&spec.subject)),
        ("external id", format::plain(&spec.external_id)),
        ("unique key", format::plain(held)),
        ("timeout", span(spec.timeout.as_ref())),
    ]
}
