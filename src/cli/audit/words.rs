//! What was done, in words: `paused queue`, `disabled type`, `asked job to stop`.

use crate::cli::format;
use crate::domain::audit::AuditAction;
use crate::proto::v1::AuditEvent;

#[cfg(test)]
mod tests;

/// What was done, and to what kind of thing. An action of a newer server is told by its name.
#[must_use]
pub fn did(event: &AuditEvent) -> String {
    let Some(action) = AuditAction::named(&event.action) else { return event.action.clone() };
    let jobs = || match event.after.get("count").or_else(|| event.after.get("jobs")) {
        Some(count) if count == "1" => "1 job".to_owned(),
        Some(count) => match count.parse() {
            Ok(count) => format!("{} jobs", format::count(count)),
            Err(_) => "jobs".to_owned(),
        },
        None => "jobs".to_owned(),
    };
    match action {
        AuditAction::CancelJob if is(event, "state", "CANCELLED") => "cancelled job".to_owned(),
        AuditAction::CancelJob => "asked job to stop".to_owned(),
        AuditAction::RetryJob => "retried job".to_owned(),
        AuditAction::DeleteJob => "deleted job".to_owned(),
        AuditAction::BulkCancelJobs => format!("began to cancel {}", jobs()),
        AuditAction::BulkRetryJobs => format!("began to retry {}", jobs()),
        AuditAction::BulkDeleteJobs => format!("began to delete {}", jobs()),
        AuditAction::PutJobType if event.before.is_empty() && event.after.contains_key("type") => {
            "declared type".to_owned()
        }
        AuditAction::PutJobType => {
            match (switched(event, "disabled"), switched(event, "schedule.paused")) {
                (Some(true), _) => "disabled type".to_owned(),
                (Some(false), _) => "enabled type".to_owned(),
                (None, Some(true)) => "paused schedule of type".to_owned(),
                (None, Some(false)) => "resumed schedule of type".to_owned(),
                (None, None) => "changed type".to_owned(),
            }
        }
        AuditAction::DeleteJobType => "took back type".to_owned(),
        AuditAction::TriggerJobType => "triggered type".to_owned(),
        AuditAction::UpdateQueue => match switched(event, "paused") {
            Some(true) => "paused queue".to_owned(),
            Some(false) => "resumed queue".to_owned(),
            None => "changed queue".to_owned(),
        },
        AuditAction::PutQuota if event.before.is_empty() => "set up quota".to_owned(),
        AuditAction::PutQuota => "changed quota".to_owned(),
        AuditAction::DeleteQuota => "deleted quota".to_owned(),
        AuditAction::UpdateDefaults => "changed defaults".to_owned(),
        AuditAction::DrainWorker => "drained worker".to_owned(),
        AuditAction::SweepStuckJobs => format!("swept {}", jobs()),
        AuditAction::PurgeJobs | AuditAction::Retention => format!("purged {}", jobs()),
    }
}

fn is(event: &AuditEvent, field: &str, value: &str) -> bool {
    event.after.get(field).is_some_and(|is| is == value)
}

/// Whether a field that is on or left out was switched on, or off.
fn switched(event: &AuditEvent, field: &str) -> Option<bool> {
    let is_on = |value: Option<&String>| value.is_some_and(|value| value == "true");
    let (was, is) = (is_on(event.before.get(field)), is_on(event.after.get(field)));
    (was != is).then_some(is)
}
