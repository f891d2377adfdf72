//! What a worker says on its stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::domain::ids::QuotaName;
use crate::domain::machine::Command;
use crate::domain::validate::Violations;
use crate::domain::{JobId, LogBatch, LogEntry, Progress, Timestamp};

use super::super::error::{Error, Result};
use super::super::history;
use super::super::live::{Cell, Tick};
use super::super::pipeline::{Adoption, Reply, Work};
use super::attach::Attach;
use super::ledger::Seen;
use super::outbox::ToWorker;
use super::registry::Sessions;
use super::update::{Update, UpdateKind};

fn wrong_seq(description: String) -> Error {
    let mut violations = Violations::default();
    violations.add("update.seq", description);
    Error::Invalid(violations)
}

impl Attach {
    /// Takes note that the worker was there at a moment, and what it received.
    pub fn heard(self: &Arc<Self>, sessions: &Arc<Sessions>, received_through: i64, at: Instant) {
        let lapsed = {
            let mut state = self.state.lock();
            state.heard = at;
            state.lapsed && !state.over
        };
        if received_through > 0 {
            self.outbox.received_through(received_through);
        }
        if lapsed {
            sessions.reopen(self);
        }
    }

    /// How many jobs it may hold from now on.
    pub fn set_slots(&self, sessions: &Sessions, slots: u32) {
        self.state.lock().slots = slots;
        sessions.line.wake();
    }

    /// Answers that an update is malformed.
    pub fn reject_update(&self, seq: i64, error: Error) {
        let seen = (seq > 0).then(|| self.ledger.lock().see(seq));
        if seen == Some(Seen::UnderWay) {
            return;
        }
        self.tell(ToWorker::Reject { seq, error });
        if seen == Some(Seen::New) {
            self.settle_now(seq);
        }
    }

    /// Whether an update is to be looked at; what else it is, is answered.
    fn is_new(&self, seq: i64) -> bool {
        if seq <= 0 {
            let error = wrong_seq(format!("must be positive, is {seq}"));
            self.tell(ToWorker::Reject { seq, error });
            return false;
        }
        let mut ledger = self.ledger.lock();
        match ledger.see(seq) {
            Seen::New => return true,
            Seen::Acked => self.outbox.ack(ledger.through(), false),
            Seen::UnderWay => {}
            Seen::Backwards { received } => {
                let error = wrong_seq(format!("must grow: {seq} came after {received}"));
                self.tell(ToWorker::Reject { seq, error });
            }
        }
        false
    }

    /// Takes the most frequent update, how far a job is, as [`Self::update`] does.
    pub fn progress(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        of: Adoption,
        seq: i64,
        progress: Progress,
        now: Timestamp,
    ) {
        if !self.is_new(seq) {
            return;
        }
        if let Some(cell) = self.cell(of.job_id, of.lease_epoch) {
            sessions.live.progress(&cell, seq, progress, now, &sessions.hub);
            self.ledger.lock().note_settled(seq);
        } else {
            self.tick(sessions, None, of, (seq, now), Tick::Progress(progress));
        }
    }

    /// Takes an update that came at a moment. Ticks are acked by [`Self::ack_settled`].
    pub fn update(self: &Arc<Self>, sessions: &Arc<Sessions>, update: Update, now: Timestamp) {
        let seq = update.seq;
        if !self.is_new(seq) {
            return;
        }
        let cell = self.cell(update.job_id, update.lease_epoch);
        let of = Adoption { job_id: update.job_id, lease_epoch: update.lease_epoch };
        match update.kind {
            UpdateKind::Progress(progress) => {
                self.tick(sessions, cell, of, (seq, now), Tick::Progress(progress));
            }
            UpdateKind::Usage(usage) => {
                self.tick(sessions, cell, of, (seq, now), Tick::Usage(usage));
            }
            UpdateKind::Logs(entries) => {
                if let Some(cell) = cell.filter(|_| !entries.is_empty()) {
                    sessions.live.active(&cell, now);
                }
                self.logs(sessions, &of, seq, entries);
            }
            UpdateKind::Used(used) => self.used(sessions, &of, seq, used),
            UpdateKind::Outcome(outcome) => {
                let command = outcome.into_command(of.lease_epoch, seq, cell.as_ref(), sessions);
                self.outcome(sessions, &of, seq, command);
            }
        }
    }

    /// The cell of a job it holds under this lease; hearing of it confirms its delivery.
    fn cell(&self, job_id: JobId, lease_epoch: i64) -> Option<Arc<Cell>> {
        let mut state = self.state.lock();
        let Some(held) = state.held.get_mut(&job_id) else {
            self.outbox.confirm(job_id);
            return None;
        };
        if !std::mem::replace(&mut held.heard_of, true) {
            self.outbox.confirm(job_id);
        }
        (held.lease_epoch == lease_epoch).then(|| Arc::clone(&held.cell))
    }

