//! How a stream gets its session: at first, and again when the one it had has ended. The last one that
//! is opened for a process wins, in the store and here.

use std::sync::Arc;

use uuid::Uuid;

use crate::auth::Caller;
use crate::domain::limits::REPORT_INTERVAL_UNWATCHED;
use crate::domain::{JobId, SessionId};
use crate::store::SessionWrite;

use super::super::error::{Error, Result};
use super::super::pipeline::{Opened, Reply, Work};
use super::attach::{Attach, Hello};
use super::outbox::Outbox;
use super::registry::Sessions;

impl Sessions {
    /// Attaches a worker: its session is opened, what it names and still has is adopted, its older
    /// attaches end.
    pub async fn attach(
        self: &Arc<Self>,
        caller: &Caller,
        hello: Hello,
        outbox: Outbox,
    ) -> Result<Arc<Attach>> {
        if self.leave_after.get().is_some() {
            return Err(Error::Draining);
        }
        let id = SessionId(Uuid::now_v7());
        let now = self.clock.now();
        let attach = Arc::new(Attach::new(
            caller.clone(),
            &hello,
            id,
            now,
            outbox,
            REPORT_INTERVAL_UNWATCHED,
        ));
        let session = Box::new(attach.session_row(id, now));
        let running = hello.running;
        let (registry, stream) = (Arc::clone(self), Arc::clone(&attach));
        let opened = self.pipeline().ask_in(attach.lane, |reply: Reply<()>| {
            // Registered by the writer itself, so that nothing is decided about the jobs in between.
            let reply = Reply::new(move |answer: Result<Opened>| {
                reply.send(answer.map(|opened| registry.opened(&stream, id, opened)));
            });
            Work::Open { session, running, settled: None, reply }
        });
        if let Err(error) = opened.await {
            // It may still be opened: then it finds that nobody waits for it.
            attach.state.lock().over = true;
            if self.attached.remove(&id).is_some() {
                self.unattended(&attach, id);
            }
            return Err(error);
        }
        Ok(attach)
    }

    /// Traffic came after the session had ended: another one is opened for the same stream.
    pub(super) fn reopen(self: &Arc<Self>, attach: &Arc<Attach>) {
        let id = SessionId(Uuid::now_v7());
        let before = {
            let mut state = attach.state.lock();
            if state.over || state.opening {
                return;
            }
            state.lapsed = false;
            state.opening = true;
            state.renewed = Some(state.heard);
            std::mem::replace(&mut state.session, id)
        };
        self.attached.remove(&before);
        let session = Box::new(attach.session_row(id, self.clock.now()));
        let running = attach.holdings();
        let (registry, stream) = (Arc::clone(self), Arc::clone(attach));
        let reply = Reply::new(move |answer: Result<Opened>| match answer {
            Ok(opened) => registry.opened(&stream, id, opened),
            Err(error) => stream.outbox.end(Some(error)),
        });
        let work = Work::Open { session, running, settled: None, reply };
        self.pipeline().submit_surely(attach.lane, work);
    }

    /// The session of an attach is open: what was adopted is its own, others let it go.
    fn opened(self: &Arc<Self>, attach: &Arc<Attach>, id: SessionId, opened: Opened) {
        self.lingering.lock().retain(|lost| {
            !opened
                .adopted
                .iter()
                .any(|job| job.id == lost.job_id && job.status.lease_epoch == lost.lease_epoch)
        });
        let (adopted, revoked) = (opened.adopted.len(), opened.revoked.len());
        let held: Vec<JobId> = opened.adopted.iter().map(|job| job.id).collect();
        let open = attach.open(&self.live, opened);
        if open {
            self.attached.insert(id, Arc::clone(attach));
        }
        // Looked at once more: a stream that ended in between did not find itself in the list.
        if !open || attach.state.lock().over {
            self.attached.remove(&id);
            self.unattended(attach, id);
            return;
        }
        let worker = attach.worker_id();
        tracing::info!(worker.id = %worker, session.id = %id, adopted, revoked, "worker attached");
        self.supersede(attach);
        self.drain_if_told(attach);
        // What others did to them since may have been looked at before they were held here.
        self.ears.suspect(held);
        if let Some(after) = self.leave_after.get() {
            attach.send_away(*after, Error::Draining);
        }
        self.line.wake();
        self.ended.notify_one();
    }

    /// A session was opened for a stream that is over. Its leases are kept for a while, as after any
    /// loss of a stream; if another attach of the process is there, which it ended in the store, that
    /// one opens a session once more.
    fn unattended(self: &Arc<Self>, attach: &Attach, id: SessionId) {
        let others = self.others_of_process(attach);
        if let Some(keep) = attach.keep_after_close().filter(|_| others.is_empty()) {
            self.session_write(attach, SessionWrite::Shorten { id, keep });
        }
        for other in &others {
            self.reopen(other);
        }
    }

    /// Ends the older streams of the same process.
    fn supersede(&self, attach: &Attach) {
        for old in self.others_of_process(attach) {
            let session = {
                let mut state = old.state.lock();
                state.over = true;
                state.held.clear();
                state.session
            };
            self.attached.remove(&session);
            old.tell_superseded(session);
            old.outbox.end(Some(Error::SessionSuperseded));
        }
    }

    fn others_of_process(&self, attach: &Attach) -> Vec<Arc<Attach>> {
        if attach.worker.instance_id.as_str().is_empty() {
            return Vec::new();
        }
        let others = self.attached.iter().filter(|entry| {
            !std::ptr::eq(&raw const ***entry, attach)
                && entry.worker.instance_id == attach.worker.instance_id
                && entry.caller == attach.caller
        });
        others.map(|entry| Arc::clone(entry.value())).collect()
    }
}
