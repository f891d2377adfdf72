//! How a job came to its end.

use super::{Facts, Reason, error_text, span};
use crate::domain::ids::QuotaName;
use crate::domain::job::Job;
use crate::domain::retry::RetryRule;
use crate::domain::status::{SkipReason, State};
use crate::domain::time::Timestamp;

pub(super) fn reasons(job: &Job, facts: &Facts, now: Timestamp) -> Vec<Reason> {
    match job.status.state {
        State::Skipped { reason } => vec![skipped(reason, job.status.skip_until, facts)],
        State::Failed => failed(job),
        State::Cancelled => vec![cancelled(job)],
        State::Succeeded => {
            let ran = job.status.run_duration(now).map(span).unwrap_or_default();
            vec![Reason::new("SUCCEEDED", format!("it is done, after {ran}"))]
        }
        State::Pending { .. } | State::Running { .. } => Vec::new(),
    }
}

fn skipped(reason: SkipReason, until: Option<Timestamp>, facts: &Facts) -> Reason {
    let text = match reason {
        SkipReason::CircuitOpen => {
            "its type had failed too often, and its circuit breaker was open: this run is not made up for"
        }
        SkipReason::Overlap if facts.replaced => {
            let text = "it was replaced by a newer run of its schedule before it started";
            return Reason::new(reason.as_str(), text).about(facts.successor);
        }
        SkipReason::Overlap => "another run of its type was not over",
        SkipReason::TypeDisabled => match &facts.disabled_reason {
            Some(reason) => &format!("its type was disabled, and is: {reason}"),
            None => "its type was disabled",
        },
        SkipReason::QuotaExhausted if facts.too_small_quota.is_some() => {
            return Reason::new(reason.as_str(), never_fits(facts));
        }
        SkipReason::QuotaExhausted => {
            return quota_exhausted(facts).until(until.or(facts.quota_reset_time));
        }
        SkipReason::Missed => "its time had passed: no run came by then",
    };
    let reason_now = Reason::new(reason.as_str(), text);
    match reason {
        SkipReason::CircuitOpen => reason_now.until(until.or(facts.next_probe_time)),
        SkipReason::Overlap => reason_now.about(&facts.overlapped),
        SkipReason::QuotaExhausted | SkipReason::TypeDisabled | SkipReason::Missed => reason_now,
    }
}

/// Said of a quota that no start of a type fits into.
pub(super) fn never_fits(facts: &Facts) -> String {
    let quota = facts.too_small_quota.as_ref().map_or("a quota", QuotaName::as_str);
    format!(
        "a start of its type draws more of the quota {quota} than a whole period has: it never fits"
    )
}

fn quota_exhausted(facts: &Facts) -> Reason {
    let names: Vec<&str> = facts.quotas.iter().map(QuotaName::as_str).collect();
    let which = match names.as_slice() {
        [] => "a quota that it draws from".to_owned(),
        [one] => format!("the quota {one}"),
        several => format!("one of the quotas {}", several.join(", ")),
    };
    let text = format!("too little was left of {which}: this run is not made up for");
    Reason::new(SkipReason::QuotaExhausted.as_str(), text)
}

fn failed(job: &Job) -> Vec<Reason> {
    let status = &job.status;
    let mut reasons = vec![Reason::new("FAILED", format!("it failed with {}", error_text(job)))];
    let Some(error) = &status.error else { return reasons };
    let rule = RetryRule::find(&job.spec.retry_rules, &error.code);
    // Before a first start nothing was tried.
    let Some(_) = &status.execution else { return reasons };
    let (code, text) = if error.non_retryable {
        ("NON_RETRYABLE", "the error says that another attempt would not help".to_owned())
    } else if rule.is_some_and(|rule| !rule.retry) {
        ("RETRY_RULE", format!("a rule of its type makes no other attempt after {}", error.code))
    } else {
        let text = match status.max_attempts {
            1 => "its only attempt is used".to_owned(),
            most => format!("all {most} attempts are used"),
        };
        ("ATTEMPTS_USED", text)
    };
    reasons.push(Reason::new(code, text));
    reasons
}

fn cancelled(job: &Job) -> Reason {
    let Some(request) = &job.status.cancel_request else {
        return Reason::new("CANCELLED", "it was asked to stop");
    };
    let by = match request.requested_by.as_str() {
        "" => "the server",
        name => name,
    };
    let why = match request.reason.as_str() {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    let cause = request.cause.as_str();
    Reason::new("CANCELLED", format!("{by} asked it to stop ({cause}){why}"))
}