    fn tick(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        cell: Option<Arc<Cell>>,
        of: Adoption,
        (seq, now): (i64, Timestamp),
        tick: Tick,
    ) {
        if let Some(cell) = cell {
            sessions.live.tick(&cell, seq, tick, now, &sessions.hub);
            self.ledger.lock().note_settled(seq);
            return;
        }
        // Not held here: only the store can say whether the lease is in force.
        self.ledger.lock().begin(seq, 0);
        let (attach, registry) = (Arc::clone(self), Arc::clone(sessions));
        let reply = Reply::new(move |answer: Result<crate::domain::Job>| {
            let settled = answer.map(|job| {
                let cell = registry.live.open(&job);
                registry.live.tick(&cell, seq, tick, registry.clock.now(), &registry.hub);
            });
            attach.settle(seq, settled);
        });
        sessions.pipeline().submit_surely(self.lane, Work::Fence { of, reply });
    }

    /// Whether there is room for another durable update of so many bytes, which is under way then.
    fn begin(&self, seq: i64, bytes: usize) -> bool {
        let mut ledger = self.ledger.lock();
        if let Some((what, limit)) = ledger.bound_broken_by(bytes) {
            drop(ledger);
            self.tell(ToWorker::Reject { seq, error: Error::RateLimited { what, limit } });
            self.settle_now(seq);
            return false;
        }
        ledger.begin(seq, bytes);
        true
    }

    fn used(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        of: &Adoption,
        seq: i64,
        used: BTreeMap<QuotaName, u64>,
    ) {
        if !self.begin(seq, 0) {
            return;
        }
        let attach = Arc::clone(self);
        let reply = Reply::new(move |answer: Result<crate::domain::Job>| {
            attach.settle(seq, answer.map(drop));
        });
        let (job_id, command) =
            (of.job_id, Command::ReportUse { lease_epoch: of.lease_epoch, used });
        let work = Work::Command { job_id, command, patient: true, reply };
        sessions.pipeline().submit_surely(self.lane, work);
    }

    fn logs(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        of: &Adoption,
        seq: i64,
        entries: Vec<LogEntry>,
    ) {
        let bytes = entries.iter().map(LogEntry::weight).sum();
        if !self.begin(seq, bytes) {
            return;
        }
        let attach = Arc::clone(self);
        let reply = Reply::new(move |answer: Result<()>| attach.settle(seq, answer));
        let batch =
            LogBatch { job_id: of.job_id, lease_epoch: of.lease_epoch, attempt: 0, seq, entries };
        sessions.pipeline().submit_surely(self.lane, Work::Logs { batch, patient: true, reply });
    }

    fn outcome(
        self: &Arc<Self>,
        sessions: &Arc<Sessions>,
        of: &Adoption,
        seq: i64,
        command: Command,
    ) {
        self.ledger.lock().begin(seq, 0);
        let (attach, registry) = (Arc::clone(self), Arc::clone(sessions));
        let Adoption { job_id, lease_epoch } = *of;
        let report = command.report();
        let reply = Reply::new(move |answer: Result<crate::domain::Job>| {
            // Applied or refused: either way the worker does not hold it any more.
            if attach.let_go(job_id, lease_epoch) {
                registry.line.wake();
            }
            match answer {
                Err(error) if history::may_know(&error) => {
                    let db = registry.db.clone();
                    registry.tasks.spawn("stale report", async move {
                        let answer = history::known(&db, job_id, lease_epoch, report, error).await;
                        attach.settle(seq, answer);
                    });
                }
                answer => attach.settle(seq, answer.map(drop)),
            }
        });
        sessions
            .pipeline()
            .submit_surely(self.lane, Work::Command { job_id, command, patient: true, reply });
    }

    /// An update is applied or refused; or it is neither, and the stream ends without an ack for it, so
    /// that the worker says it again on another one.
    fn settle(&self, seq: i64, answer: Result<()>) {
        match answer {
            Ok(()) => {}
            Err(error) if error.is_passing() => {
                self.outbox.end(Some(error));
                return;
            }
            Err(error) => self.tell(ToWorker::Reject { seq, error }),
        }
        let mut ledger = self.ledger.lock();
        ledger.settle(seq);
        if let Some(through) = ledger.news() {
            self.outbox.ack(through, true);
        }
        if ledger.is_settled() {
            self.settled.notify_waiters();
        }
    }

    /// Acks what was settled as it came. For a run of updates at once: each ack has a message of its own to the
    /// worker, and says no more than the last.
    pub fn ack_settled(&self) {
        let mut ledger = self.ledger.lock();
        if let Some(through) = ledger.news() {
            self.outbox.ack(through, false);
        }
    }

    fn settle_now(&self, seq: i64) {
        self.ledger.lock().note_settled(seq);
        self.ack_settled();
    }
}
