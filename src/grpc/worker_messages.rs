//! Messages of the worker stream, from the wire and back.

use prost::Message as _;

use crate::domain::limits::{
    PAYLOAD_BYTES_MAX, SEQUENCE_MAX, UNACKED_BYTES_MAX, UNACKED_UPDATES_MAX,
};
use crate::domain::validate::Violations;
use crate::domain::{Progress, Timestamp};
use crate::engine::Error;
use crate::engine::session::{Outcome, ToWorker, Update, UpdateKind, Welcome};
use crate::proto::from_worker::Tick;
use crate::proto::v1;
use crate::proto::v1::report_progress_request as request;
use crate::proto::v1::report_progress_request::update::Report;
use crate::proto::v1::report_progress_response::{self as response, Kind};

use super::convert::{self, View};
use super::status::{to_rpc_status, to_status};

/// A checked update.
///
/// # Errors
/// Every field that is wrong.
pub(super) fn update_from_wire(
    update: &mut request::Update,
    now: Timestamp,
) -> Result<Update, Error> {
    let mut violations = Violations::default();
    let wrong = &mut violations;
    let seq = convert::number::seq(update.seq, "update.seq", wrong);
    let job_id = convert::ids::job_id(&update.job_id, "update.job_id", wrong);
    let epoch = convert::number::lease_epoch(update.lease_epoch, "update.lease_epoch", wrong);
    let kind = if let Some(report) = update.report.take() {
        kind_from_wire(report, now, wrong)
    } else {
        wrong.add(
            "update.report",
            "must be one of progress, logs, resource_usage, quota_use, succeeded, failed, cancelled, \
             released",
        );
        None
    };
    match (seq, job_id, epoch, kind) {
        (Some(seq), Some(job_id), Some(lease_epoch), Some(kind)) if violations.is_empty() => {
            Ok(Update { seq, job_id, lease_epoch, kind })
        }
        _ => Err(Error::Invalid(violations)),
    }
}

/// A checked tick; `None` if it is wrong, and [`update_from_wire`] is to say how.
#[inline]
pub(super) fn progress_from_tick(tick: &mut Tick, now: Timestamp) -> Option<Progress> {
    if !(1..=SEQUENCE_MAX).contains(&tick.seq) || tick.lease_epoch < 1 {
        return None;
    }
    convert::progress::from_tick(tick, now)
}

fn kind_from_wire(report: Report, now: Timestamp, wrong: &mut Violations) -> Option<UpdateKind> {
    match report {
        Report::Progress(progress) => {
            convert::progress::from_proto(progress, now, wrong, "update.progress")
                .map(UpdateKind::Progress)
        }
        Report::Logs(batch) => {
            convert::logs::from_proto(batch.entries, now, wrong, "update.logs.entries")
                .map(UpdateKind::Logs)
        }
        Report::ResourceUsage(usage) => {
            convert::usage::from_proto(usage, "update.resource_usage", wrong).map(UpdateKind::Usage)
        }
        Report::Succeeded(succeeded) => {
            let field = "update.succeeded.result";
            if let Some(result) = &succeeded.result {
                convert::opaque::check(result, PAYLOAD_BYTES_MAX, field, wrong);
            }
            let progress = succeeded.progress.map(|progress| {
                convert::progress::from_proto(progress, now, wrong, "update.succeeded.progress")
            });
            let progress = transpose(progress)?;
            Some(UpdateKind::Outcome(Outcome::Succeeded { result: succeeded.result, progress }))
        }
        Report::Failed(failed) => {
            let error = convert::error::from_proto(failed.error, "update.failed.error", wrong);
            let delay =
                convert::time::delay(failed.retry_delay, "update.failed.retry_delay", wrong);
            let progress = failed.progress.map(|progress| {
                convert::progress::from_proto(progress, now, wrong, "update.failed.progress")
            });
            let (error, retry_delay, progress) = (error?, delay?, transpose(progress)?);
            Some(UpdateKind::Outcome(Outcome::Failed { error, retry_delay, progress }))
        }
        Report::QuotaUse(said) => {
            let at = convert::Path::root("update.quota_use");
            convert::quota::used(&said, at, wrong).map(|used| UpdateKind::Used([used].into()))
        }
        Report::Cancelled(_) => Some(UpdateKind::Outcome(Outcome::Cancelled)),
        Report::Released(released) => {
            let delay = convert::time::delay(released.delay, "update.released.delay", wrong);
            let reason = convert::text::reason(released.reason, "update.released.reason", wrong);
            let (delay, reason) = (delay?.unwrap_or_default(), reason?);
            Some(UpdateKind::Outcome(Outcome::Released { delay, reason }))
        }
    }
}

