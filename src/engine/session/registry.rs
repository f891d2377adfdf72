//! Every attach of this process, and what must happen to them as time passes.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::limits::{DELIVERY_CONFIRM_WITHIN, DONE_SESSIONS_MAX};
use crate::domain::machine::{Command, Effect, ReleaseReason};
use crate::domain::session::EndReason;
use crate::domain::{Job, JobId, SessionId};
use crate::runtime::{Clock, Tasks};
use crate::store::SessionWrite;
use crate::watch::Hub;

use super::super::db::Db;
use super::super::dispatch::Line;
use super::super::error::{Error, Result};
use super::super::live::Live;
use super::super::pipeline::{Lane, Pipeline, Reply, Work};
use super::super::registry::Registry;
use super::super::replicas::Ears;
use super::attach::Attach;

/// A delivery whose stream went away before it was confirmed.
pub(super) struct Lingering {
    pub(super) job_id: JobId,
    pub(super) lease_epoch: i64,
    pub(super) session: SessionId,
    pub(super) due: Instant,
}

/// What sessions work with.
pub(in super::super) struct Parts {
    pub(in super::super) live: Arc<Live>,
    pub(in super::super) hub: Hub,
    pub(in super::super) line: Line,
    pub(in super::super) clock: Clock,
    pub(in super::super) tasks: Tasks,
    pub(in super::super) db: Db,
    pub(in super::super) ended: Arc<Notify>,
    pub(in super::super) ears: Arc<Ears>,
    pub(in super::super) registry: Arc<Registry>,
}

/// Every attach of this process.
pub struct Sessions {
    pub(super) attached: DashMap<SessionId, Arc<Attach>>,
    pub(super) lingering: Mutex<Vec<Lingering>>,
    /// Sessions of no stream here whose job came to its outcome: most are unary.
    pub(super) done: Mutex<VecDeque<SessionId>>,
    pub(super) live: Arc<Live>,
    pub(super) hub: Hub,
    pub(super) line: Line,
    pub(super) clock: Clock,
    pub(super) tasks: Tasks,
    pub(super) db: Db,
    /// Told when a session ended and may have left jobs behind.
    pub(super) ended: Arc<Notify>,
    /// Has jobs looked at that another server may have changed.
    pub(super) ears: Arc<Ears>,
    /// Knows who is to leave.
    pub(super) registry: Arc<Registry>,
    /// Set when the server is about to stop: attach again after this long.
    pub(super) leave_after: OnceLock<Duration>,
    pipeline: OnceLock<Pipeline>,
}

impl Sessions {
    pub(in super::super) fn new(parts: Parts) -> Self {
        let Parts { live, hub, line, clock, tasks, db, ended, ears, registry } = parts;
        Self {
            attached: DashMap::new(),
            lingering: Mutex::new(Vec::new()),
            done: Mutex::new(VecDeque::new()),
            live,
            hub,
            line,
            clock,
            tasks,
            db,
            ended,
            ears,
            registry,
            leave_after: OnceLock::new(),
            pipeline: OnceLock::new(),
        }
    }

    /// Sessions hear of commits and submit work: the pipeline comes second.
    pub(in super::super) fn connect(&self, pipeline: Pipeline) {
        // Set once, by the engine's constructor.
        let _ = self.pipeline.set(pipeline);
    }

    #[expect(clippy::expect_used, reason = "connected by the engine's constructor")]
    pub(super) fn pipeline(&self) -> &Pipeline {
        self.pipeline.get().expect("sessions are connected before they are used")
    }

