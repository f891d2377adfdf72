//! Why a job waits.

use super::{Facts, Reason, changed, error_text, over, span};
use crate::domain::admission::Hold;
use crate::domain::job::Job;
use crate::domain::status::{JobStatus, Outcome, SkipReason};
use crate::domain::time::Timestamp;

pub(super) fn reasons(job: &Job, facts: &Facts, now: Timestamp) -> Vec<Reason> {
    let status = &job.status;
    let mut reasons = Vec::new();
    if status.schedule_time > now {
        reasons.push(not_due(status, now));
    }
    let mut stops: Vec<_> =
        facts.why.holds.iter().map(|hold| (weight(hold), held(hold, facts))).collect();
    let skip = facts.why.skip.map(|reason| (Weight::Itself, to_be_skipped(reason, facts)));
    stops.extend(skip);
    stops.sort_by_key(|(weight, _)| *weight);
    reasons.extend(stops.into_iter().map(|(_, reason)| reason));
    if reasons.is_empty() {
        let text = "it may start, and a worker that takes it has room";
        reasons.push(Reason::new("READY", text).about(&facts.workers));
    }
    if status.attempt > 0 && status.error.is_some() {
        let (attempt, most) = (status.attempt, status.max_attempts);
        let text = format!("attempt {attempt} of {most} failed with {}", error_text(job));
        reasons.push(Reason::new("ATTEMPT_FAILED", text));
    }
    reasons.extend(changed::reasons(job, now));
    if let Some(expires) = status.deadline(job.spec.expire_time) {
        let text = "it fails if it has not started by its expire_time";
        reasons.push(Reason::new("EXPIRES", text).until(expires));
    }
    reasons
}

/// What has to happen for a reason to pass: the more, the earlier it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Somebody decides otherwise.
    People,
    /// The work itself, or what it draws from, recovers.
    Itself,
    /// Other jobs end.
    Others,
    /// A moment passes.
    Clock,
    /// A worker comes, or has room: the rest would hold it all the same.
    Workers,
}

const fn weight(hold: &Hold) -> Weight {
    match hold {
        Hold::QueuePaused { .. }
        | Hold::TypeDisabled { .. }
        | Hold::QuotaExhausted { until: None, .. } => Weight::People,
        Hold::CircuitOpen { .. } | Hold::QuotaExhausted { until: Some(_), .. } => Weight::Itself,
        Hold::ServerFull { .. }
        | Hold::QueueFull { .. }
        | Hold::TypeFull { .. }
        | Hold::KeyFull { .. }
        | Hold::Overlap { .. } => Weight::Others,
        Hold::QueueRate { .. } | Hold::TypeRate { .. } => Weight::Clock,
        Hold::NoWorker { .. }
        | Hold::WorkersBusy { .. }
        | Hold::NoMemory { .. }
        | Hold::AvoidsWorker { .. } => Weight::Workers,
    }
}

fn not_due(status: &JobStatus, now: Timestamp) -> Reason {
    let rest = span(status.schedule_time.since(now));
    let ended = status.execution.as_ref().and_then(|execution| execution.end);
    let (code, text) = match ended.map(|(_, outcome)| outcome) {
        Some(Outcome::Released) => {
            ("RELEASED", format!("its worker gave it back, to be run in {rest}"))
        }
        Some(
            Outcome::Failed
            | Outcome::LeaseLost
            | Outcome::TimedOut
            | Outcome::Succeeded
            | Outcome::Cancelled,
        ) => {
            let (next, most) = (status.attempt + 1, status.max_attempts);
            ("BACK_OFF", format!("attempt {next} of {most} starts in {rest}"))
        }
        None => ("SCHEDULED", format!("it is to run in {rest}")),
    };
    Reason::new(code, text).until(status.schedule_time)
}

fn held(hold: &Hold, facts: &Facts) -> Reason {
    let reason = Reason::new(hold.code(), hold.to_string()).until(hold.until());
    match hold {
        Hold::ServerFull { .. }
        | Hold::QueueFull { .. }
        | Hold::TypeFull { .. }
        | Hold::KeyFull { .. }
        | Hold::Overlap { .. } => {
            reason.about(facts.holders.get(hold.code()).into_iter().flatten())
        }
        Hold::WorkersBusy { .. } | Hold::NoMemory { .. } => reason.about(&facts.workers),
        Hold::AvoidsWorker { worker_id, .. } => reason.about([worker_id]),
        Hold::QueuePaused { .. }
        | Hold::QueueRate { .. }
        | Hold::TypeRate { .. }
        | Hold::QuotaExhausted { .. }
        | Hold::CircuitOpen { .. }
        | Hold::TypeDisabled { .. }
        | Hold::NoWorker { .. } => reason,
    }
}

fn to_be_skipped(reason: SkipReason, facts: &Facts) -> Reason {
    let text = match reason {
        SkipReason::CircuitOpen => "the circuit breaker of its type is open".to_owned(),
        SkipReason::Overlap => "another run of its type is not over".to_owned(),
        SkipReason::TypeDisabled => match &facts.disabled_reason {
            Some(reason) => format!("its type is disabled: {reason}"),
            None => "its type is disabled".to_owned(),
        },
        SkipReason::QuotaExhausted if facts.too_small_quota.is_some() => over::never_fits(facts),
        SkipReason::QuotaExhausted => "too little is left of a quota that it draws from".to_owned(),
        SkipReason::Missed => "its time has passed".to_owned(),
    };
    let until = match reason {
        SkipReason::CircuitOpen => facts.next_probe_time,
        SkipReason::QuotaExhausted => facts.quota_reset_time,
        SkipReason::Overlap | SkipReason::TypeDisabled | SkipReason::Missed => None,
    };
    Reason::new(reason.as_str(), format!("it is skipped when it comes up: {text}")).until(until)
}

/// When it runs if nothing but the clock changes: not known where something else has to.
pub(super) fn next_run_time(job: &Job, facts: &Facts, now: Timestamp) -> Option<Timestamp> {
    if facts.why.skip.is_some() {
        return None;
    }
    let due = job.status.schedule_time.max(now);
    let mut holds = facts.why.holds.iter();
    holds.try_fold(due, |latest, hold| Some(latest.max(hold.until()?)))
}
