//! What an error looks like to a caller: the only place that makes a status of one.

use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb;
use uuid::Uuid;

use crate::domain::admission::Hold;
use crate::domain::bulk::TooMany;
use crate::domain::job_type::gate::TriggerRefusal;
use crate::domain::machine::{CommandKind, Refusal, table};
use crate::domain::validate::Violations;
use crate::domain::written;
use crate::domain::{JobId, JobType, QueueName};
use crate::engine;
use crate::runtime::Rarely;
use crate::store;
use crate::telemetry::chain;

use super::reasons::Reason;

use answer::Answer;
pub use answer::DOMAIN;

mod answer;

/// When to try again if the server stops: its successor needs a moment.
const RETRY_DRAINING: Duration = Duration::from_secs(1);
/// When to open a stream again that was old: at once, or nearly.
const RETRY_AGED: Duration = Duration::from_millis(100);
/// When to try again if the store fails: sooner only adds to its load.
const RETRY_STORE: Duration = Duration::from_secs(1);
/// When to try again if the archive cannot be written: somebody has to look after it first.
const RETRY_ARCHIVE: Duration = Duration::from_secs(60);
/// When to try again if too much is under way: a commit or two later.
const RETRY_RATE: Duration = Duration::from_millis(100);

/// When to try again to start a job that a rule holds whose end nobody knows: when another one may have ended.
const RETRY_HELD: Duration = Duration::from_secs(1);
/// When to try again if as many jobs wait as may: some must start before.
const RETRY_FULL: Duration = Duration::from_secs(5);
/// A breaker's probe may come up at any moment from now on: not sooner than this.
const RETRY_PROBE: Duration = Duration::from_secs(1);

/// The status of an error, with all its facts. Logs the error if the fault is the service's.
#[must_use]
pub fn to_status(error: engine::Error) -> Status {
    use engine::Error as E;
    log(&error);
    let message = error.to_string();
    match error {
        E::JobNotFound(id) => Answer::new(Reason::JobNotFound, message).job(id).resource(id),
        E::Refused { job_id, refusal } => refused(job_id, &refusal, message),
        E::NotOver(id) => Answer::new(Reason::IllegalTransition, message)
            .job(id)
            .fact("command", "delete")
            .precondition(id),
        E::DuplicateJob { holder, key } => Answer::new(Reason::DuplicateJob, message)
            .job(holder)
            .fact("unique_key", key)
            .resource(holder),
        E::TypeNotFound(name) => Answer::new(Reason::TypeNotFound, message).job_type(&name),
        E::TypeNotDeclared(name) => {
            Answer::new(Reason::TypeNotDeclared, message).job_type(&name).unmet("type", &name)
        }
        E::TypeChanged { job_type, held, presented } => Answer::new(Reason::TypeChanged, message)
            .job_type(&job_type)
            .fact("held", held.to_string())
            .fact("presented", presented.to_string()),
        E::CannotTrigger { job_type, queue, refusal } => {
            cannot_trigger(&job_type, &queue, &refusal, &message)
        }
        E::Held { hold, retry_after } => held(&hold, retry_after, message),
        E::QuotaNotFound(name) => {
            Answer::new(Reason::QuotaNotFound, message).fact("quota", name.as_str())
        }
        E::QuotaInUse { quota, job_type, count } => Answer::new(Reason::QuotaInUse, message)
            .fact("quota", quota.as_str())
            .job_type(&job_type)
            .fact("count", count.to_string())
            .unmet("quota", &quota),
        E::QuotaBelowCost { quota, job_type, cost, limit } => {
            Answer::new(Reason::QuotaBelowCost, message)
                .fact("quota", quota.as_str())
                .job_type(&job_type)
                .fact("cost", cost.to_string())
                .fact("limit", limit.to_string())
                .unmet("quota", &quota)
        }
        E::WorkerNotFound(which) => {
            Answer::new(Reason::WorkerNotFound, message).fact("worker", which)
        }
        E::WorkerDraining { worker_id, reason } => Answer::new(Reason::WorkerDraining, message)
            .fact("worker_id", worker_id.as_str())
            .fact("reason", reason)
            .unmet("worker", &worker_id),
        E::RequestIdReused { job_id } => Answer::new(Reason::RequestIdReused, message)
            .job(job_id)
            .violation("request_id", "was used before with another body"),
        E::RequestIdSpent { job_id } => {
            Answer::new(Reason::RequestIdSpent, message).job(job_id).precondition(job_id)
        }
        E::Invalid(violations) => Answer::violations(&violations),
        E::LimitExceeded { what, limit } => Answer::quota(Reason::LimitExceeded, what, limit),
        E::TooManyPending { queue, full } => {
            let limit = u64::from(full.max_pending);
            let answer = match &queue {
                Some(queue) => Answer::full(&format!("queue:{queue}"), limit, message)
                    .fact("queue", queue.as_str()),
                None => Answer::full("server", limit, message),
            };
            answer.fact("pending", full.pending.to_string()).retry(RETRY_FULL)
        }
        E::TooManyMatch { count, limit } => {
            Answer::quota(Reason::LimitExceeded, "jobs watched at once", limit)
                .fact("count", count.to_string())
                .saying(message)
        }
        E::MoreThanExpected(TooMany { count, expected_max }) => {
            Answer::quota(Reason::LimitExceeded, "jobs that were expected", expected_max)
                .fact("count", count.to_string())
                .saying(message)
        }
        E::RateLimited { what, limit } => {
            Answer::quota(Reason::RateLimited, what, limit).retry(RETRY_RATE)
        }
        E::Archive(_) => Answer::new(Reason::ArchiveFailed, message).retry(RETRY_ARCHIVE),
        E::SessionSuperseded => Answer::new(Reason::SessionSuperseded, message),
        E::Draining => Answer::new(Reason::ServerDraining, message).retry(RETRY_DRAINING),
        E::StreamAged => Answer::new(Reason::StreamAged, message).retry(RETRY_AGED),
        E::Overloaded | E::Store(store::Error::Unavailable(_)) => {
            Answer::new(Reason::StoreUnavailable, message).retry(RETRY_STORE)
        }
        E::OutcomeUnknown | E::Store(store::Error::OutcomeUnknown(_)) => {
            Answer::new(Reason::OutcomeUnknown, message).retry(RETRY_STORE)
        }
        E::Store(error @ (store::Error::Rejected(_) | store::Error::Corrupt { .. })) => {
            internal(&error)
        }
    }
    .into_status()
}

