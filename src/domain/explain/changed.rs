//! What a retry rule made otherwise than was asked for.

use super::Reason;
use crate::domain::job::Job;
use crate::domain::limits::AVOID_WORKER_FOR;
use crate::domain::status::StateKind;
use crate::domain::time::Timestamp;

/// A reason for each thing that the next or current attempt has otherwise than the spec says.
pub(super) fn reasons(job: &Job, now: Timestamp) -> Vec<Reason> {
    let (spec, is) = (&job.spec, &job.status.effective);
    let mut reasons = Vec::new();
    let mut add = |text: String| reasons.push(Reason::new("CHANGED_BY_RULE", text));
    let (asked, memory) = (spec.limits.memory_bytes, is.limits.memory_bytes);
    if memory != asked {
        add(format!("a retry rule changed its memory limit from {asked} to {memory} bytes"));
    }
    if is.queue != spec.queue {
        add(format!("a retry rule moved it from queue {} to queue {}", spec.queue, is.queue));
    }
    if is.priority != spec.priority {
        let (asked, priority) = (spec.priority.as_str(), is.priority.as_str());
        add(format!("a retry rule changed its priority from {asked} to {priority}"));
    }
    let until = job.status.schedule_time.plus(AVOID_WORKER_FOR);
    if let Some(worker) = &is.avoid_worker
        && job.status.kind() == StateKind::Pending
        && now < until
    {
        let text = format!("a retry rule keeps it away from worker {worker}, on which it failed");
        reasons.push(Reason::new("CHANGED_BY_RULE", text).about([worker]).until(until));
    }
    reasons
}
