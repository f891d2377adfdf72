//! The start of the job, by StartJob.

use std::path::Path;
use std::time::Duration;

use prost::Message as _;

use super::Args;
use crate::cli::client::Client;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::warn;
use crate::cli::worker::{Lease, default_worker_id, own_instance_id};
use crate::cli::{format, names, parse};
use crate::domain::limits::{NAME_BYTES_MAX, RUN_LEASE_TTL, RUN_START_TRIES_MAX};
use crate::proto::v1::start_job_response::Outcome;
use crate::proto::v1::{Job, JobSpec, JobStatus, ResourceLimits, SkipReason, StartJobRequest};

/// What a job type is called if the command's name gives nothing.
const TYPE_OF_NOTHING: &str = "command";

/// The pause before it is asked again, if the server gives none.
const PAUSE: Duration = Duration::from_millis(500);

/// A job that runs, and who runs it.
pub(super) struct Started {
    pub lease: Lease,
    pub worker_id: String,
    pub instance_id: String,
    pub job_type: String,
    pub attempt: i32,
}

/// Asks for the job. None if a policy refused it: that is told.
pub(super) async fn job(args: &Args, client: &Client) -> Result<Result<Started, Exit>, Failure> {
    let request = request(args);
    let doing = format!("start a job of type {}", format::plain(&job_type(args)));
    let mut tries = 1;
    let answer = loop {
        let mut workers = client.workers();
        let call = workers.start_job(client.request(request.clone()));
        match client.change(&doing, call).await {
            // The request has an id: to ask again starts no second job.
            Err(Failure::Refused(refusal)) if refusal.passing && tries < RUN_START_TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(refusal.retry_after.unwrap_or(PAUSE)).await;
            }
            answer => break answer?,
        }
    };
    match answer.outcome {
        Some(Outcome::Assignment(assignment)) => {
            let job = Job::decode(assignment.job.unwrap_or_default()).map_err(|error| {
                Failure::Unreadable(format!("the job that it started: {error}"))
            })?;
            let attempt = job.status.as_ref().map_or(1, |status| status.attempt);
            let spec = job.spec.unwrap_or_default();
            Ok(Ok(Started {
                lease: Lease { job_id: job.id, epoch: assignment.lease_epoch },
                worker_id: request.worker_id,
                instance_id: request.instance_id,
                job_type: spec.r#type,
                attempt,
            }))
        }
        Some(Outcome::SkippedJob(job)) => {
            tell_skipped(&job);
            Ok(Err(Exit::Refused))
        }
        None => Err(Failure::Unreadable("neither an assignment nor a skipped job".to_owned())),
    }
}

fn tell_skipped(job: &Job) {
    let reason = job.status.as_ref().map(JobStatus::skip_reason).unwrap_or_default();
    let why = match reason {
        SkipReason::CircuitOpen => "too many jobs of its type failed",
        SkipReason::Overlap => "another job of its type still runs",
        SkipReason::TypeDisabled => "its type is disabled",
        SkipReason::QuotaExhausted => "a quota is used up",
        SkipReason::Missed => "its time has passed",
        SkipReason::Unspecified => "the server gives no reason",
    };
    let name = names::short(reason);
    warn(&format!("jobplane: job {} was skipped ({name}): {why}; the command was not run", job.id));
}

fn request(args: &Args) -> StartJobRequest {
    let limits = ResourceLimits {
        memory_bytes: args.memory.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        cpu_percent: args.cpu.unwrap_or_default(),
    };
    let spec = JobSpec {
        r#type: job_type(args),
        queue: args.queue.clone(),
        labels: args.labels.iter().cloned().collect(),
        owner: args.owner.clone(),
        subject: args.subject.clone(),
        external_id: args.external_id.clone(),
        unique_key: args.unique_key.clone(),
        timeout: args.timeout.map(parse::wire_duration),
        limits: (limits != ResourceLimits::default()).then_some(limits),
        ..JobSpec::default()
    };
    StartJobRequest {
        worker_id: args.worker_id.clone().unwrap_or_else(default_worker_id),
        instance_id: own_instance_id(),
        spec: Some(spec),
        request_id: args.request_id.clone().unwrap_or_else(|| format!("run-{}", own_instance_id())),
        lease_ttl: Some(parse::wire_duration(RUN_LEASE_TTL)),
    }
}

/// The type that was asked for, else the name of the command as far as it makes a name.
pub(super) fn job_type(args: &Args) -> String {
    if let Some(name) = &args.job_type {
        return name.clone();
    }
    let command = args.command.first().map(Path::new).and_then(Path::file_name);
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
    let name: String = command
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(NAME_BYTES_MAX)
        .collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    if name.is_empty() || name.starts_with("jobplane.") {
        return TYPE_OF_NOTHING.to_owned();
    }
    name.to_owned()
}
