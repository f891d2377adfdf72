//! What follows a commit: watchers see it, waiting workers wake, sessions hear of it, the log and the
//! figures get their line. All of it may be lost: whatever must happen is in the commit.

use std::sync::Arc;

use crate::domain::machine::Effect;
use crate::domain::stats::FacetPolicy;
use crate::domain::status::{CancelCause, State, StateKind};
use crate::domain::{Job, JobId, LogBatch, SessionId};
use crate::runtime::Clock;
use crate::store::{Appended, Batch, Committed, Written};
use crate::telemetry::{Finished, Found, Metrics};
use crate::watch::{Before, Change, Commit, Feed, Hub, Snapshot};

use super::super::dispatch::Line;
use super::super::journal;
use super::super::live::Live;
use super::super::log_lines::LogLines;
use super::super::replicas::Herald;
use super::super::session::Sessions;

/// Everybody who wants to know what was committed.
pub struct After {
    pub(in super::super) hub: Hub,
    pub(in super::super) feed: Feed,
    pub(in super::super) line: Line,
    pub(in super::super) live: Arc<Live>,
    pub(in super::super) sessions: Arc<Sessions>,
    pub(in super::super) log_lines: Arc<LogLines>,
    pub(in super::super) metrics: Metrics,
    pub(in super::super) clock: Clock,
    pub(in super::super) herald: Herald,
    /// What figures are kept by besides types and queues.
    pub(in super::super) facets: Option<Arc<FacetPolicy>>,
}

impl After {
    /// Whether nobody but this server says anything about the jobs of a session: other servers serve
    /// calls for the job of a single call, too.
    pub(in super::super) fn keeps(&self, session: SessionId) -> bool {
        !self.herald.is_shared() || self.sessions.is_attached(session)
    }

    /// A job was born.
    pub(in super::super) fn born(&self, job: &Job) {
        journal::born(job);
        self.hub.publish(job);
        let status = &job.status;
        match status.state {
            State::Pending { .. } => self.line.ready(
                &status.effective.queue,
                &job.spec.job_type,
                status.schedule_time,
                self.clock.now(),
            ),
            State::Skipped { .. } => self.ended(job, StateKind::Skipped),
            State::Running { .. } | State::Succeeded | State::Failed | State::Cancelled => {}
        }
    }

    /// A job changed from `before` to `after`.
    pub(in super::super) fn changed(&self, before: &Job, after: &Job, mut effects: Vec<Effect>) {
        // Only who still holds a job is told that it is lost: once, whoever else tells it.
        effects.sort_by_key(|effect| !matches!(effect, Effect::Revoked { .. }));
        if before.status.session().is_some() && after.status.session().is_none() {
            self.live.close(after.id, before.status.lease_epoch);
            self.line.freed(&before.status.effective.queue, &before.spec.job_type);
        }
        self.hub.publish(after);
        for effect in effects {
            journal::changed(after, &effect);
            self.sessions.told(after, &effect);
            match effect {
                Effect::Ready { at } => self.line.ready(
                    &after.status.effective.queue,
                    &after.spec.job_type,
                    at,
                    self.clock.now(),
                ),
                Effect::Ended { state } => self.ended(after, state),
                Effect::FoundStuck { .. } => self.found(after, Found::Stuck),
                Effect::FoundSlow { .. } => self.found(after, Found::Slow),
                Effect::AskToStop { request, .. } => {
                    if request.cause == CancelCause::ResourceLimit {
                        self.found(after, Found::OverLimit);
                    }
                }
                Effect::Started { .. }
                | Effect::Revoked { .. }
                | Effect::Closed { .. }
                | Effect::RetryScheduled { .. }
                | Effect::LeaseLost => {}
            }
        }
    }

    fn found(&self, job: &Job, found: Found) {
        self.metrics.job_found(&job.spec.job_type, found);
    }

    fn ended(&self, job: &Job, state: StateKind) {
        let status = &job.status;
        let run = status.end_time.and_then(|end| status.run_duration(end));
        self.metrics.job_finished(&Finished {
            job_type: &job.spec.job_type,
            state,
            run,
            time: status.end_time.unwrap_or(status.update_time),
            items_succeeded: status.progress.succeeded,
            items_failed: status.progress.failed,
        });
    }

    /// Log batches were kept or not.
    pub(super) fn appended(&self, batches: &[LogBatch], outcomes: &[Appended]) {
        for (batch, outcome) in batches.iter().zip(outcomes) {
            if *outcome == Appended::Done {
                self.log_lines.added(batch.job_id, batch.lease_epoch, batch.entries.len());
                self.hub.publish_logs(batch.job_id);
            }
        }
    }

    /// What a commit did as a whole, for those who watch many jobs. `before` knows how the jobs it
    /// wrote stood.
    pub(in super::super) fn committed<'a>(
        &self,
        batch: &Batch,
        committed: &Committed,
        before: impl Fn(JobId) -> Option<&'a Job>,
    ) {
        let told = batch.events.iter().zip(&committed.events).filter(|(_, told)| **told);
        told.for_each(|(write, _)| self.metrics.event(write.event.name().as_str()));
        if self.herald.is_shared() {
            // What others commit lies between the commits of this server: the change log knows the order.
            return self.tell_others(batch, committed);
        }
        let Some(position) = committed.position.clone().filter(|_| self.feed.is_on()) else {
            return;
        };
        let snapshot = |job: &Job| Arc::new(Snapshot::of(job.clone()));
        let born = batch.creates.iter().zip(&committed.creates);
        let born = born
            .filter(|(_, written)| **written == Written::Done)
            .map(|(new, _)| Change::Put { before: Before::None, after: snapshot(&new.job) });
        let written = batch.writes.iter().zip(&committed.writes);
        let written =
            written.filter(|(_, written)| **written == Written::Done).map(|(write, _)| {
                let before = before(write.job.id).cloned().map(Box::new);
                Change::Put {
                    before: before.map_or(Before::Unknown, Before::Known),
                    after: snapshot(&write.job),
                }
            });
        let gone = batch.deletes.iter().zip(&committed.deletes).filter(|(_, gone)| **gone);
        let gone = gone.map(|(delete, _)| Change::Gone {
            job_id: delete.job.id,
            job_type: Some(delete.job.spec.job_type.clone()),
            before: Some(Box::new(delete.job.clone())),
        });
        let changes = born.chain(written).chain(gone).collect();
        self.feed.publish(Commit { position, changes });
    }

    fn tell_others(&self, batch: &Batch, committed: &Committed) {
        let written = committed.creates.iter().chain(&committed.writes);
        if written.into_iter().any(|written| *written == Written::Done)
            || committed.deletes.contains(&true)
            || (batch.has_rule_news() && committed.missed_rules.is_empty())
        {
            if committed.told {
                self.feed.look_again();
            } else {
                self.happened();
            }
        }
        if !batch.progress.is_empty() || committed.logs.contains(&Appended::Done) {
            self.herald.progressed();
        }
    }

    /// Jobs were changed, or rules that all go by, one way or another: whoever reads the change log has something to read.
    pub(in super::super) fn happened(&self) {
        self.herald.changed();
        self.feed.look_again();
    }

    /// A job is gone.
    pub(super) fn deleted(&self, job_id: JobId) {
        self.hub.publish_deleted(job_id);
    }
}