/// `None` if it was given and is wrong.
#[expect(clippy::option_option, reason = "given or not, and if given, right or wrong")]
fn transpose<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(None) => None,
        Some(right) => Some(right),
    }
}

/// A message as the worker reads it.
pub(super) fn to_wire(
    sequence: i64,
    message: ToWorker,
    now: Timestamp,
) -> v1::ReportProgressResponse {
    let kind = match message {
        ToWorker::Welcome(welcome) => Kind::Welcome(welcome_to_wire(*welcome, now)),
        ToWorker::Assignment(job) => Kind::Assignment(v1::Assignment {
            job: Some(convert::job::to_proto(&job, View::Full, now).encode_to_vec().into()),
            lease_epoch: job.status.lease_epoch,
            lease_ttl: None,
        }),
        ToWorker::Ack { through_seq } => Kind::Ack(response::Ack { through_seq }),
        ToWorker::Reject { seq, error } => {
            Kind::Reject(response::Reject { seq, error: Some(to_rpc_status(&to_status(error))) })
        }
        ToWorker::Cancel { job_id, lease_epoch, request } => {
            Kind::CancelRequest(convert::cancel::to_stream(job_id, lease_epoch, &request, now))
        }
        ToWorker::Revoke { job_id, lease_epoch, reason } => {
            Kind::Revoke(response::Revoke { job_id: job_id.to_string(), lease_epoch, reason })
        }
        ToWorker::Drain { grace, reason } => Kind::Drain(response::Drain {
            grace: Some(convert::time::span_to_proto(grace)),
            reason,
        }),
        ToWorker::Reconnect { after } => Kind::Reconnect(response::Reconnect {
            after: Some(convert::time::span_to_proto(after)),
        }),
        ToWorker::ReportPolicy { report_interval } => Kind::ReportPolicy(response::ReportPolicy {
            report_interval: Some(convert::time::span_to_proto(report_interval)),
            max_unacked_bytes: bytes_max(),
            max_unacked_updates: updates_max(),
        }),
        ToWorker::Heartbeat => Kind::Heartbeat(response::Heartbeat {}),
    };
    v1::ReportProgressResponse { sequence, kind: Some(kind) }
}

fn bytes_max() -> i64 {
    i64::try_from(UNACKED_BYTES_MAX).unwrap_or(i64::MAX)
}

fn updates_max() -> i32 {
    i32::try_from(UNACKED_UPDATES_MAX).unwrap_or(i32::MAX)
}

fn welcome_to_wire(welcome: Welcome, now: Timestamp) -> response::Welcome {
    let adopted = welcome.adopted.iter().map(|job| response::welcome::Adopted {
        job_id: job.id.to_string(),
        lease_epoch: job.status.lease_epoch,
        cancel_request: job
            .status
            .cancel_request
            .as_ref()
            .map(|request| convert::cancel::to_worker(request, now)),
    });
    let revoked = welcome.revoked.into_iter().map(|(of, reason)| response::Revoke {
        job_id: of.job_id.to_string(),
        lease_epoch: of.lease_epoch,
        reason,
    });
    response::Welcome {
        session_id: welcome.session_id.to_string(),
        lease_ttl: Some(convert::time::span_to_proto(welcome.lease_ttl)),
        heartbeat_interval: Some(convert::time::span_to_proto(welcome.heartbeat_interval)),
        report_interval: Some(convert::time::span_to_proto(welcome.report_interval)),
        max_unacked_bytes: bytes_max(),
        max_unacked_updates: updates_max(),
        adopted: adopted.collect(),
        revoked: revoked.collect(),
    }
}
