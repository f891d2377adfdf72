//! A report that closed an older lease of its job, sent again: known from the job's history.

use crate::domain::JobId;
use crate::domain::machine::Refusal;
use crate::domain::status::Report;

use super::db::Db;
use super::error::{Error, Result};

/// Whether an older lease was presented: the history may know what closed it.
pub(super) const fn may_know(error: &Error) -> bool {
    match error {
        Error::Refused { refusal: Refusal::StaleLease { held, presented, .. }, .. } => {
            *presented < *held
        }
        _ => false,
    }
}

/// `Ok` if the history says that this very report closed this lease; else the refusal as it was.
pub(super) async fn known(
    db: &Db,
    job_id: JobId,
    lease_epoch: i64,
    report: Option<Report>,
    refusal: Error,
) -> Result<()> {
    let attempts = db.read(move |store| async move { store.attempts(job_id).await }).await?;
    let known = report.is_some_and(|report| {
        attempts.iter().any(|attempt| attempt.was_closed_by(lease_epoch, report))
    });
    if known { Ok(()) } else { Err(refusal) }
}
