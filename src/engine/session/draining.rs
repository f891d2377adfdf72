//! Attached workers that are to leave.

use crate::domain::Timestamp;
use crate::domain::drain::{Drain, Process};

use super::super::registry::Rulebook;
use super::attach::Attach;
use super::outbox::ToWorker;
use super::registry::Sessions;

impl Sessions {
    /// Tells every attach that is to leave, unless it knows.
    pub(in super::super) fn drain_those_told(&self, book: &Rulebook, now: Timestamp) {
        for attach in self.all() {
            if let Some(drain) = book.drain_of(&attach.process(), now) {
                attach.drain(drain, now);
            }
        }
    }

    /// Tells an attach that has just come, if it is to leave.
    pub(super) fn drain_if_told(&self, attach: &Attach) {
        let now = self.clock.now();
        if let Some(drain) = self.registry.book().drain_of(&attach.process(), now) {
            attach.drain(drain, now);
        }
    }
}

impl Attach {
    /// The process behind it.
    pub(in super::super) fn process(&self) -> Process {
        let worker = &self.worker;
        Process { worker_id: worker.worker_id.clone(), instance_id: worker.instance_id.clone() }
    }

    /// It takes no more jobs, and is told to leave within what is left of its grace; once for each wish.
    fn drain(&self, drain: &Drain, now: Timestamp) {
        let known = self.state.lock().draining.replace(drain.time);
        if known != Some(drain.time) {
            let grace = drain.end_time().since(now);
            self.tell(ToWorker::Drain { grace, reason: drain.reason.clone() });
        }
    }
}