    /// Every attach.
    pub(in super::super) fn all(&self) -> Vec<Arc<Attach>> {
        self.attached.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Whether the stream of this session is here.
    pub(in super::super) fn is_attached(&self, id: SessionId) -> bool {
        self.attached.contains_key(&id)
    }

    /// How many are attached.
    #[must_use]
    pub fn count(&self) -> usize {
        self.attached.len()
    }

    /// The stream of an attach is over. With Goodbye, what it still holds is released; without, it
    /// keeps its leases for a while, so that it can attach again.
    pub fn detach(&self, attach: &Attach, goodbye: bool) {
        let (session, held) = {
            let mut state = attach.state.lock();
            if state.over {
                return;
            }
            state.over = true;
            let held = state.held.len();
            state.held.clear();
            (state.session, held)
        };
        self.attached.remove(&session);
        attach.outbox.end(None);
        let (worker, how) = (attach.worker_id(), if goodbye { "goodbye" } else { "lost" });
        tracing::info!(worker.id = %worker, session.id = %session, held, how, "worker detached");
        if goodbye {
            self.session_write(
                attach,
                SessionWrite::End { id: session, reason: EndReason::Goodbye },
            );
            return;
        }
        self.renew(attach, session);
        if let Some(keep) = attach.keep_after_close() {
            self.session_write(attach, SessionWrite::Shorten { id: session, keep });
        }
        for delivery in attach.outbox.take_unconfirmed() {
            let (job_id, lease_epoch) = (delivery.job_id, delivery.lease_epoch);
            match delivery.written {
                None => self.take_back(job_id, lease_epoch, session),
                Some(written) => self.lingering.lock().push(Lingering {
                    job_id,
                    lease_epoch,
                    session,
                    due: written + DELIVERY_CONFIRM_WITHIN,
                }),
            }
        }
    }

    /// Releases an assignment that never reached its worker.
    pub(in super::super) fn take_back(&self, job_id: JobId, lease_epoch: i64, session: SessionId) {
        let reason = ReleaseReason::Undelivered { session };
        let command = Command::Release { lease_epoch, delay: Duration::ZERO, reason };
        let reply = Reply::ignored();
        let work = Work::Command { job_id, command, patient: true, reply };
        self.pipeline().submit_surely(Lane::of_job(job_id), work);
    }

    /// The last words of a session: they outwait a failing store.
    pub(super) fn session_write(&self, attach: &Attach, write: SessionWrite) {
        let ended = Arc::clone(&self.ended);
        let reply = Reply::new(move |_: Result<bool>| ended.notify_one());
        let work = Work::Session { write, patient: true, reply };
        self.pipeline().submit_surely(attach.lane, work);
    }

    pub(super) fn renew(&self, attach: &Attach, id: SessionId) {
        let age = {
            let mut state = attach.state.lock();
            state.renewed = Some(state.heard);
            Clock::monotonic().duration_since(state.heard)
        };
        self.session_write(attach, SessionWrite::Renew { id, age, ttl: attach.lease_ttl });
    }

    /// A commit concerned a session: its worker hears of it.
    pub(in super::super) fn told(&self, job: &Job, effect: &Effect) {
        let job_id = job.id;
        match effect {
            Effect::AskToStop { session, request } => {
                if let Some(attach) = self.attached.get(session) {
                    attach.ask_to_stop(job, request);
                }
            }
            Effect::Revoked { session, lease_epoch, reason } => {
                if let Some(attach) = self.attached.get(session) {
                    attach.revoke(job_id, *lease_epoch, reason);
                }
            }
            Effect::Closed { session } => {
                if let Some(attach) = self.attached.get(session) {
                    if attach.let_go(job_id, job.status.lease_epoch) {
                        self.line.wake();
                    }
                    return;
                }
                let mut done = self.done.lock();
                if done.len() < DONE_SESSIONS_MAX {
                    done.push_back(*session);
                }
            }
            Effect::Started { .. }
            | Effect::Ready { .. }
            | Effect::FoundStuck { .. }
            | Effect::FoundSlow { .. }
            | Effect::RetryScheduled { .. }
            | Effect::LeaseLost
            | Effect::Ended { .. } => {}
        }
    }

    /// Ends every stream, and those that attach from now on: keep every job, attach again after
    /// `after`.
    pub fn reconnect_all(&self, after: Duration) {
        // Set before the look, so that an attach which is registered meanwhile finds it.
        let after = *self.leave_after.get_or_init(|| after);
        for attach in self.all() {
            attach.send_away(after, Error::Draining);
        }
    }
}
