//! What must happen to attached workers as time passes.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::limits::{
    DELIVERY_CONFIRM_WITHIN, REPORT_INTERVAL_UNWATCHED, REPORT_INTERVAL_WATCHED,
};
use crate::domain::session::EndReason;
use crate::domain::{JobId, SessionId};
use crate::runtime::Clock;
use crate::store::SessionWrite;

use super::super::error::{Error, Result};
use super::super::pipeline::{Reply, Work};
use super::attach::Attach;
use super::outbox::ToWorker;
use super::registry::{Lingering, Sessions};

/// Workers of a server that lost its store attach elsewhere after about this long.
const RECONNECT_LOST: Duration = Duration::from_millis(500);

impl Sessions {
    /// One step of keeping sessions: renewals, deliveries that are not confirmed, heartbeats, pace.
    pub fn tick(self: &Arc<Self>) -> Result<()> {
        self.take_back_overdue();
        let mut renewed = Ok(());
        for attach in self.all() {
            self.keep(&attach);
            self.keep_pace(&attach);
            renewed = renewed.and(self.renew_if_heard(&attach));
        }
        renewed.and(self.end_done())
    }

    /// Unary sessions are over with their job; a stream's session lives on.
    fn end_done(&self) -> Result<()> {
        loop {
            let Some(id) = self.done.lock().pop_front() else { return Ok(()) };
            let write = SessionWrite::EndIfUnary { id };
            let work = Work::Session { write, patient: true, reply: Reply::ignored() };
            if let Err(error) = self.pipeline().submit(work) {
                // No room now: it keeps its turn.
                self.done.lock().push_front(id);
                return Err(error);
            }
        }
    }

    fn take_back_overdue(&self) {
        let now = Clock::monotonic();
        let overdue: Vec<Lingering> = {
            let mut lingering = self.lingering.lock();
            let (due, rest) = lingering.drain(..).partition(|lost| lost.due <= now);
            *lingering = rest;
            due
        };
        for lost in overdue {
            self.take_back(lost.job_id, lost.lease_epoch, lost.session);
        }
    }

    /// Takes out what a session that is about to expire was assigned and never confirmed.
    pub(in super::super) fn take_undelivered(&self, session: SessionId) -> Vec<(JobId, i64)> {
        let mut undelivered: Vec<(JobId, i64)> = Vec::new();
        self.lingering.lock().retain(|lost| {
            let its = lost.session == session;
            undelivered.extend(its.then_some((lost.job_id, lost.lease_epoch)));
            !its
        });
        if let Some(attach) = self.attached.get(&session) {
            let unconfirmed = attach.outbox.take_unconfirmed().into_iter();
            undelivered.extend(unconfirmed.map(|held| (held.job_id, held.lease_epoch)));
        }
        undelivered
    }

    /// The store was lost for so long: workers whose leases are half over find another server that has
    /// it.
    pub(in super::super) fn send_on(&self, lost_for: Duration) {
        for attach in self.all() {
            if lost_for >= attach.lease_ttl / 2 {
                attach.send_away(RECONNECT_LOST, Error::Overloaded);
            }
        }
    }

    fn keep(&self, attach: &Attach) {
        for delivery in attach.outbox.overdue(DELIVERY_CONFIRM_WITHIN) {
            self.take_back(delivery.job_id, delivery.lease_epoch, attach.session());
        }
        if attach.outbox.silence().is_some_and(|silence| silence >= attach.heartbeat_interval()) {
            attach.tell(ToWorker::Heartbeat);
        }
    }

    /// A worker whose job is watched is asked to report more often.
    fn keep_pace(&self, attach: &Attach) {
        let watched = self.hub.watchers() > 0
            && attach.holdings().iter().any(|held| self.hub.is_watched(held.job_id));
        let wanted = if watched { REPORT_INTERVAL_WATCHED } else { REPORT_INTERVAL_UNWATCHED };
        let changed = {
            let mut state = attach.state.lock();
            std::mem::replace(&mut state.report_interval, wanted) != wanted
        };
        if changed {
            attach.tell(ToWorker::ReportPolicy { report_interval: wanted });
        }
    }

    /// Renews the lease once a third of it has passed since the last renewal; a session that has
    /// ended meanwhile lapses, or its stream ends if another attach took its place.
    fn renew_if_heard(self: &Arc<Self>, attach: &Arc<Attach>) -> Result<()> {
        let (id, age) = {
            let mut state = attach.state.lock();
            let quiet = Clock::monotonic().duration_since(state.heard);
            let due = state.renewed.is_none_or(|renewed| {
                let since = state.heard.duration_since(renewed);
                since >= attach.lease_ttl / 3
                    || (quiet >= attach.lease_ttl / 6 && since > Duration::ZERO)
            });
            if !due || state.lapsed || state.opening || state.over {
                return Ok(());
            }
            state.renewed = Some(state.heard);
            (state.session, quiet)
        };
        let write = SessionWrite::Renew { id, age, ttl: attach.lease_ttl };
        let (registry, stream) = (Arc::clone(self), Arc::clone(attach));
        let reply = Reply::new(move |answer: Result<bool>| match answer {
            Ok(true) => {}
            Ok(false) => registry.lapsed(&stream, id),
            Err(_) => stream.renew_again(id),
        });
        let work = Work::Session { write, patient: false, reply };
        let submitted = self.pipeline().submit_in(attach.lane, work);
        if submitted.is_err() {
            attach.renew_again(id);
        }
        submitted
    }

    /// The session of an attach has ended without it.
    pub(in super::super) fn lapsed(self: &Arc<Self>, attach: &Arc<Attach>, id: SessionId) {
        let (registry, stream) = (Arc::clone(self), Arc::clone(attach));
        self.tasks.spawn("lapsed session", async move {
            let session =
                registry.db.read(move |store| async move { store.session(id).await }).await;
            let Ok(session) = session else { return stream.renew_again(id) };
            let superseded = session
                .and_then(|session| session.end)
                .is_some_and(|(_, reason)| reason == EndReason::Superseded);
            {
                let mut state = stream.state.lock();
                if state.session != id || state.over {
                    return;
                }
                state.lapsed = !superseded;
                state.over = superseded;
            }
            if superseded {
                registry.attached.remove(&id);
                stream.tell_superseded(id);
                stream.outbox.end(Some(Error::SessionSuperseded));
            }
        });
    }

    /// The session with this id lost its lease: if its stream is here, it has lapsed.
    pub(in super::super) fn expired(&self, id: SessionId) {
        if let Some(attach) = self.attached.get(&id) {
            let mut state = attach.state.lock();
            if state.session == id {
                state.lapsed = true;
            }
        }
    }
}

impl Attach {
    /// Tells the log that another attach of its process took its place.
    pub(super) fn tell_superseded(&self, session: SessionId) {
        tracing::info!(worker.id = %self.worker_id(), session.id = %session, "worker superseded");
    }

    /// A renewal of its session did not come through.
    fn renew_again(&self, id: SessionId) {
        let mut state = self.state.lock();
        if state.session == id {
            state.renewed = None;
        }
    }
}
