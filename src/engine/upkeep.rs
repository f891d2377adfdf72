//! The steps of the background loops: each idempotent, without input, one bounded batch.

use std::time::Duration;

use crate::domain::event::{Event, Facts};
use crate::domain::limits::{
    BUCKET_RETENTION, ENDED_SESSION_RETENTION, LOG_HEAD_LINES, LOG_TAIL_LINES, LOOP_ROWS_MAX,
    REQUEST_ID_RETENTION, RESUME_RETENTION,
};
use crate::domain::machine::{Command, ReleaseReason};
use crate::domain::session::{EndReason, Session};
use crate::domain::status::StateKind;
use crate::domain::{SessionId, Timestamp, WorkerName};
use crate::store::{Orphan, Prune, SessionWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::Work;
use super::stats::{HOUR, first_minute};

impl Engine {
    /// Writes the newest progress of every job that reported since the last time.
    pub async fn flush_progress(&self) -> Result<u64> {
        let rows = self.live.take_dirty(LOOP_ROWS_MAX);
        if rows.is_empty() {
            return Ok(0);
        }
        let count = rows.len() as u64;
        let taken: Vec<_> = rows.iter().map(|row| (row.job_id, row.lease_epoch)).collect();
        let written = self.pipeline.ask(|reply| Work::Progress { rows, reply }).await;
        if written.is_err() {
            self.live.mark_dirty(&taken);
        }
        written.map(|()| count)
    }

    /// Ends sessions whose lease has run out.
    pub async fn expire_sessions(&self) -> Result<u64> {
        let now = self.clock.now();
        let expired = self
            .loop_db
            .read(move |store| async move {
                let ids = store.expired_sessions(now, LOOP_ROWS_MAX).await?;
                let held = if ids.is_empty() { Vec::new() } else { store.held(&ids).await? };
                let mut expired = Vec::with_capacity(ids.len());
                for id in ids {
                    let session = store.session(id).await?;
                    let of_it = held.iter().filter(|job| job.status.session() == Some(id));
                    expired.push((id, session, of_it.count()));
                }
                Ok(expired)
            })
            .await?;
        let answers = expired.into_iter().map(|(id, session, held)| async move {
            // Before the session ends: its jobs would be lost to their attempts.
            self.take_back_undelivered(id).await?;
            let lost = session.as_ref().filter(|session| held > 0 || !session.unary);
            let over = if let Some(session) = lost {
                let lost = Box::new(lost_event(session, held, now));
                self.pipeline.ask(|reply| Work::Expire { session: id, lost, reply }).await?
            } else {
                let write = SessionWrite::Expire { id };
                let ask = |reply| Work::Session { write, patient: false, reply };
                self.pipeline.ask(ask).await?
            };
            if over {
                tell_expired(id, session.as_ref().map(|session| &session.worker_id), held);
                self.sessions.expired(id);
            }
            Ok(u64::from(over))
        });
        futures_util::future::join_all(answers).await.into_iter().sum()
    }

    /// Releases what the session was assigned and never confirmed, so that no attempt is used.
    async fn take_back_undelivered(&self, session: SessionId) -> Result<()> {
        let undelivered = self.sessions.take_undelivered(session).into_iter();
        let answers = undelivered.map(|(job_id, lease_epoch)| {
            let reason = ReleaseReason::Undelivered { session };
            let command = Command::Release { lease_epoch, delay: Duration::ZERO, reason };
            self.pipeline.ask(move |reply| Work::Command { job_id, command, patient: true, reply })
        });
        for answer in futures_util::future::join_all(answers).await {
            match answer {
                Ok(_) | Err(Error::Refused { .. } | Error::JobNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes jobs back from sessions that have ended.
    pub async fn settle_orphans(&self) -> Result<u64> {
        let orphans =
            self.loop_db.read(|store| async move { store.orphans(LOOP_ROWS_MAX).await }).await?;
        let count = orphans.len() as u64;
        let answers = orphans.into_iter().map(|orphan| {
            let job_id = orphan.job_id;
            let command = take_back(&orphan);
            self.pipeline.ask(move |reply| Work::Command { job_id, command, patient: false, reply })
        });
        for answer in futures_util::future::join_all(answers).await {
            match answer {
                // Somebody else settled it meanwhile.
                Ok(_) | Err(Error::Refused { .. } | Error::JobNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Tells jobs that their time has come: timeouts, ends of grace, expiry.
    pub async fn meet_deadlines(&self) -> Result<u64> {
        let now = self.clock.now();
        let due = self
            .loop_db
            .read(move |store| async move { store.due(now, LOOP_ROWS_MAX).await })
            .await?;
        let count = due.len() as u64;
        let answers = due.into_iter().map(|job_id| {
            let command = Command::MeetDeadline;
            self.pipeline.ask(move |reply| Work::Command { job_id, command, patient: false, reply })
        });
        for answer in futures_util::future::join_all(answers).await {
            match answer {
                Ok(_) | Err(Error::Refused { .. } | Error::JobNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// How long until the next deadline, if one is known within `most`.
    pub async fn until_deadline(&self, most: Duration) -> Duration {
        let next = self.loop_db.read(|store| async move { store.next_deadline().await }).await;
        match next {
            Ok(Some(at)) => at.since(self.clock.now()).min(most),
            Ok(None) | Err(_) => most,
        }
    }

    /// Looks where jobs wait, in case a hint was lost. Answers 0: what waits is no backlog of this
    /// step.
    pub async fn poll_line(&self) -> Result<u64> {
        let counts = self.loop_db.read(|store| async move { store.counts().await }).await?;
        self.known.learn(&counts);
        self.line.reopen();
        let now = self.clock.now();
        let waiting =
            counts.iter().filter(|count| count.state == StateKind::Pending && count.stored > 0);
        for count in waiting {
            self.line.ready(&count.key.queue, &count.key.job_type, now, now);
        }
        Ok(0)
    }

    /// Lets go of the middle of long logs.
    pub async fn trim_logs(&self) -> Result<u64> {
        let long =
            self.log_lines.take_long(|job_id, epoch| self.live.find(job_id, epoch).is_some());
        let mut dropped = 0;
        for (job_id, epoch) in long {
            dropped += self
                .loop_db
                .read(move |store| async move {
                    store.trim_logs(job_id, epoch, LOG_HEAD_LINES, LOG_TAIL_LINES).await
                })
                .await?;
        }
        Ok(dropped)
    }

    /// Takes away change log rows, ended sessions, spent request ids and old buckets.
    pub async fn prune(&self) -> Result<u64> {
        self.live.sweep(|job_id, lease_epoch| self.cache.holds(job_id, lease_epoch));
        let now = self.clock.now();
        let (events_before, audit_before) = self.told_before(now);
        let prune = Prune {
            changes_before: now.minus(RESUME_RETENTION),
            sessions_before: now.minus(ENDED_SESSION_RETENTION),
            requests_before: now.minus(REQUEST_ID_RETENTION),
            buckets_before: now.minus(BUCKET_RETENTION),
            events_before,
            audit_before,
            limit: LOOP_ROWS_MAX,
        };
        self.loop_db.read(move |store| async move { store.prune(prune).await }).await
    }

    /// Sums up minutes by their hours, once no window of an hour touches any of them.
    pub async fn roll_up(&self) -> Result<u64> {
        let before = first_minute(self.clock.now(), HOUR).div_euclid(60) * 60;
        self.loop_db
            .read(move |store| async move { store.roll_up(before, LOOP_ROWS_MAX).await })
            .await
    }

    /// Keeps the attached sessions: renewals, deliveries, heartbeats. Answers 0: it leaves no backlog.
    pub fn keep_sessions(&self) -> Result<u64> {
        if let Some(lost_for) = self.health.lost_for().filter(|_| self.herald.is_shared()) {
            self.sessions.send_on(lost_for);
        }
        self.sessions.tick()?;
        Ok(0)
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<()> {
        self.loop_db.read(|store| async move { store.ping().await }).await
    }

    /// Writes what is still in memory; the last thing before the store closes.
    pub async fn flush_all(&self) -> Result<()> {
        let flushed = async {
            while self.flush_progress().await? > 0 {}
            Ok(())
        };
        let (flushed, recorded) = (flushed.await, self.write_records(None).await);
        self.pipeline.written().await.and(flushed).and(recorded)
    }
}

/// What is told of a worker whose lease ran out.
fn lost_event(session: &Session, held: usize, now: Timestamp) -> Event {
    let facts = Facts::WorkerLost {
        worker_id: session.worker_id.to_string(),
        instance_id: session.instance_id.as_str().to_owned(),
        jobs: held as u64,
    };
    Event::plain(facts, now)
}

/// Tells the log: an operator has to look at a worker that was lost with its jobs, not at one that
/// was idle.
fn tell_expired(id: SessionId, worker: Option<&WorkerName>, held: usize) {
    let worker = worker.map(tracing::field::display);
    if held == 0 {
        tracing::info!(worker.id = worker, session.id = %id, held, "session expired");
    } else {
        tracing::warn!(worker.id = worker, session.id = %id, held, "session expired");
    }
}

fn take_back(orphan: &Orphan) -> Command {
    let Orphan { lease_epoch, session, reason, .. } = *orphan;
    match reason {
        EndReason::Expired => Command::LoseLease { lease_epoch, session },
        EndReason::Goodbye | EndReason::Superseded | EndReason::Done => Command::Release {
            lease_epoch,
            delay: Duration::ZERO,
            reason: ReleaseReason::NotHeld { session },
        },
    }
}
