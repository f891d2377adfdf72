//! The server's own log of what happens to jobs: one line a change, after the commit.

use crate::domain::circuit::CircuitChange;
use crate::domain::ids::QuotaName;
use crate::domain::machine::Effect;
use crate::domain::status::StateKind;
use crate::domain::{Job, JobType};

/// The breaker of a type opened, stays open after a probe, or closed.
pub(super) fn circuit(job_type: &JobType, change: CircuitChange) {
    match change {
        CircuitChange::Opened { next_probe_time } => tracing::warn!(
            job.type = %job_type,
            next_probe_time_us = next_probe_time.as_micros(),
            "circuit breaker opened"
        ),
        CircuitChange::Closed => tracing::info!(job.type = %job_type, "circuit breaker closed"),
    }
}

/// Nothing is left of a quota in this period.
pub(super) fn exhausted(quota: &QuotaName) {
    tracing::warn!(quota.name = %quota, "quota exhausted");
}

/// A job was made.
pub(super) fn born(job: &Job) {
    tracing::info!(
        job.id = %job.id,
        job.type = %job.spec.job_type,
        queue.name = %job.spec.queue,
        job.state = job.status.kind().as_str(),
        "job created"
    );
}

/// A job changed.
pub(super) fn changed(job: &Job, effect: &Effect) {
    let status = &job.status;
    let (id, job_type) = (job.id, &job.spec.job_type);
    let (attempt, of) = (status.attempt, status.max_attempts);
    let code = status.error.as_ref().map_or("", |error| error.code.as_str());
    match effect {
        Effect::Started { attempt } => tracing::info!(
            job.id = %id,
            job.type = %job_type,
            worker.id = status.execution.as_ref().map(|run| run.worker_id.as_str()),
            lease.epoch = status.lease_epoch,
            attempt,
            "job started"
        ),
        Effect::RetryScheduled { delay } => {
            let message = status.error.as_ref().map_or("", |error| error.message.as_str());
            tracing::info!(
                job.id = %id, job.type = %job_type, attempt, of, code, message, "attempt failed"
            );
            tracing::info!(
                job.id = %id,
                job.type = %job_type,
                delay_seconds = delay.as_secs_f64(),
                attempt,
                of,
                "retry scheduled"
            );
        }
        Effect::LeaseLost => tracing::warn!(
            job.id = %id, job.type = %job_type, lease.epoch = status.lease_epoch, "lease lost"
        ),
        Effect::AskToStop { request, .. } => tracing::info!(
            job.id = %id,
            job.type = %job_type,
            cause = request.cause.as_str(),
            reason = request.reason,
            requested_by = request.requested_by,
            grace_seconds = request.grace.as_secs_f64(),
            "cancel requested"
        ),
        Effect::Ended { state } => ended(job, *state),
        Effect::FoundStuck { since, .. } => tracing::warn!(
            job.id = %id,
            job.type = %job_type,
            lease.epoch = status.lease_epoch,
            quiet_seconds = status.update_time.since(*since).as_secs(),
            stops = status.cancel_request.is_some(),
            "job stuck"
        ),
        Effect::FoundSlow { slow } => tracing::warn!(
            job.id = %id,
            job.type = %job_type,
            lease.epoch = status.lease_epoch,
            run_seconds = slow.run.as_secs(),
            p95_seconds = slow.p95.as_secs_f64(),
            "job slow"
        ),
        Effect::Ready { .. } | Effect::Revoked { .. } | Effect::Closed { .. } => {}
    }
}

fn ended(job: &Job, state: StateKind) {
    let status = &job.status;
    let (id, job_type) = (job.id, &job.spec.job_type);
    let run = status.run_duration(status.update_time).unwrap_or_default().as_secs_f64();
    match state {
        StateKind::Succeeded => tracing::info!(
            job.id = %id, job.type = %job_type, run_seconds = run, attempt = status.attempt,
            "job succeeded"
        ),
        StateKind::Failed => {
            let error = status.error.as_ref();
            tracing::warn!(
                job.id = %id,
                job.type = %job_type,
                run_seconds = run,
                attempt = status.attempt,
                of = status.max_attempts,
                code = error.map(|error| error.code.as_str()),
                message = error.map(|error| error.message.as_str()),
                "job failed for good"
            );
        }
        StateKind::Cancelled => tracing::info!(
            job.id = %id, job.type = %job_type, run_seconds = run, "job cancelled"
        ),
        StateKind::Skipped => {
            tracing::info!(job.id = %id, job.type = %job_type, "job skipped");
        }
        StateKind::Pending | StateKind::Running => {}
    }
}