/// The status of a request with wrong fields.
#[must_use]
pub fn invalid(violations: Violations) -> Status {
    to_status(engine::Error::Invalid(violations))
}

/// The status of a request with one wrong field.
#[must_use]
pub fn invalid_field(field: &str, description: &str) -> Status {
    let mut violations = Violations::default();
    violations.add(field, description);
    invalid(violations)
}

/// The status of a page token that is broken or another filter's.
#[must_use]
pub fn invalid_page_token(description: &str) -> Status {
    Answer::new(Reason::InvalidPageToken, format!("page_token {description}"))
        .violation("page_token", description)
        .into_status()
}

/// The status of a resume token that is broken or another watch's.
#[must_use]
pub fn invalid_resume_token(description: &str) -> Status {
    Answer::new(Reason::InvalidResumeToken, format!("resume_token {description}"))
        .violation("resume_token", description)
        .into_status()
}

/// A status as a message, for answers that carry one.
#[must_use]
pub fn to_rpc_status(status: &Status) -> pb::Status {
    pb::Status::decode(status.details()).ok().filter(|held| held.code != Code::Ok as i32).unwrap_or(
        pb::Status {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details: Vec::new(),
        },
    )
}

fn refused(job_id: JobId, refusal: &Refusal, message: String) -> Answer {
    match refusal {
        Refusal::IllegalTransition { state, command } => {
            let allowed: Vec<_> = table::allowed(*state)
                .filter(|c| is_asked_for(*c))
                .map(CommandKind::as_str)
                .collect();
            Answer::new(Reason::IllegalTransition, message)
                .job(job_id)
                .fact("state", state.as_str())
                .fact("command", command.as_str())
                .fact("allowed", allowed.join(","))
                .precondition(job_id)
        }
        Refusal::StaleLease { held, presented, state } => Answer::new(Reason::StaleLease, message)
            .job(job_id)
            .fact("held", held.to_string())
            .fact("presented", presented.to_string())
            .fact("state", state.as_str()),
        Refusal::NotDue { schedule_time } => Answer::new(Reason::NotDue, message)
            .job(job_id)
            .fact("schedule_time_micros", schedule_time.as_micros().to_string())
            .precondition(job_id),
    }
}

/// Why a type cannot be triggered now.
fn cannot_trigger(
    job_type: &JobType,
    queue: &QueueName,
    refusal: &TriggerRefusal,
    message: &str,
) -> Answer {
    let answer = |reason| Answer::new(reason, message.to_owned()).job_type(job_type);
    match refusal {
        TriggerRefusal::TypeNotDeclared => answer(Reason::TypeNotDeclared).unmet("type", job_type),
        TriggerRefusal::TypeDisabled { .. } => answer(Reason::TypeDisabled).unmet("type", job_type),
        TriggerRefusal::AlreadyRunning { running, max_concurrent } => {
            answer(Reason::AlreadyRunning)
                .fact("running", running.to_string())
                .fact("max_concurrent", max_concurrent.to_string())
                .unmet("type", job_type)
        }
        TriggerRefusal::QueuePaused { .. } => {
            answer(Reason::QueuePaused).fact("queue", queue.as_str()).unmet("queue", queue)
        }
        TriggerRefusal::CircuitOpen { next_probe_time, wait } => {
            let micros = next_probe_time.as_micros().to_string();
            answer(Reason::CircuitOpen)
                .fact("next_probe_time_micros", micros)
                .fact("next_probe_time", written::moment_shown(*next_probe_time))
                .retry((*wait).max(RETRY_PROBE))
                .unmet("type", job_type)
        }
    }
}

