//! How a run goes.

use super::{Facts, Reason, changed, span};
use crate::domain::job::Job;
use crate::domain::status::State;
use crate::domain::time::Timestamp;

pub(super) fn reasons(job: &Job, facts: &Facts, now: Timestamp) -> Vec<Reason> {
    let status = &job.status;
    let mut reasons = Vec::new();
    if let Some(request) = &status.cancel_request {
        let cause = request.cause.as_str();
        let said =
            if request.reason.is_empty() { String::new() } else { format!(": {}", request.reason) };
        let by = match request.requested_by.as_str() {
            "" => String::new(),
            name => format!(" by {name}"),
        };
        let text =
            format!("it was asked to stop{by} ({cause}){said}; the server ends it if it does not");
        reasons.push(Reason::new("CANCEL_REQUESTED", text).until(request.end_time()));
    }
    if let (Some(_), Some(since)) = (status.attention.stuck_time, status.progress.activity_time) {
        let silent = span(now.since(since));
        let text = format!("it showed no activity for {silent}, and runs on as its on_stuck says");
        reasons.push(Reason::new("STUCK", text));
    }
    let ran = status.run_duration(now).unwrap_or_default();
    let expected = [
        (job.spec.estimated_duration, "what its creator expected"),
        (facts.typical_run_duration.map(|typical| typical * 2), "twice the usual for its type"),
    ];
    for (most, whose) in expected {
        if let Some(most) = most.filter(|most| !most.is_zero() && ran > *most) {
            let text = format!("it has run for {}, longer than {}: {whose}", span(ran), span(most));
            reasons.push(Reason::new("SLOW", text));
        }
    }
    if let Some(run) = &status.execution {
        let (attempt, most) = (status.attempt, status.max_attempts);
        let (worker, ran) = (&run.worker_id, span(ran));
        let text = format!("attempt {attempt} of {most} has run on {worker} for {ran}");
        reasons.push(Reason::new("RUNNING", text).about([worker]));
    }
    reasons.extend(changed::reasons(job, now));
    if let State::Running { timeout_time: Some(time), .. } = status.state
        && status.cancel_request.is_none()
    {
        let text = "it is asked to stop when it reaches its timeout";
        reasons.push(Reason::new("TIMEOUT", text).until(time));
    }
    reasons
}
