//! Events and deeds as messages.

use crate::domain::audit::{AuditAction, AuditSubject};
use crate::domain::event::{EventName, Facts, StuckAction};
use crate::domain::validate::Violations;
use crate::proto::v1;
use crate::proto::v1::event as wire;
use crate::store::{StoredAudit, StoredEvent};

use super::enums::Named as _;
use super::names::list;
use super::{time, usage};

/// Names of events; empty for all.
pub fn event_names(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<EventName>> {
    let named = |name: &str| {
        EventName::named(name).ok_or("must be the name of an event, for instance job_failed")
    };
    list(names, named, field, violations)
}

/// Names of actions; empty for all.
pub fn actions(
    names: &[String],
    field: &str,
    violations: &mut Violations,
) -> Option<Vec<AuditAction>> {
    let named = |name: &str| {
        AuditAction::named(name).ok_or("must be the name of an action, for instance cancel_job")
    };
    list(names, named, field, violations)
}

/// An event.
#[must_use]
pub fn to_proto(stored: &StoredEvent) -> v1::Event {
    let event = &stored.event;
    v1::Event {
        id: stored.id.to_string(),
        name: event.name().as_str().to_owned(),
        time: Some(time::to_proto(event.time)),
        severity: event.severity().to_wire(),
        job_id: event.job_id.map(|id| id.to_string()).unwrap_or_default(),
        r#type: event.job_type.as_ref().map(ToString::to_string).unwrap_or_default(),
        queue: event.queue.as_ref().map(ToString::to_string).unwrap_or_default(),
        owner: event.owner.clone(),
        facts: Some(facts(&event.facts)),
    }
}

fn facts(facts: &Facts) -> wire::Facts {
    let small = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let large = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    match facts {
        Facts::JobSucceeded { attempts, run } => wire::Facts::JobSucceeded(wire::JobSucceeded {
            attempts: small(*attempts),
            run_duration: run.map(time::span_to_proto),
        }),
        Facts::JobFailed { attempts, code, message } => wire::Facts::JobFailed(wire::JobFailed {
            attempts: small(*attempts),
            code: code.clone(),
            message: message.clone(),
        }),
        Facts::JobCancelled { requested_by, reason } => {
            let (requested_by, reason) = (requested_by.clone(), reason.clone());
            wire::Facts::JobCancelled(wire::JobCancelled { requested_by, reason })
        }
        Facts::JobSkipped { reason } => {
            wire::Facts::JobSkipped(wire::JobSkipped { reason: reason.to_wire() })
        }
        Facts::JobStuck { minutes, since, lease_epoch, action } => {
            wire::Facts::JobStuck(wire::JobStuck {
                minutes: large(*minutes),
                since_time: Some(time::to_proto(*since)),
                lease_epoch: *lease_epoch,
                action: match action {
                    StuckAction::Stop => v1::OnStuck::Fail.into(),
                    StuckAction::Notify => v1::OnStuck::Notify.into(),
                },
            })
        }
        Facts::JobSlow { run, p95, lease_epoch } => wire::Facts::JobSlow(wire::JobSlow {
            run_duration: Some(time::span_to_proto(*run)),
            p95: Some(time::span_to_proto(*p95)),
            lease_epoch: *lease_epoch,
        }),
        Facts::ScheduleMissed { nominal_time } => {
            let nominal_time = Some(time::to_proto(*nominal_time));
            wire::Facts::ScheduleMissed(wire::ScheduleMissed { nominal_time })
        }
        Facts::CircuitOpened { next_probe_time } => {
            let next_probe_time = Some(time::to_proto(*next_probe_time));
            wire::Facts::CircuitOpened(wire::CircuitOpened { next_probe_time })
        }
        Facts::CircuitClosed => wire::Facts::CircuitClosed(wire::CircuitClosed {}),
        Facts::QuotaExhausted { quota, limit, used, cost, reset_time } => {
            wire::Facts::QuotaExhausted(wire::QuotaExhausted {
                quota: quota.clone(),
                limit: large(*limit),
                used: large(*used),
                cost: large(*cost),
                reset_time: Some(time::to_proto(*reset_time)),
            })
        }
        Facts::QueueAge { age, threshold } => wire::Facts::QueueAge(wire::QueueAge {
            age: Some(time::span_to_proto(*age)),
            threshold: Some(time::span_to_proto(*threshold)),
        }),
        Facts::WorkerLost { worker_id, instance_id, jobs } => {
            wire::Facts::WorkerLost(wire::WorkerLost {
                worker_id: worker_id.clone(),
                instance_id: instance_id.clone(),
                jobs: large(*jobs),
            })
        }
        Facts::ResourceLimit { reason, limits, usage: used } => {
            wire::Facts::ResourceLimit(wire::ResourceLimit {
                reason: reason.clone(),
                limits: usage::limits_to_proto(limits),
                usage: used.as_ref().map(usage::to_proto),
            })
        }
    }
}

/// A deed.
#[must_use]
pub fn deed_to_proto(stored: &StoredAudit) -> v1::AuditEvent {
    let event = &stored.event;
    let mut deed = v1::AuditEvent {
        id: stored.id.to_string(),
        time: Some(time::to_proto(event.time)),
        actor: event.actor.clone(),
        action: event.action.as_str().to_owned(),
        reason: event.reason.clone(),
        before: event.before.clone(),
        after: event.after.clone(),
        ..v1::AuditEvent::default()
    };
    match &event.subject {
        AuditSubject::Job { id, job_type } => {
            (deed.job_id, deed.r#type) = (id.to_string(), job_type.to_string());
        }
        AuditSubject::Type(job_type) => deed.r#type = job_type.to_string(),
        AuditSubject::Queue(queue) => deed.queue = queue.to_string(),
        AuditSubject::Quota(quota) => deed.quota.clone_from(quota),
        AuditSubject::Worker { worker_id, instance_id } => {
            deed.worker_id.clone_from(worker_id);
            deed.instance_id.clone_from(instance_id);
        }
        AuditSubject::Jobs | AuditSubject::Server => {}
    }
    deed
}