/// Why a worker may not start a job of its own now.
fn held(hold: &Hold, retry_after: Option<Duration>, message: String) -> Answer {
    let after = retry_after.unwrap_or(RETRY_HELD);
    match hold {
        Hold::QueuePaused { queue, .. } => Answer::new(Reason::QueuePaused, message)
            .fact("queue", queue.as_str())
            .unmet("queue", queue),
        Hold::ServerFull { max, .. } => {
            Answer::quota(Reason::LimitExceeded, "jobs that run at once", u64::from(*max))
                .saying(message)
                .retry(after)
        }
        Hold::QueueFull { queue, max, .. } => {
            let what = "jobs of a queue that run at once";
            Answer::quota(Reason::LimitExceeded, what, u64::from(*max))
                .fact("queue", queue.as_str())
                .saying(message)
                .retry(after)
        }
        Hold::QueueRate { queue, .. } => {
            Answer::short(Reason::RateLimited, "starts from a queue", message)
                .fact("queue", queue.as_str())
                .retry(after)
        }
        Hold::TypeRate { job_type, .. } => {
            Answer::short(Reason::RateLimited, "starts of a type", message)
                .job_type(job_type)
                .retry(after)
        }
        Hold::QuotaExhausted { quota, .. } => {
            Answer::short(Reason::LimitExceeded, "units of a quota", message)
                .fact("quota", quota.as_str())
                .retry(after)
        }
        // A job of its own is made, skipped, where these hold.
        Hold::TypeFull { .. }
        | Hold::KeyFull { .. }
        | Hold::Overlap { .. }
        | Hold::CircuitOpen { .. }
        | Hold::TypeDisabled { .. }
        | Hold::NoWorker { .. }
        | Hold::WorkersBusy { .. }
        | Hold::NoMemory { .. }
        | Hold::AvoidsWorker { .. } => {
            Answer::short(Reason::LimitExceeded, "starts", message).retry(after)
        }
    }
}

/// Whether a client or worker asks for it, rather than the server by itself.
const fn is_asked_for(command: CommandKind) -> bool {
    match command {
        CommandKind::Start
        | CommandKind::Succeed
        | CommandKind::Fail
        | CommandKind::ReportUse
        | CommandKind::ConfirmCancelled
        | CommandKind::Release
        | CommandKind::Cancel
        | CommandKind::Retry => true,
        CommandKind::Adopt
        | CommandKind::LoseLease
        | CommandKind::RequestStop
        | CommandKind::StopStuck
        | CommandKind::NoteStuck
        | CommandKind::NoteSlow
        | CommandKind::Expire
        | CommandKind::MeetDeadline
        | CommandKind::Skip => false,
    }
}

/// A fault of the service: the caller gets an id, the log gets the cause.
fn internal(error: &store::Error) -> Answer {
    let incident = Uuid::new_v4();
    tracing::error!(incident.id = %incident, error = %chain(error), "a call failed inside the service");
    Answer::new(
        Reason::Internal,
        format!("internal error; its cause is in the log under {incident}"),
    )
    .fact("incident_id", incident.to_string())
}

/// Logs what is for the operator: a store that does not do its work. Faults of the service are
/// logged with the incident's id by [`internal`].
fn log(error: &engine::Error) {
    use engine::Error as E;
    match error {
        E::Overloaded
        | E::OutcomeUnknown
        | E::Store(store::Error::Unavailable(_) | store::Error::OutcomeUnknown(_)) => {
            // One that is overloaded fails thousands of calls a second, and has no time to tell of each.
            static TOLD: Rarely = Rarely::new();
            if let Some(times) = TOLD.tell() {
                let error = chain(error);
                tracing::warn!(%error, times, "calls fail because of the store");
            }
        }
        E::Draining => tracing::debug!("a call was turned away: the server is shutting down"),
        E::JobNotFound(_)
        | E::Refused { .. }
        | E::NotOver(_)
        | E::DuplicateJob { .. }
        | E::TypeNotFound(_)
        | E::TypeNotDeclared(_)
        | E::TypeChanged { .. }
        | E::CannotTrigger { .. }
        | E::Held { .. }
        | E::QuotaNotFound(_)
        | E::QuotaInUse { .. }
        | E::QuotaBelowCost { .. }
        | E::WorkerNotFound(_)
        | E::WorkerDraining { .. }
        | E::RequestIdReused { .. }
        | E::RequestIdSpent { .. }
        | E::Invalid(_)
        | E::LimitExceeded { .. }
        | E::TooManyMatch { .. }
        | E::TooManyPending { .. }
        | E::MoreThanExpected(_)
        | E::RateLimited { .. }
        | E::Archive(_)
        | E::SessionSuperseded
        | E::StreamAged
        | E::Store(store::Error::Rejected(_) | store::Error::Corrupt { .. }) => {}
    }
}

#[cfg(test)]
mod tests;
