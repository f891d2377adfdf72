//! A job found stuck, and what is to be done with it.

use std::time::Duration;

use crate::domain::ids::JobId;
use crate::domain::job::{Job, OnStuck};
use crate::domain::limits::CANCEL_GRACE_DEFAULT;
use crate::domain::machine::{Applied, Command, Now, apply};
use crate::domain::time::{Timestamp, roughly};

use super::sweep::Basis;

/// What is to be done with a job that was found stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is asked to stop, and its attempt counts as failed.
    Stop,
    /// An event says so, and it runs on.
    Notify,
    /// It waits, and fails.
    Expire,
}

/// What becomes of it, if its worker does not finish the work after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forecast {
    /// FAILED for good.
    Fails,
    /// PENDING: another attempt is left.
    Retried,
    /// It runs on.
    RunsOn,
}

/// A job found stuck, with the facts that guard whatever is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The job.
    pub job_id: JobId,
    /// As it stood.
    pub revision: i64,
    /// The lease that was looked at.
    pub lease_epoch: i64,
    /// What it was judged by; unset for a job that waits.
    pub basis: Option<Basis>,
    /// Its start, its last activity, or when it became ready.
    pub since: Timestamp,
    /// The time from then to the look.
    pub idle: Duration,
    /// What is to be done.
    pub verdict: Verdict,
    /// What will become of it.
    pub forecast: Forecast,
}

impl Finding {
    /// A running job that has shown nothing, or has run, since `since`.
    pub(super) fn running(job: &Job, basis: Basis, since: Timestamp, now: Timestamp) -> Self {
        let verdict = match job.spec.on_stuck {
            OnStuck::Notify => Verdict::Notify,
            OnStuck::Fail => Verdict::Stop,
        };
        let mut found = Self {
            job_id: job.id,
            revision: job.status.revision,
            lease_epoch: job.status.lease_epoch,
            basis: Some(basis),
            since,
            idle: now.since(since),
            verdict,
            forecast: Forecast::RunsOn,
        };
        if verdict == Verdict::Stop {
            found.forecast = forecast(job, found.command("", ""), now);
        }
        found
    }

    /// A job that has waited since `since`.
    pub(super) fn waiting(job: &Job, since: Timestamp, now: Timestamp) -> Self {
        Self {
            job_id: job.id,
            revision: job.status.revision,
            lease_epoch: job.status.lease_epoch,
            basis: None,
            since,
            idle: now.since(since),
            verdict: Verdict::Expire,
            forecast: Forecast::Fails,
        }
    }

    /// Whole minutes without activity, or since the start.
    #[must_use]
    pub fn minutes(&self) -> u64 {
        self.idle.as_secs() / 60
    }

    /// Whether activity after `since` spares the job: if that is what it was judged by.
    #[must_use]
    pub fn spare_active(&self) -> bool {
        self.basis == Some(Basis::Progress)
    }

    /// For people.
    #[must_use]
    pub fn reason(&self) -> String {
        let idle = roughly(self.idle);
        match self.basis {
            Some(Basis::Progress) => format!("showed no activity for {idle}"),
            Some(Basis::Start) => format!("has run for {idle}"),
            None => format!("has waited for {idle}"),
        }
    }

    /// The command that does it: in the words of whoever asked for the sweep, if there are any.
    #[must_use]
    pub fn command(&self, requested_by: &str, why: &str) -> Command {
        let reason =
            if why.is_empty() { self.reason() } else { format!("{}: {why}", self.reason()) };
        let (lease_epoch, revision) = (self.lease_epoch, self.revision);
        let (since, spare_active) = (self.since, self.spare_active());
        match self.verdict {
            Verdict::Notify => Command::NoteStuck { lease_epoch, revision, since, spare_active },
            Verdict::Expire => Command::Expire { revision, reason },
            Verdict::Stop => Command::StopStuck {
                lease_epoch,
                revision,
                since,
                spare_active,
                reason,
                requested_by: requested_by.to_owned(),
                grace: CANCEL_GRACE_DEFAULT,
            },
        }
    }
}

/// What becomes of a job that is stopped and whose worker says nothing: by the machine, which knows how
/// many attempts are left and what the type's rules say of the error.
fn forecast(job: &Job, stop: Command, now: Timestamp) -> Forecast {
    let Ok(Applied::Changed(asked)) = apply(&job.spec, &job.status, stop, Now::at(now)) else {
        return Forecast::RunsOn;
    };
    let over = Now::at(asked.status.deadline(None).unwrap_or(now));
    match apply(&job.spec, &asked.status, Command::MeetDeadline, over) {
        Ok(Applied::Changed(ended)) if ended.status.kind().is_terminal() => Forecast::Fails,
        Ok(Applied::Changed(_)) => Forecast::Retried,
        Ok(Applied::Unchanged) | Err(_) => Forecast::RunsOn,
    }
}
