//! Jobs that a step asked and that may not have heard it: they are looked at anew, as they stand now.
//!
//! A commit leaves out a job that moved on before it. Who waits for the answer is told which; who goes on after a
//! crash, or after a commit in doubt, knows only whom the row says were asked. Then the audit tells who heard it, and is
//! not asked anew: what was done to such a job since is a later decision.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::bulk::{BulkAction, BulkOutcome};
use crate::domain::{Job, JobId};
use crate::engine::error::Result;
use crate::engine::readable::Readable;
use crate::store::AuditQuery;

use super::draft::{CANNOT_BE_READ, Draft};
use super::run::{Run, Step};
use super::{Asked, Row};

/// Those jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Again {
    asked: Vec<Asked>,
    /// Whether it is sure that nothing was done to them.
    is_sure: bool,
}

impl Again {
    /// All that a row says were asked.
    pub(super) fn of(row: &Row) -> Self {
        Self { asked: row.asked.clone(), is_sure: false }
    }

    /// Those that the answer named.
    pub(super) fn missed(row: &Row, missed: &[JobId]) -> Self {
        let is_missed = |asked: &&Asked| missed.contains(&asked.seen.job_id);
        Self { asked: row.asked.iter().filter(is_missed).copied().collect(), is_sure: true }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }
}

impl Run<'_> {
    /// Looks at them anew and asks those that are still meant.
    pub(super) async fn take_again(&mut self) -> Result<Step> {
        let Again { asked, is_sure } = self.again.clone();
        let ids: Vec<JobId> = asked.iter().map(|asked| asked.seen.job_id).collect();
        let Readable { jobs, unread } =
            self.engine.load_readable(&self.engine.loop_db, &ids).await?;
        let found: HashMap<JobId, Job> = jobs.into_iter().map(|job| (job.id, job)).collect();
        let mut draft = Draft::of(self);
        for Asked { seen, over } in asked {
            let job = found.get(&seen.job_id);
            let stands = job.is_some_and(|job| job.status.revision == seen.revision);
            if !is_sure && !stands && self.has_heard(seen.job_id).await? {
                continue;
            }
            let outcome = match job {
                // Nothing but a retry moves a job that is over, so it had its retry, whoever asked.
                Some(_) if self.row.spec.action == BulkAction::Retry && over && !stands => {
                    BulkOutcome::Nothing
                }
                Some(job) => self.consider(job, &mut draft).await?,
                None if unread.iter().any(|(id, _)| *id == seen.job_id) => {
                    draft.refuse(seen.job_id, CANNOT_BE_READ.to_owned())
                }
                None => BulkOutcome::Nothing,
            };
            // It counts as changed already.
            if outcome != BulkOutcome::Changed {
                draft.next.state.correct(seen.job_id, outcome);
            }
        }
        if draft.next.asked.is_empty() && draft.next.state == self.row.state {
            // The row is written with the next step, or goes.
            self.again.asked.clear();
            return Ok(Step::On(Duration::ZERO));
        }
        self.write(draft).await
    }

    /// Whether what is asked was done to a job since the command was given.
    async fn has_heard(&self, job_id: JobId) -> Result<bool> {
        let query = AuditQuery {
            actor: Some(self.row.spec.requested_by.clone()),
            job_id: Some(job_id),
            job_type: None,
            actions: vec![self.row.spec.action.audited().1],
            time_after: Some(self.given),
            time_before: None,
            before: None,
            limit: 1,
        };
        let deeds = self.engine.loop_db.read(|store| async move { store.audit(&query).await });
        Ok(!deeds.await?.is_empty())
    }
}
